"""How well each property is read from slices and from whole nets."""

from __future__ import annotations

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.headline import Headline, Line, headline
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BAND, BLUE, INK, MUTED, ORANGE, Sheet
from weightspace.report.drawing.section import Key, Section


def reading(head: Headline) -> str:
    """How to read the figure of how much."""
    text = (
        "Dots: accuracy on nets outside the training set, with 95 % intervals over nets. Rows are "
        "sorted by how much the weights encode: by the share of the way from chance to 100 % that "
        "the accuracy covers."
    )
    if any(line.control for line in head.lines):
        text += " Grey bars: 95 % of the accuracies from permuted labels lie in them."
    if not all(line.shown for line in head.lines):
        text += " Grey dots: properties that are not shown to be encoded."
    return text


def figure(head: Headline) -> Figure:
    """Dots of accuracy with intervals by property, beside chance, baseline and control."""
    pitch, left = 0.36, 1.35
    n = len(head.lines)
    values = [percent(line.accuracy) for line in head.lines]
    spreads = [interval(line.low, line.high) for line in head.lines]
    room = max(canvas.text_width(value, 9.5, "bold") for value in values) + 0.08
    right = 0.12 + room + max(canvas.text_width(spread, 8) for spread in spreads) + 0.12
    sheet = Sheet(findings.much(head), reading(head), 0.32 + pitch * n + 0.32)
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
        sheet.write(x, y, values[row], 9.5, weight=weight, va="center_baseline", color=ink)
        sheet.write(x + room, y, spreads[row], 8, color=MUTED, va="center_baseline")
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
    """Draw the key of the figure in one line above the rows."""
    axes = sheet.axes(left, sheet.top + 0.02, canvas.WIDTH - left, 0.22)
    axes.set_xlim(0, canvas.WIDTH - left)
    axes.set_ylim(-1, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    entries = [(f"accuracy ({head.classifier})", "main"), ("chance", "chance")]
    if any(line.shallow for line in head.lines):
        entries.insert(1, ("shallow baseline", "shallow"))
    if any(line.control for line in head.lines):
        entries.append(("permuted labels", "control"))
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


def sections(frame: pl.DataFrame) -> list[Section]:
    """The sections of slices (of nets, where the evaluation has no slices) and of whole nets."""
    head = headline(frame)
    found = [_section("much", "How much", "from slices", head, frame)]
    if "net" in frame["unit"] and head.unit != "net":
        whole = headline(frame, "net")
        found.append(_section("whole", "How much, from whole nets", "whole nets", whole, frame))
    return found


def _section(name: str, kicker: str, short: str, head: Headline, frame: pl.DataFrame) -> Section:
    key: Key = (("dot-blue", "accuracy"),)
    if head.lines[0].shallow:
        key += (("dot-small", "shallow baseline"),)
    key += (("tick", "chance"),)
    if head.lines[0].control:
        key += (("band", "permuted labels"),)
    return Section(
        name,
        "How much",
        kicker,
        short,
        findings.much(head),
        reading(head),
        rows.much(head),
        frame.filter(unit=head.unit),
        key=key,
        chart=lambda: charts.much([label(line) for line in head.properties]),
        draw=lambda: figure(head),
    )
