"""Accuracy over training: how to read the figure, figure and section."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import count
from weightspace.report.drawing import canvas, charts, curves, rows
from weightspace.report.drawing.canvas import Grid, Sheet
from weightspace.report.drawing.section import Section, panels


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure over training."""
    snapshots = count(frame["snapshot"].n_unique(), "snapshot")
    return (
        f"Line: accuracy of classifiers, each trained and tested on one of {snapshots}, from the "
        "start to the end of training. "
        f"They read slices of {curves.values(frame)}, evenly spaced from one end of the "
        "weight vector to the other, so accuracies can differ from those of random slices. "
        f"Blue band: 95 % interval over nets; {curves.GREY}."
    )


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: accuracy over training."""
    grid = Grid(len(order), 4, 1.5)
    sheet = Sheet(findings.when(frame, order), reading(frame), grid.body)
    for index, name in enumerate(order):
        axes = grid.panel(sheet, index, name)
        own = frame.filter(pl.col("property") == name).sort("snapshot").to_dicts()
        curves.curve(axes, [row["fraction"] for row in own], own, grid, index)
        labels = ["0", "100 % of training"] if grid.last_in_column(index) else []
        axes.set_xticks([0, 1], labels)
        canvas.ends_inward(axes)
    return sheet.finish()


def section(frame: pl.DataFrame, order: Sequence[str]) -> Section:
    """The figure, its chart and its numbers."""
    return Section(
        "when",
        "When",
        "When",
        "over training",
        findings.when(frame, order),
        reading(frame),
        rows.when(frame),
        frame,
        panels(frame, order),
        chart=lambda: charts.over_training(),
        draw=lambda: figure(frame, order),
    )
