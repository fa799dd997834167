"""Results for people: tables, figures and one self-contained page.

In: what `meta` and `dissection` return. Out: rich tables for the terminal, matplotlib figures for
print, displays for notebooks, and an HTML page that loads nothing. Promises: every figure is
titled with its finding, computed from the numbers and held to a bar that counts how many were
compared; chance, control and baseline stand beside every accuracy; text from a zoo is never run,
and drawing changes no global state. How the numbers arose is not known here.
"""

from weightspace.report.displays import (
    BareDisplay,
    CalibrationDisplay,
    Display,
    EvaluationDisplay,
    MapDisplay,
    RegressionDisplay,
    SlicesDisplay,
    TrainingDisplay,
    TransferDisplay,
    UnseenDisplay,
    WhatDisplay,
    WhenDisplay,
    WhereDisplay,
    displays,
)
from weightspace.report.drawing.canvas import save
from weightspace.report.page.page import page
from weightspace.report.text.tables import answer_table, number_table, rival_tables, table
from weightspace.report.writing import figures, save_all, write

__all__ = [
    "BareDisplay",
    "CalibrationDisplay",
    "Display",
    "EvaluationDisplay",
    "MapDisplay",
    "RegressionDisplay",
    "SlicesDisplay",
    "TrainingDisplay",
    "TransferDisplay",
    "UnseenDisplay",
    "WhatDisplay",
    "WhenDisplay",
    "WhereDisplay",
    "answer_table",
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
