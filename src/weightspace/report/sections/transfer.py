"""What was learned at one moment, tested at another: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import altair as alt
import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import (
    count,
    label,
    listing,
    percent,
    sentence,
    share_of_training,
)
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import MUTED, Grid, Sheet
from weightspace.report.drawing.section import Section, panels

SCALE: Literal["viridis"] = "viridis"
"""Even to the eye from end to end, whatever the paper and whoever looks."""


def finding(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """What is learned first and still right last, and whose trace changes on the way."""
    first, last = frame["tested"].min(), frame["tested"].max()
    # Three corners of every map are asked about.
    tries = 3 * findings.comparisons(frame)
    kept, changed = [], []
    for name in panels(frame, order):
        corners = {
            (row["learned"], row["tested"]): row
            for row in frame.filter(property=name).to_dicts()
            if row["learned"] in (first, last) and row["tested"] in (first, last)
        }
        if len(corners) < 4:
            continue
        across, start, end = corners[first, last], corners[first, first], corners[last, last]
        told_early, told_late = (findings.above(r, r["chance"], tries) for r in (start, end))
        # A judge that learned nothing may side with some level later, by the luck of one draw,
        # which neither nets drawn anew nor permuted labels show.
        if told_early and findings.above(across, across["chance"], tries):
            kept.append(f"{label(name)} ({percent(across['accuracy'])})")
        loss = findings.contrast([end, across], tries)
        if told_early and told_late and loss and loss.best is end:
            changed.append(loss)
    early = share_of_training(frame["learned_fraction"].min())  # type: ignore[arg-type]
    late = share_of_training(frame["tested_fraction"].max())  # type: ignore[arg-type]
    if not kept and not changed:
        return f"Nothing that is learned {early} is clearly legible {late}"
    told = []
    if kept:
        told.append(f"learned {early}, {listing(kept)} can still be read {late}")
    if changed:
        top = max(changed, key=lambda c: c.best["accuracy"] - c.worst["accuracy"])
        worst, best = percent(top.worst["accuracy"]), percent(top.best["accuracy"])
        told.append(
            f"the trace of {label(top.best['property'])} changes on the way ({worst} instead of "
            f"{best})"
        )
    return sentence("; ".join(told))


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure."""
    moments = count(frame["tested"].n_unique(), "moment")
    length = int(frame["slice_length"][0])
    return (
        f"Each square: a classifier that learned at one of {moments} of training (from bottom to "
        f"top) is tested at another (from left to right), on other nets, reading {length:,} "
        "weights at a time. Colour: from chance (dark) to always right (bright). On the diagonal "
        "both moments are the same; where the colour stays bright away from it, the trace in the "
        "weights stays the same."
    )


def chart() -> dict[str, Any]:
    """The page's panel: a square a pair of moments; `extra` holds the moments in words."""
    words = alt.LookupData(data=charts.EXTRA, key="snapshot", fields=["text"])
    base = (
        alt.Chart(charts.ROWS)
        .transform_lookup("s", from_=words, as_=["tip_learned"])
        .transform_lookup("t", from_=words, as_=["tip_tested"])
        .transform_calculate(
            skill="max(0, (datum.a - datum.c) / (1 - datum.c))",
            tip_shown=f"{_SHOWN[0]} + ' % (' + {_SHOWN[1]} + '–' + {_SHOWN[2]} + ' %), chance ' + "
            f"{_SHOWN[3]} + ' %'",
        )
    )
    axis = alt.Axis(labels=False, grid=False)
    drawn = base.mark_rect().encode(
        x=alt.X("t:O", axis=axis.copy(), scale=alt.Scale(paddingInner=0)).title("tested →"),
        y=alt.Y("s:O", axis=axis.copy(), sort="descending").title("learned →"),
        color=alt.Color(
            "skill:Q", scale=alt.Scale(scheme=SCALE, domain=[0, 1], clamp=True), legend=None
        ),
        tooltip=charts.tips("learned", "tested", "shown"),
    )
    return charts.plain(drawn.properties(width="container", height=190))


_SHOWN = [f"format(100 * datum.{name}, '.0f')" for name in "alhc"]


def page_rows(frame: pl.DataFrame) -> list[rows.Row]:
    """A row a property x pair of moments, under short names: there are thousands."""
    short = {"learned": "s", "tested": "t", "accuracy": "a", "low": "l", "high": "h", "chance": "c"}
    table = frame.with_columns(pl.col("accuracy", "low", "high", "chance").round(3))
    return [
        {"property": row["property"]} | {new: _plain(row[old]) for old, new in short.items()}
        for row in table.select("property", *short).to_dicts()
    ]


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def moments(frame: pl.DataFrame) -> list[rows.Row]:
    """A row a snapshot: what it is called."""
    known = frame.select("tested", "tested_fraction").unique(maintain_order=True).sort("tested")
    return [
        {"snapshot": number, "text": f"snapshot {number}, {share_of_training(fraction)}"}
        for number, fraction in known.iter_rows()
    ]


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel a property: the map of moments, coloured from chance to always right."""
    names = panels(frame, order)
    grid = Grid(len(names), 4, 2.02)
    sheet = Sheet(finding(frame, order), reading(frame), grid.body + canvas.KEY + 0.12)
    scale(sheet)
    numbers = frame["tested"].unique().sort().to_list()
    place = {number: i for i, number in enumerate(numbers)}
    for index, name in enumerate(names):
        axes = grid.panel(sheet, index, name)
        skill = np.full((len(numbers), len(numbers)), np.nan)
        for row in frame.filter(property=name).to_dicts():
            if row["learned"] in place:
                at = place[row["learned"]], place[row["tested"]]
                skill[at] = (row["accuracy"] - row["chance"]) / (1 - row["chance"])
        _map(axes, skill)
        n = len(numbers)
        bottom, left = grid.last_in_column(index), grid.first_in_row(index)
        axes.set_xticks([0, n - 1], ["start", "end"] if bottom else ["", ""])
        axes.set_yticks([0, n - 1], ["start", "end"] if left else ["", ""])
        canvas.ends_inward(axes)
        if bottom:
            axes.set_xlabel("tested", fontsize=8, color=MUTED, labelpad=-8)
        if left:
            axes.set_ylabel("learned", fontsize=8, color=MUTED, labelpad=-16)
    return sheet.finish()


def _map(axes: Axes, skill: np.ndarray) -> None:
    axes.imshow(
        skill, cmap=mpl.colormaps[SCALE], vmin=0, vmax=1, origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip


def scale(sheet: Sheet, low: str = "chance", high: str = "always right") -> None:
    """The colours' meaning, in one line on top of the sheet's body, which begins below it."""
    y, left, width = sheet.top + 0.06, 0.12, 1.6
    left += canvas.text_width(low, 8) + 0.1
    axes = sheet.axes(left, y, width, 0.12)
    _map(axes, np.linspace(0, 1, 256)[None])
    axes.set_xticks([])
    axes.set_yticks([])
    middle = y + 0.065
    sheet.write(left - 0.08, middle, low, 8, ha="right", va="center_baseline", color=MUTED)
    sheet.write(left + width + 0.08, middle, high, 8, va="center_baseline", color=MUTED)
    sheet.top += canvas.KEY + 0.06


def section(frame: pl.DataFrame, order: Sequence[str]) -> Section:
    """The page's section."""
    cells = frame["tested"].n_unique() * frame["learned"].n_unique()
    return Section(
        "transfer",
        "When",
        "When, from one moment to another",
        "between moments",
        finding(frame, order),
        reading(frame),
        chart(),
        page_rows(frame),
        frame.clear(),
        panels(frame, order),
        moments(frame),
        key=(("scale", "from chance (left) to always right"),),
        note=(
            f"{cells:,} pairs of moments a property are too many for a table here: point at a "
            "square for its numbers; all of them are in transfer.parquet."
        ),
        draw=lambda: figure(frame, order),
    )
