"""Figures for print: how much, where, in which part, when, and the nets' own training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.headline import Headline, Line
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import canvas, reading, rows
from weightspace.report.drawing.canvas import BAND, BLUE, INK, MUTED, ORANGE, RULE, Grid, Sheet
from weightspace.report.drawing.places import Place, boundaries, places


def much(head: Headline) -> Figure:
    """Accuracy by property as dots with intervals; chance, baseline and control beside them."""
    pitch, left, right = 0.36, 1.35, 1.15
    n = len(head.lines)
    sheet = Sheet(findings.much(head), reading.much(head), 0.32 + pitch * n + 0.32)
    axes = sheet.axes(left, sheet.top + 0.32, canvas.WIDTH - left - right, pitch * n)
    axes.set_xlim(0, 1)
    axes.set_ylim(n - 0.5, -0.5)
    canvas.percent_ticks(axes, "x", (0, 0.25, 0.5, 0.75, 1))
    axes.set_yticks([])
    for row, line in enumerate(head.lines):
        _draw_line(axes, row, line)
        y = sheet.top + 0.32 + pitch * (row + 0.5)
        ink = INK if line.shown else MUTED
        name = label(line.name)
        sheet.write(left - 0.14, y, name, 9.5, ha="right", va="center_baseline", color=ink)
        x = canvas.WIDTH - right + 0.12
        weight = "bold" if line.shown else "normal"
        value = percent(line.accuracy)
        sheet.write(x, y, value, 9.5, weight=weight, va="center_baseline", color=ink)
        spread = interval(line.low, line.high)
        sheet.write(x + 0.42, y, spread, 8, color=MUTED, va="center_baseline")
    _key(sheet, left, head)
    return sheet.finish()


def _draw_line(axes: Axes, row: int, line: Line) -> None:
    if line.control:
        width = line.control.high - line.control.low
        axes.barh(row, width, 0.56, line.control.low, color=BAND, zorder=1.5)
    axes.plot([line.chance] * 2, [row - 0.34, row + 0.34], color=MUTED, linewidth=1.3, zorder=2)
    if line.shallow:
        y, span = row + 0.2, line.shallow
        axes.plot([span.low, span.high], [y, y], color=ORANGE, linewidth=1)
        axes.plot(span.value, y, "o", markersize=4, color="white", markeredgecolor=ORANGE)
    up = row - 0.12 if line.shallow else row
    color = BLUE if line.shown else MUTED
    axes.plot([line.low, line.high], [up] * 2, color=color, linewidth=2.2, solid_capstyle="butt")
    (dot,) = axes.plot([line.accuracy], [up], "o", markersize=6.5, color=color, clip_on=False)
    dot.set_markeredgecolor("white")


def _key(sheet: Sheet, left: float, head: Headline) -> None:
    """The signs of `much`, in one line above the rows."""
    axes = sheet.axes(left, sheet.top + 0.02, canvas.WIDTH - left, 0.22)
    axes.set_xlim(0, canvas.WIDTH - left)
    axes.set_ylim(-1, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    entries = [(f"accuracy ({head.classifier})", "main"), ("chance", "chance")]
    if any(line.shallow for line in head.lines):
        entries.insert(1, ("shallow baseline", "shallow"))
    if any(line.control for line in head.lines):
        entries.append(("meaningless labels", "control"))
    x = 0.12
    for text, sign in entries:
        if sign == "main":
            axes.plot([x - 0.1, x + 0.1], [0, 0], color=BLUE, linewidth=2.2)
            axes.plot(x, 0, "o", markersize=6.5, color=BLUE, markeredgecolor="white")
        elif sign == "shallow":
            axes.plot([x - 0.1, x + 0.1], [0, 0], color=ORANGE, linewidth=1)
            axes.plot(x, 0, "o", markersize=4, color="white", markeredgecolor=ORANGE)
        elif sign == "chance":
            axes.plot([x, x], [-0.7, 0.7], color=MUTED, linewidth=1.3)
        else:
            axes.barh(0, 0.24, 1.3, x - 0.12, color=BAND)
        axes.text(x + 0.19, -0.05, text, fontsize=8, color=MUTED, va="center", parse_math=False)
        x += 0.58 + canvas.text_width(text, 8)


def where(frame: pl.DataFrame, order: Sequence[str], facts: dict[str, Any]) -> Figure:
    """Accuracy along the vector, a panel a property, with the layers' borders."""
    table = frame.filter(pl.col("axis") == "position")
    grid = Grid(len(order), 4, 1.5)
    sheet = Sheet(findings.where(frame), reading.where(table), grid.body)
    edges = boundaries(facts)
    for index, name in enumerate(order):
        axes = grid.panel(sheet, index, name)
        own = table.filter(pl.col("property") == name).sort("start").to_dicts()
        x = [(row["start"] + row["stop"]) / 2 for row in own]
        _curve(axes, x, own, grid, index)
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
    """The words conv and fc above their strips, where there is room for them."""
    for part, color in (("conv", BLUE), ("fc", ORANGE)):
        spans = [edge for edge in edges if edge.part == part]
        if spans and spans[-1].stop - spans[0].start > 0.1:
            middle = (spans[0].start + spans[-1].stop) / 2
            axes.text(middle, 0.03, part, fontsize=7, color=color, ha="center", va="bottom")


def when(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """Accuracy over training, a panel a property."""
    grid = Grid(len(order), 4, 1.5)
    sheet = Sheet(findings.when(frame, order), reading.when(frame), grid.body)
    for index, name in enumerate(order):
        axes = grid.panel(sheet, index, name)
        own = frame.filter(pl.col("property") == name).sort("snapshot").to_dicts()
        _curve(axes, [row["fraction"] for row in own], own, grid, index)
        labels = ["0", "100 % of training"] if grid.last_in_column(index) else []
        axes.set_xticks([0, 1], labels)
        canvas.ends_inward(axes)
    return sheet.finish()


def _curve(
    axes: Axes, x: Sequence[float], own: Sequence[dict[str, Any]], grid: Grid, index: int
) -> None:
    """Accuracy with its interval as a band, and chance as a dashed line that is named once."""
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.05, 1.02)
    canvas.percent_ticks(axes, "y", (0, 0.5, 1), labelled=grid.first_in_row(index))
    if not own:
        return
    low, high = [row["low"] for row in own], [row["high"] for row in own]
    if all(row.get("control_high") is not None for row in own):
        bottom, top = ([row[f"control_{end}"] for row in own] for end in ("low", "high"))
        axes.fill_between(x, bottom, top, color=BAND, linewidth=0)
    axes.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(x, [row["accuracy"] for row in own], color=BLUE, linewidth=1.6)
    chance = own[0]["chance"]
    axes.axhline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    if index == 0:
        axes.text(0.99, chance - 0.03, "chance", fontsize=7, color=MUTED, ha="right", va="top")


def part(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """Accuracy by part and by depth, a panel a property, the places as rows."""
    shown = places(frame)
    grid = Grid(len(order), 4, 0.62 + 0.155 * len(shown), left=1.62)
    sheet = Sheet(findings.parts(frame), reading.part(frame), grid.body)
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


def training(frame: pl.DataFrame) -> Figure:
    """The nets' own test accuracy over training, a panel a data set."""
    endings = rows.endings(frame)
    grid = Grid(len(endings), 3, 1.6)
    sheet = Sheet(findings.training(frame), reading.training(), grid.body)
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
