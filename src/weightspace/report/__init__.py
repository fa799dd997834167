"""Results for people: tables, figures and one self-contained page.

In: what `meta` and `dissection` return. Out: rich tables for the terminal, matplotlib figures for
print, displays for notebooks, and an HTML page that loads nothing. Promises: the title of a figure
is its finding, computed from the numbers and corrected for the number of comparisons; chance,
control and baseline stand beside every accuracy; text from a zoo is never run, and drawing changes
no global state. This room does not know how the numbers were computed.
"""

import warnings
from typing import Any

from weightspace.report.displays import Display, display, displays
from weightspace.report.drawing.canvas import save
from weightspace.report.page.page import page
from weightspace.report.text.tables import answer_table, number_table, rival_tables, table
from weightspace.report.writing import figures, save_all, write

__all__ = [
    "Display",
    "answer_table",
    "display",
    "displays",
    "figures",
    "number_table",
    "page",
    "rival_tables",
    "save",
    "save_all",
    "table",
    "write",
]

_DISPLAYS = ("Evaluation", "Where", "When", "Slices", "Transfer", "Regression", "What", "Unseen",
             "Map", "Training")  # fmt: skip


def __getattr__(name: str) -> Any:
    """The display classes of the release before, one for each result; `display` replaces them."""
    if name not in {f"{kind}Display" for kind in _DISPLAYS}:
        raise AttributeError(f"module 'weightspace.report' has no attribute {name!r}")
    warnings.warn(
        f"weightspace.report.{name} is now weightspace.report.display; the old name goes away in "
        "the next release",
        DeprecationWarning,
        stacklevel=2,
    )
    return display
