"""Accuracy by part of a net and by depth: how to read the figure, figure and section."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BLUE, MUTED, ORANGE, Grid, Sheet
from weightspace.report.drawing.places import Place, places
from weightspace.report.drawing.section import Section, panels


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure by part and depth."""
    text = (
        "Each row: classifiers that read only the layers of one kind, or only one layer. Dots: "
        "accuracy; lines: 95 % intervals over nets; dashed: chance."
    )
    if not frame["running_stats"].all():
        text += " Hollow dots: without batch norm's running statistics."
    lengths = frame.filter(pl.col("axis") == "part")["slice_length"].unique()
    if len(lengths) == 1:
        text += f" Layers of one kind are read in slices of {int(lengths[0]):,} weights; for a"
        text += " single layer, the number after its name is the length of a slice."
    return text


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: accuracy by part and by depth, the places as rows."""
    shown = places(frame)
    grid = Grid(len(order), 4, 0.62 + 0.155 * len(shown), left=1.62)
    sheet = Sheet(findings.parts(frame), reading(frame), grid.body)
    for index, name in enumerate(order):
        axes = grid.panel(sheet, index, name)
        own = frame.filter(pl.col("property") == name)
        _dots(axes, shown, own)
        canvas.percent_ticks(axes, "x", (0, 0.5, 1), labelled=grid.last_in_column(index))
        if grid.first_in_row(index):
            axes.set_yticks([place.y for place in shown], [place.text for place in shown])
        else:
            axes.set_yticks([])
        if index == 0 and own.height:
            chance = own["chance"][0]
            axes.text(chance + 0.02, -0.75, "chance", fontsize=7, color=MUTED, va="center")
    return sheet.finish()


def _dots(axes: Axes, shown: Sequence[Place], own: pl.DataFrame) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(shown[-1].y + 0.6, -1.1)
    if own.height:
        axes.axvline(own["chance"][0], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    for place in shown:
        for row in own.filter(place.match).to_dicts():
            color = BLUE if place.part == "conv" else ORANGE
            fill = color if place.running_stats else "white"
            axes.plot([row["low"], row["high"]], [place.y] * 2, color=color, linewidth=1.3)
            at = (row["accuracy"], place.y)
            axes.plot(*at, "o", markersize=4.2, color=fill, markeredgecolor=color, clip_on=False)


def section(frame: pl.DataFrame, order: Sequence[str]) -> Section:
    """The figure, its chart and its numbers."""
    inner = frame.filter(pl.col("axis") != "position")
    part_rows, part_order = rows.parts(frame)
    return Section(
        "part",
        "Where",
        "Where, by kind of layer and depth",
        "by kind of layer and depth",
        findings.parts(frame),
        reading(frame),
        part_rows,
        inner,
        panels(inner, order),
        key=(("dot-blue", "conv layers"), ("dot-orange", "fc layers")),
        wide=True,
        chart=lambda: charts.parts(part_order),
        draw=lambda: figure(frame, order),
    )
