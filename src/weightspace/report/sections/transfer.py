"""Classifiers trained on one snapshot and tested on another: finding, chart and figure."""

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
"""A colour map with even steps of lightness, also in grey and for colour-blind readers."""


def finding(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """What classifiers trained on the first snapshot still read on the last, and what they lose."""
    first, last = frame["tested"].min(), frame["tested"].max()
    # Three corners of every map are tested.
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
        early, late = (findings.above(row, row["chance"], tries) for row in (start, end))
        # A classifier that is at chance on its own snapshot may prefer one level on later ones, by
        # chance of a single draw. Neither resampled nets nor permuted labels show this error.
        if early and findings.above(across, across["chance"], tries):
            kept.append(f"{label(name)} ({percent(across['accuracy'])})")
        loss = findings.contrast([end, across], tries)
        if early and late and loss and loss.best is end:
            changed.append(loss)
    begin = share_of_training(frame["learned_fraction"].min())  # type: ignore[arg-type]
    end_of = share_of_training(frame["tested_fraction"].max())  # type: ignore[arg-type]
    if not kept and not changed:
        return (
            f"Classifiers trained on snapshots {begin} predict no property significantly above "
            f"chance {end_of}"
        )
    told = []
    if kept:
        told.append(
            f"classifiers trained on snapshots {begin} still predict {listing(kept)} {end_of}"
        )
    if changed:
        top = max(changed, key=lambda c: c.best["accuracy"] - c.worst["accuracy"])
        worst, best = percent(top.worst["accuracy"]), percent(top.best["accuracy"])
        told.append(
            f"for {label(top.best['property'])}, training on snapshots {begin} lowers the accuracy "
            f"{end_of} from {best} to {worst}"
        )
    return sentence("; ".join(told))


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure."""
    snapshots = count(frame["tested"].n_unique(), "snapshot")
    length = int(frame["slice_length"][0])
    return (
        f"Each square: a classifier trained on one of {snapshots} (from bottom to top) and tested "
        f"on another (from left to right), on other nets, with slices of {length:,} weights. "
        "Colour: from chance (dark) to always right (bright). On the diagonal both snapshots are "
        "the same. Bright colours away from the diagonal: the weights encode the property in the "
        "same way at both snapshots."
    )


def chart() -> dict[str, Any]:
    """The page's panel: a square for each pair of snapshots, which `extra` names in words."""
    words = alt.LookupData(data=charts.EXTRA, key="snapshot", fields=["text"])
    base = (
        alt.Chart(charts.ROWS)
        .transform_lookup("s", from_=words, as_=["tip_trained on"])
        .transform_lookup("t", from_=words, as_=["tip_tested on"])
        .transform_calculate(
            skill="max(0, (datum.a - datum.c) / (1 - datum.c))",
            tip_shown=f"{_SHOWN[0]} + ' % (' + {_SHOWN[1]} + '–' + {_SHOWN[2]} + ' %), chance ' + "
            f"{_SHOWN[3]} + ' %'",
        )
    )
    axis = alt.Axis(labels=False, grid=False)
    drawn = base.mark_rect().encode(
        x=alt.X("t:O", axis=axis.copy(), scale=alt.Scale(paddingInner=0)).title("tested on →"),
        y=alt.Y("s:O", axis=axis.copy(), sort="descending").title("trained on →"),
        color=alt.Color(
            "skill:Q", scale=alt.Scale(scheme=SCALE, domain=[0, 1], clamp=True), legend=None
        ),
        tooltip=charts.tips("trained on", "tested on", "shown"),
    )
    return charts.plain(drawn.properties(width="container", height=190))


_SHOWN = [f"format(100 * datum.{name}, '.0f')" for name in "alhc"]


def page_rows(frame: pl.DataFrame) -> list[rows.Row]:
    """A row for each property and pair of snapshots; short names, as there are thousands."""
    short = {"learned": "s", "tested": "t", "accuracy": "a", "low": "l", "high": "h", "chance": "c"}
    table = frame.with_columns(pl.col("accuracy", "low", "high", "chance").round(3))
    return [
        {"property": row["property"]} | {new: _plain(row[old]) for old, new in short.items()}
        for row in table.select("property", *short).to_dicts()
    ]


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def snapshots(frame: pl.DataFrame) -> list[rows.Row]:
    """A row for each snapshot: its number and its text."""
    known = frame.select("tested", "tested_fraction").unique(maintain_order=True).sort("tested")
    return [
        {"snapshot": number, "text": f"snapshot {number}, {share_of_training(fraction)}"}
        for number, fraction in known.iter_rows()
    ]


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: pairs of snapshots, coloured from chance to always right."""
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
            axes.set_xlabel("tested on", fontsize=8, color=MUTED, labelpad=-8)
        if left:
            axes.set_ylabel("trained on", fontsize=8, color=MUTED, labelpad=-16)
    return sheet.finish()


def _map(axes: Axes, skill: np.ndarray) -> None:
    axes.imshow(
        skill, cmap=mpl.colormaps[SCALE], vmin=0, vmax=1, origin="lower", aspect="auto",
        interpolation="nearest",
    )  # fmt: skip


def scale(sheet: Sheet, low: str = "chance", high: str = "always right") -> None:
    """Draw the colour scale in one line on top of the sheet's body; the body moves below it."""
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
        "When, from one snapshot to another",
        "between snapshots",
        finding(frame, order),
        reading(frame),
        page_rows(frame),
        frame.clear(),
        panels(frame, order),
        snapshots(frame),
        key=(("scale", "from chance (left) to always right"),),
        note=(
            f"This page has no table of all {cells:,} pairs of snapshots for each property. Point "
            "at a square to see its numbers; all of them are in transfer.parquet."
        ),
        chart=lambda: chart(),
        draw=lambda: figure(frame, order),
    )
