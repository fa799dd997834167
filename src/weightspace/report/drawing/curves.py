"""Accuracy as a curve with its interval, and the text that says how to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from weightspace.report.claims.words import count
from weightspace.report.drawing import canvas
from weightspace.report.drawing.canvas import BAND, BLUE, MUTED, Grid

GREY = "grey band: accuracy from permuted labels; dashed: chance"


def curve(
    axes: Axes, x: Sequence[float], own: Sequence[dict[str, Any]], grid: Grid, index: int
) -> None:
    """Draw accuracy with its interval as a band, and chance as a dashed line, named once."""
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


def values(frame: pl.DataFrame) -> str:
    """How many weights are read at a time, in words."""
    lengths = frame["slice_length"].unique().sort().to_list()
    if len(lengths) == 1:
        return count(lengths[0], "weight")
    return f"{lengths[0]:,} to {lengths[-1]:,} weights"
