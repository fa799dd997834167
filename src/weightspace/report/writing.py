"""`write`: everything that a dissection says, as files in one folder."""

from __future__ import annotations

from pathlib import Path

from weightspace.dissection import Dissection
from weightspace.report.figures import figures, save_all
from weightspace.report.markdown import markdown, numbers_markdown, slices_markdown
from weightspace.report.page import page


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
