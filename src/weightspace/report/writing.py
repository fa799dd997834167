"""`write`: everything that a dissection says, as files in one folder."""

from __future__ import annotations

from pathlib import Path

from weightspace.dissection import Dissection
from weightspace.report.figures import figures, save_all
from weightspace.report.markdown import markdown
from weightspace.report.page import page


def write(dissection: Dissection, directory: str | Path) -> Path:
    """Write tables (Parquet and Markdown), `figures/` and `report.html`; returns the page's path.

    The folder is made when it is missing; results of an earlier dissection there are replaced.
    """
    directory = Path(directory)
    dissection.save(directory)
    save_all(figures(dissection), directory / "figures")
    for name, unit in (("table.md", "slice"), ("whole.md", "net")):
        if unit in dissection.much.frame()["unit"]:
            (directory / name).write_text(markdown(dissection.much, unit), encoding="utf-8")
    path = directory / "report.html"
    path.write_text(page(dissection), encoding="utf-8")
    return path
