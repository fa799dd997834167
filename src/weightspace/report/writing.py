"""A dissection's figures, tables and page as files in one folder."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from weightspace.disk import InnerPath, exists, is_folder, make_root
from weightspace.dissection import Dissection, storage
from weightspace.meta.evaluation import tables
from weightspace.report.contents import FIGURES, sections
from weightspace.report.drawing import canvas
from weightspace.report.html.page import page
from weightspace.report.text.markdown import markdown, numbers_markdown, slices_markdown

_SUFFIXES = (".png", ".svg")
_TOLD = ("table.md", "whole.md", "numbers.md", "slices.md")
_PAGE = "report.html"
_DRAWN = tuple(f"figures/{name}{suffix}" for name in FIGURES for suffix in _SUFFIXES)


def figures(dissection: Dissection) -> dict[str, Figure]:
    """Draw the figures of a dissection for print.

    Parameters
    ----------
    dissection : Dissection
        As `dissect` or `Dissection.load` returns it.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        The figures by the names that `contents.FIGURES` lists. A figure is missing where the
        dissection holds no numbers for it. Titles are findings, computed from the numbers.
    """
    return {section.name: section.draw() for section in sections(dissection)}


def save_all(drawn: dict[str, Figure], directory: str | Path) -> list[Path]:
    """Write every figure as PNG and SVG under its name.

    Files of these names are replaced together, after all new files are on the disk.

    Parameters
    ----------
    drawn : dict of str to matplotlib.figure.Figure
        The figures by name, as `figures` returns them.
    directory : str or Path
        The folder for the files. It is made when it is missing.

    Returns
    -------
    list of Path
        The files that were written.
    """
    directory = Path(directory)
    found = _images(drawn)
    tables.replace(make_root(directory), found)
    return [directory / name for name in found]


def write(dissection: Dissection, directory: str | Path) -> Path:
    """Write tables (Parquet and Markdown), `figures/` and `report.html`.

    Results of an earlier dissection are replaced or removed, after all new files are on the disk.

    Parameters
    ----------
    dissection : Dissection
        As `dissect` or `Dissection.load` returns it.
    directory : str or Path
        The folder for the files. It is made when it is missing.

    Returns
    -------
    Path
        The path of the page, `report.html`.

    Raises
    ------
    UsageError
        If weightspace did not write a file that would be replaced.
    """
    directory = Path(directory)
    refuse_foreign(directory)
    found = dissection.to_bytes()
    drawn = _images(figures(dissection))
    found |= {f"figures/{name}": data for name, data in drawn.items()}
    found |= {name: text.encode() for name, text in _markdown(dissection).items()}
    found[_PAGE] = page(dissection).encode()
    tables.replace(make_root(directory), found, (*storage.FILES, *_DRAWN, *_TOLD))
    return directory / _PAGE


def refuse_foreign(directory: str | Path) -> None:
    """Raise UsageError where `write` would replace a file that weightspace did not write.

    Tables are recognised by their columns and `facts.json` by its keys. The page, the figures and
    the Markdown are recognised by a `facts.json` in the folder. DataError where a link or a file
    is in the place of a folder.
    """
    root = InnerPath(Path(directory))
    known = storage.refuse_foreign(root)
    for way in (_PAGE, *_TOLD, *_DRAWN):
        place = tables.at(root, way)
        if is_folder(place):
            raise tables.foreign(place, "a folder")
        if not known and exists(place):
            raise tables.foreign(place, f"of somebody else (no {storage.FACTS} is in {root})")


def _images(drawn: dict[str, Figure]) -> dict[str, bytes]:
    return {
        f"{name}{suffix}": canvas.drawn(figure, suffix)
        for name, figure in drawn.items()
        for suffix in _SUFFIXES
    }


def _markdown(dissection: Dissection) -> dict[str, str]:
    units = dissection.much.frame()["unit"].unique().to_list()
    numbers, slices = dissection.numbers, dissection.slices
    told = {
        "table.md": markdown(dissection.much) if "slice" in units else None,
        "whole.md": markdown(dissection.much, "net") if "net" in units else None,
        "numbers.md": None if numbers is None else numbers_markdown(numbers),
        "slices.md": None if slices is None else slices_markdown(slices),
    }
    return {name: text for name, text in told.items() if text is not None}
