"""Nets of a kind that no teacher had: findings, chart and figure of levels left out."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims.findings import lost, widened
from weightspace.report.claims.words import label, listing, percent, sentence
from weightspace.report.drawing.section import Section, panels
from weightspace.report.sections import cells

UNITS = {"unseen": "slice", "unseen_whole": "net"}
"""Figures by name, and the unit that each shows."""

_FROM = {"slice": "slices", "net": "whole nets"}
_EVENLY = "slices at equal distances from the first weight to the last"
_READING = (
    "Each line: a property of which one level after the other was kept from the classifiers that "
    "learned. Large: their accuracy, in percent, on nets of the level they never met, read off "
    "{source}, mean over levels; colour: from chance (dark) to always right (bright). Small: the "
    "points lost against classifiers that learned from as many nets, of all levels, before "
    "rounding, where clear; exclamation mark: not clearly better than luck at one level or more."
)


def _reading(unit: str) -> str:
    return _READING.format(source=_EVENLY if unit == "slice" else _FROM[unit])


def shown(frame: pl.DataFrame, unit: str, order: Sequence[str] = ()) -> pl.DataFrame:
    """A row a property and property left out, all its levels together, named for the reader.

    `weak`: whether nets of some level were not read above chance and above what meaningless
    labels reach; `worst`: the level that was read worst, with its accuracy.
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
    """A row a property, property left out and level of that."""
    return frame.filter(pl.col("unit") == unit, pl.col("level").is_not_null())


def finding(frame: pl.DataFrame, unit: str) -> str:
    """What a property loses most by, and what holds for nets of any kind."""
    own = shown(frame, unit)
    if own.is_empty():
        return "No property could be left out"
    told = [_most_lost(frame, unit)]
    tries = own.height
    kept = [label(p) for p in _by_skill(own) if _legible(own.filter(property=p), tries)]
    if kept:
        told.append(f"{listing(kept)} can be read off nets of any new kind")
    elif told[0]:
        told.append("no property can be read off nets of every new kind")
    if not any(told):
        return "Nothing is clearly lost on nets of a kind that was never taught"
    return sentence("; ".join(filter(None, told)))


def _most_lost(frame: pl.DataFrame, unit: str) -> str:
    """The largest clear loss, of one level where levels are known; else nothing."""
    rows = _levels(frame, unit)
    rows = frame.filter(unit=unit) if rows.is_empty() else rows
    clear = [row for row in rows.to_dicts() if lost(row, rows.height)]
    if not clear:
        return ""
    top = max(clear, key=lambda row: row["drop"])
    kind = label(top["without"]) + (f", {top['level']}," if top["level"] else "")
    return (
        f"{label(top['property'])} falls from {percent(top['known'])} to "
        f"{percent(top['accuracy'])} on nets whose {kind} was never taught"
    )


def _by_skill(own: pl.DataFrame) -> list[str]:
    skill = pl.col("accuracy").mean() - pl.col("chance").first()
    return (
        own.group_by("property").agg(skill).sort("accuracy", descending=True)["property"].to_list()
    )


def _legible(own: pl.DataFrame, tries: int) -> bool:
    """Whether a property is clearly above chance whatever was left out, at every level of it."""
    return not own["weak"].any() and all(
        widened(row["accuracy"], row["low"], tries) > row["chance"]
        and row["accuracy"] > (row["control_high"] or 0)
        for row in own.to_dicts()
    )


def figure(frame: pl.DataFrame, unit: str, order: Sequence[str]) -> Figure:
    """A cell a property and property left out, with the accuracy in percent."""
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
        f"New kinds of nets, from {_FROM[unit]}",
        f"new kinds, {_FROM[unit]}",
        finding(frame, unit),
        _reading(unit),
        cells.chart(own, order),
        cells.page_rows(own),
        frame.filter(unit=unit).drop("unit"),
        key=(
            *cells.key("accuracy, and points lost"),
            ("mark", "luck at some level"),
        ),
        broad=True,
        draw=lambda: figure(frame, unit, order),
    )
