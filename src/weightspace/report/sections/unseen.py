"""Nets with a level that is left out of training: findings, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims.findings import corrected, lost
from weightspace.report.claims.words import label, listing, percent, sentence
from weightspace.report.drawing.section import Section, panels
from weightspace.report.sections import cells

UNITS = {"unseen": "slice", "unseen_whole": "net"}
"""The figures by name, each with the unit that it shows."""

_FROM = {"slice": "slices", "net": "whole nets"}
_EVENLY = "slices at equal distances from the first weight to the last"
_READING = (
    "Each row: a property; classifiers are trained without the nets of one of its levels, and "
    "tested on those nets, for each level in turn. Large numbers: their accuracy in percent, "
    "from {source}, mean over levels. Colour: from chance (dark) to always right (bright). Small "
    "numbers: percentage points lost, before rounding, against classifiers trained on as many nets "
    "of all levels, where significant. Exclamation mark: not above chance at one level or more."
)


def _reading(unit: str) -> str:
    return _READING.format(source=_EVENLY if unit == "slice" else _FROM[unit])


def shown(frame: pl.DataFrame, unit: str, order: Sequence[str] = ()) -> pl.DataFrame:
    """A row for each property and each property left out, as the mean over all its levels.

    `name` is the text of the row. `weak`: whether the accuracy at some level is not above chance
    and above that from permuted labels. `worst`: the level with the lowest accuracy, and that
    accuracy.
    """
    own = frame.filter(pl.col("unit") == unit, pl.col("level").is_null())
    lines = panels(own, order, "without")
    own = own.sort(pl.col("without").replace_strict(lines, range(len(lines))), maintain_order=True)
    names = [f"new {label(name)}" for name in own["without"]]
    own = own.with_columns(pl.Series("name", names, pl.String)).drop("level", "unit")
    bar = pl.max_horizontal("chance", "control_high")
    levels = _levels(frame, unit).sort("accuracy").group_by("property", "without")
    ends = levels.agg(
        weak=(pl.col("low") <= bar).any(),
        worst=pl.format(
            "{}: {} %", pl.first("level"), (100 * pl.first("accuracy")).round().cast(pl.Int64)
        ),
    )
    return own.join(ends, on=("property", "without"), how="left", maintain_order="left")


def _levels(frame: pl.DataFrame, unit: str) -> pl.DataFrame:
    """A row for each property, each property left out and each of its levels."""
    return frame.filter(pl.col("unit") == unit, pl.col("level").is_not_null())


def finding(frame: pl.DataFrame, unit: str) -> str:
    """The largest loss, and the properties that are read at every level left out."""
    own = shown(frame, unit)
    if own.is_empty():
        return "No property could be left out"
    told = [_most_lost(frame, unit)]
    tries = own.height
    kept = [label(p) for p in _by_skill(own) if _readable(own.filter(property=p), tries)]
    if kept:
        told.append(f"{listing(kept)} can be predicted whatever level is left out")
    elif told[0]:
        told.append("no property can be predicted whatever level is left out")
    if not any(told):
        return "No accuracy is significantly lower on nets with levels left out of training"
    return sentence("; ".join(filter(None, told)))


def _most_lost(frame: pl.DataFrame, unit: str) -> str:
    """The largest significant loss, at one level where levels are known; else empty."""
    rows = _levels(frame, unit)
    rows = frame.filter(unit=unit) if rows.is_empty() else rows
    significant = [row for row in rows.to_dicts() if lost(row, rows.height)]
    if not significant:
        return ""
    top = max(significant, key=lambda row: row["drop"])
    left_out = label(top["without"]) + (f" ({top['level']})" if top["level"] else "")
    return (
        f"{label(top['property'])} falls from {percent(top['known'])} to "
        f"{percent(top['accuracy'])} on nets whose {left_out} is not in the training set"
    )


def _by_skill(own: pl.DataFrame) -> list[str]:
    skill = pl.col("accuracy").mean() - pl.col("chance").first()
    return (
        own.group_by("property").agg(skill).sort("accuracy", descending=True)["property"].to_list()
    )


def _readable(own: pl.DataFrame, tries: int) -> bool:
    """Whether a property is significantly above chance, whatever level is left out."""
    return not own["weak"].any() and all(
        corrected(row["accuracy"], row["low"], tries) > row["chance"]
        and row["accuracy"] > (row["control_high"] or 0)
        for row in own.to_dicts()
    )


def figure(frame: pl.DataFrame, unit: str, order: Sequence[str]) -> Figure:
    """A cell for each property and each property left out, with the accuracy in percent."""
    own = shown(frame, unit, order)
    return cells.figure(
        own,
        finding(frame, unit),
        _reading(unit),
        order,
    )


def sections(frame: pl.DataFrame, order: Sequence[str]) -> list[Section]:
    """The page's sections."""
    return [
        _section(frame, name, unit, order)
        for name, unit in UNITS.items()
        if not shown(frame, unit).is_empty()
    ]


def _section(frame: pl.DataFrame, name: str, unit: str, order: Sequence[str]) -> Section:
    own = shown(frame, unit, order)
    return Section(
        name,
        "How sure",
        f"How sure, for levels left out of training, from {_FROM[unit]}",
        f"levels left out, {_FROM[unit]}",
        finding(frame, unit),
        _reading(unit),
        cells.page_rows(own),
        frame.filter(unit=unit).drop("unit"),
        key=(
            *cells.key("accuracy, and points lost"),
            ("mark", "not above chance at some level"),
        ),
        broad=True,
        chart=lambda: cells.chart(own, order),
        draw=lambda: figure(frame, unit, order),
    )
