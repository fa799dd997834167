"""A grid of accuracies as coloured cells, a column for each property: chart, rows and figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import Sheet
from weightspace.report.drawing.section import Key, panels
from weightspace.report.sections.transfer import SCALE, scale


def names(frame: pl.DataFrame) -> list[str]:
    """The names of the grid's lines, in the order of the frame's column `name`."""
    return frame["name"].unique(maintain_order=True).to_list()


def chart(frame: pl.DataFrame, order: Sequence[str], loss: str = "loss") -> dict[str, Any]:
    """The page's chart of a frame with columns `name` and `property`; `loss` names the drop."""
    lines, columns = names(frame), [label(name) for name in panels(frame, order)]
    x = alt.X(
        "column:N",
        sort=columns,
        title=None,
        axis=alt.Axis(orient="top", labelAngle=-45, labelColor=charts.INK, grid=False),
    )
    y = alt.Y(
        "name:N",
        sort=lines,
        title=None,
        axis=alt.Axis(labelLimit=180, labelColor=charts.INK, grid=False),
    )
    base = alt.Chart(charts.ROWS).encode(x=x, y=y)
    known = ("group", "shown", loss, *(["worst"] if "worst" in frame.columns else []))
    tips = charts.tips(*known)
    ink = alt.condition("datum.skill > 0.55", alt.value("#000000"), alt.value("#ffffff"))
    color = alt.Color(
        "skill:Q", scale=alt.Scale(scheme=SCALE, domain=[0, 1], clamp=True), legend=None
    )
    layers = [
        base.mark_rect().encode(color=color, tooltip=tips),
        base.mark_text(fontSize=10, align="right", dx=3).encode(
            text="text:N", color=ink, tooltip=tips
        ),
        base.mark_text(fontSize=8.5, align="left", dx=5).encode(
            text="lost:N", color=ink, tooltip=tips
        ),
    ]
    height = 24 * len(lines)
    return charts.plain(alt.layer(*layers).properties(width="container", height=height))


def key(pair: str) -> Key:
    """The key: what a cell's numbers and its colour mean."""
    return (("pair", pair), ("scale", "from chance (left) to always right"))


def page_rows(frame: pl.DataFrame, loss: str = "loss") -> list[rows.Row]:
    """A row for each cell; the frame has name, property, accuracy, low, high, chance and drop.

    Where the frame has control_low and control_high, tooltips show the accuracy from permuted
    labels. Where it has `weak`, cells with that mark get an exclamation mark, and tooltips show
    `worst`. A loss is shown where it is significant, corrected for the number of cells.
    """
    worst = "worst" in frame.columns
    return [
        {"name": row["name"], "column": label(row["property"]), "skill": rows.number(_skill(row))}
        | {"text": f"{100 * row['accuracy']:.0f}", "lost": _lost(row, frame.height)}
        | {"tip_group": f"{label(row['property'])}: {row['name']}"}
        | {f"tip_{loss}": _loss(row)}
        | ({"tip_worst": row["worst"]} if worst else {})
        | {
            "tip_shown": f"{percent(row['accuracy'])} ({interval(row['low'], row['high'])}), "
            f"chance {percent(row['chance'])}{_control(row)}"
        }
        for row in frame.to_dicts()
    ]


def _skill(row: dict[str, Any]) -> float:
    accuracy: float = row["accuracy"]
    chance: float = row["chance"]
    return max(0.0, (accuracy - chance) / (1 - chance))


def _control(row: dict[str, Any]) -> str:
    if row.get("control_high") is None:
        return ""
    return f", permuted labels {interval(row['control_low'], row['control_high'])}"


def _loss(row: dict[str, Any]) -> str:
    if row["drop"] is None:
        return "–"
    text = f"{100 * row['drop']:.1f}"
    if row["drop_low"] is None:
        return text
    return f"{text} ({100 * row['drop_low']:.1f} to {100 * row['drop_high']:.1f})"


def _lost(row: dict[str, Any], tries: int) -> str:
    """The text beside a cell's accuracy: its loss if that is significant, a mark if weak."""
    points = round(100 * row["drop"]) if findings.lost(row, tries) else 0
    text = f"\N{MINUS SIGN}{points}" if points > 0 else ""
    return f"{text} !".strip() if row.get("weak") else text


def figure(frame: pl.DataFrame, title: str, reading: str, order: Sequence[str]) -> Figure:
    """A cell for each line and property: accuracy in percent and, small, a significant loss.

    Cells without an accuracy are blank.
    """
    columns, lines = panels(frame, order), names(frame)
    left, pitch = 1.9, 0.24
    sheet = Sheet(title, reading, canvas.KEY + 0.95 + pitch * len(lines))
    scale(sheet)
    width = canvas.WIDTH - left - 0.25
    axes = sheet.axes(left, sheet.top + 0.7, width, pitch * len(lines))
    skill = np.full((len(lines), len(columns)), np.nan)
    for row in frame.to_dicts():
        at = lines.index(row["name"]), columns.index(row["property"])
        skill[at] = _skill(row)
        ink = "black" if skill[at] > 0.55 else "white"
        share = f"{100 * row['accuracy']:.0f}"
        y = at[0] + 0.14  # of the baseline, so that both sizes stand on it
        axes.text(at[1] + 0.02, y, share, fontsize=7, color=ink, ha="right")
        axes.text(at[1] + 0.07, y, _lost(row, frame.height), fontsize=5.5, color=ink)
    axes.imshow(
        skill, cmap=mpl.colormaps[SCALE], vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    axes.xaxis.tick_top()
    axes.set_xticks(range(len(columns)), [label(name) for name in columns])
    for text in axes.get_xticklabels():
        text.set(rotation=40, horizontalalignment="left", rotation_mode="anchor")
    axes.set_yticks(range(len(lines)), lines)
    return sheet.finish()
