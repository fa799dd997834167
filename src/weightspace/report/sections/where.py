"""Accuracy along the vector: how to read the figure, figure and section."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.drawing import canvas, charts, curves, rows
from weightspace.report.drawing.canvas import BLUE, ORANGE, RULE, Grid, Sheet
from weightspace.report.drawing.places import Place, boundaries
from weightspace.report.drawing.section import Section, panels


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure along the vector."""
    return (
        f"Horizontal: the net's weight vector from its first layer to its last, read in slices "
        f"of {curves.values(frame)}. Line: accuracy at that place; blue band: 95 % interval over "
        f"nets; {curves.GREY}. Strip at the bottom: conv (blue) and fc (orange) layers, with "
        "borders averaged over nets."
    )


def figure(frame: pl.DataFrame, order: Sequence[str], facts: dict[str, Any]) -> Figure:
    """A panel for each property: accuracy along the vector, with the borders of layers."""
    table = frame.filter(pl.col("axis") == "position")
    grid = Grid(len(order), 4, 1.5)
    sheet = Sheet(findings.where(frame), reading(table), grid.body)
    edges = boundaries(facts)
    for index, name in enumerate(order):
        axes = grid.panel(sheet, index, name)
        own = table.filter(pl.col("property") == name).sort("start").to_dicts()
        x = [(row["start"] + row["stop"]) / 2 for row in own]
        curves.curve(axes, x, own, grid, index)
        for edge in edges:
            axes.axvline(edge.start, color=RULE, linewidth=0.6, zorder=0)
            color = BLUE if edge.part == "conv" else ORANGE
            axes.axhspan(-0.05, 0, edge.start, edge.stop, color=color, alpha=0.45, linewidth=0)
        axes.set_xticks([0, 1], ["start", "end"] if grid.last_in_column(index) else [])
        canvas.ends_inward(axes)
        if index == 0:
            _name_parts(axes, edges)
    return sheet.finish()


def _name_parts(axes: Axes, edges: Sequence[Place]) -> None:
    """Write conv and fc above their strips, where there is room for them."""
    for part, color in (("conv", BLUE), ("fc", ORANGE)):
        spans = [edge for edge in edges if edge.part == part]
        if spans and spans[-1].stop - spans[0].start > 0.1:
            middle = (spans[0].start + spans[-1].stop) / 2
            axes.text(middle, 0.03, part, fontsize=7, color=color, ha="center", va="bottom")


def section(frame: pl.DataFrame, order: Sequence[str], facts: dict[str, Any]) -> Section:
    """The figure, its chart and its numbers; the borders of layers come from `facts`."""
    position = frame.filter(axis="position")
    return Section(
        "where",
        "Where",
        "Where, along the weight vector",
        "along the weight vector",
        findings.where(frame),
        reading(position),
        rows.where(frame),
        position,
        panels(position, order),
        rows.layers(facts),
        key=(
            ("dot-blue", "accuracy; in the strip at the bottom: conv layers"),
            ("dot-orange", "in the strip: fc layers"),
        ),
        chart=lambda: charts.along(),
        draw=lambda: figure(frame, order, facts),
    )
