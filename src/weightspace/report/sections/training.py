"""The test accuracy of the nets on their own tasks, by data set."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import interval, percent
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BLUE, Grid, Sheet
from weightspace.report.drawing.section import Section


def reading() -> str:
    """How to read the figure of the nets' own training."""
    return (
        "Test accuracy of the nets in classifying images, a panel for each data set. Line: median "
        "over nets, from the start to the end of training; band: the middle 80 % of the nets. At "
        "each name: the median at the end."
    )


def figure(frame: pl.DataFrame) -> Figure:
    """A panel for each data set: the nets' own test accuracy over training."""
    endings = rows.endings(frame)
    grid = Grid(len(endings), 3, 1.6)
    sheet = Sheet(findings.training(frame), reading(), grid.body)
    for index, (name, last) in enumerate(endings.items()):
        axes = grid.panel(sheet, index, f"{name}: {percent(last['accuracy'])}")
        line = frame.filter(pl.col("dataset") == name).sort("snapshot")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        canvas.percent_ticks(axes, "y", (0, 0.5, 1), labelled=grid.first_in_row(index))
        axes.fill_between(
            line["fraction"], line["low"], line["high"], color=BLUE, alpha=0.2, linewidth=0
        )
        axes.plot(line["fraction"], line["accuracy"], color=BLUE, linewidth=1.6)
        axes.set_xticks([0, 1], ["0", "100 % of training"] if grid.last_in_column(index) else [])
        canvas.ends_inward(axes)
    return sheet.finish()


def section(frame: pl.DataFrame) -> Section:
    """The figure, its chart and its numbers."""
    endings = rows.endings(frame)
    return Section(
        "training",
        "When",
        "When: the nets' own accuracy",
        "the nets' own accuracy",
        findings.training(frame),
        reading(),
        rows.training(frame),
        frame,
        list(endings),
        details={
            name: f"ends at {percent(row['accuracy'])}; middle 80 % of nets: "
            f"{interval(row['low'], row['high'])}"
            for name, row in endings.items()
        },
        wide=True,
        chosen=False,
        chart=lambda: charts.training(),
        draw=lambda: figure(frame),
    )
