"""Results for people: tables, figures and one self-contained page.

In: what `meta`, `dissection` and `audit` return. Out: rich tables for the terminal, matplotlib
figures for print, displays for notebooks, and HTML pages that load nothing. Promises: the title of
a figure is its finding, computed from the numbers and corrected for the number of comparisons;
chance, control and baseline stand beside every accuracy; text from a zoo or a checkpoint is never
run, and drawing changes no global state. This room does not know how the numbers were computed.
"""

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.report.auditing.comparison import comparison_page as comparison_page
    from weightspace.report.auditing.page import audit_page as audit_page
    from weightspace.report.drawing.canvas import save as save
    from weightspace.report.drawing.leaderboard import leaderboard_figure as leaderboard_figure
    from weightspace.report.exploring.page import explore as explore
    from weightspace.report.exploring.page import explorer_page as explorer_page
    from weightspace.report.exploring.widget import Explorer as Explorer
    from weightspace.report.html.page import page as page
    from weightspace.report.notebook import Display as Display
    from weightspace.report.notebook import display as display
    from weightspace.report.notebook import displays as displays
    from weightspace.report.text.tables import answer_table as answer_table
    from weightspace.report.text.tables import number_table as number_table
    from weightspace.report.text.tables import rival_tables as rival_tables
    from weightspace.report.text.tables import table as table
    from weightspace.report.writing import figures as figures
    from weightspace.report.writing import save_all as save_all
    from weightspace.report.writing import write as write

# Loaded when first used: a command that prints a table needs no library that draws.
_HOMES = {
    "auditing.comparison": ("comparison_page",),
    "auditing.page": ("audit_page",),
    "notebook": ("Display", "display", "displays"),
    "drawing.canvas": ("save",),
    "drawing.leaderboard": ("leaderboard_figure",),
    "exploring.page": ("explore", "explorer_page"),
    "exploring.widget": ("Explorer",),
    "html.page": ("page",),
    "text.tables": ("answer_table", "number_table", "rival_tables", "table"),
    "writing": ("figures", "save_all", "write"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Display",
    "Explorer",
    "answer_table",
    "audit_page",
    "comparison_page",
    "display",
    "displays",
    "explore",
    "explorer_page",
    "figures",
    "leaderboard_figure",
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
    if name in _HOME:
        return getattr(importlib.import_module(f"weightspace.report.{_HOME[name]}"), name)
    return _old(name)


def _old(name: str) -> Any:
    """The display classes of the release before, one for each result; `display` replaces them."""
    if name not in {f"{kind}Display" for kind in _DISPLAYS}:
        raise AttributeError(f"module 'weightspace.report' has no attribute {name!r}")
    warnings.warn(
        f"weightspace.report.{name} is now weightspace.report.display; the old name goes away in "
        "the next release",
        DeprecationWarning,
        stacklevel=2,
    )
    from weightspace.report.notebook import display

    return display
