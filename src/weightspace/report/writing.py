"""A dissection's figures, and everything that it says, as files in one folder."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from weightspace.dissection import Dissection
from weightspace.report import canvas
from weightspace.report.contents import sections
from weightspace.report.headline import headline
from weightspace.report.markdown import markdown, numbers_markdown, slices_markdown
from weightspace.report.page import page


def figures(dissection: Dissection) -> dict[str, Figure]:
    """The figures by name: `much`, `whole`, `classifiers`, `slices`, `bare`, `numbers`, `guesses`,
    `where`, `part`, `when`, `transfer`, `training`, `groups`, `tensors`, `tampering`, `map`,
    `paths`, `calibration`, `unseen`, `unseen_whole`.

    What a dissection does not hold is left out. Titles are findings computed from the numbers.
    """
    head = headline(dissection.much.frame())
    return {section.name: section.draw() for section in sections(dissection, head)}


def save_all(drawn: dict[str, Figure], directory: str | Path) -> list[Path]:
    """Write every figure as PNG and SVG under its name; the folder is made when missing."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    return [
        canvas.save(figure, directory / f"{name}{suffix}")
        for name, figure in drawn.items()
        for suffix in (".png", ".svg")
    ]


def write(dissection: Dissection, directory: str | Path) -> Path:
    """Write tables (Parquet and Markdown), `figures/` and `report.html`; returns the page's path.

    The folder is made when it is missing; results of an earlier dissection there are replaced.
    """
    directory = Path(directory)
    dissection.save(directory)
    save_all(figures(dissection), directory / "figures")
    units = dissection.much.frame()["unit"].unique().to_list()
    numbers, slices = dissection.numbers, dissection.slices
    told = {
        "table.md": markdown(dissection.much) if "slice" in units else None,
        "whole.md": markdown(dissection.much, "net") if "net" in units else None,
        "numbers.md": None if numbers is None else numbers_markdown(numbers),
        "slices.md": None if slices is None else slices_markdown(slices),
    }
    for name, text in told.items():
        if text is None:
            (directory / name).unlink(missing_ok=True)
        else:
            (directory / name).write_text(text, encoding="utf-8")
    path = directory / "report.html"
    path.write_text(page(dissection), encoding="utf-8")
    return path
