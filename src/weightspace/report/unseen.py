"""Nets of a kind that no teacher had: findings, chart and figure of levels left out."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.figure import Figure

from weightspace.report import cells
from weightspace.report.findings import comparisons, widened
from weightspace.report.section import Section, panels
from weightspace.report.words import label, listing, percent, sentence

UNITS = {"unseen": "slice", "unseen_whole": "net"}
"""Figures by name, and the unit that each shows."""

_FROM = {"slice": "slices", "net": "whole nets"}
_READING = (
    "Each line: a property of which one level after the other was kept from the classifiers that "
    "learned; each cell: their accuracy, in percent, on nets of the level they never met, read off "
    "{source}; beside it, small, the points lost against classifiers that learned from as many "
    "nets, of all levels, if clearly any. Colour: from chance (dark) to always right (bright)."
)


def shown(frame: pl.DataFrame, unit: str, order: Sequence[str] = ()) -> pl.DataFrame:
    """A row a property and property left out, all its levels together, named for the reader."""
    own = frame.filter(pl.col("unit") == unit, pl.col("level").is_null())
    lines = panels(own, order, "without")
    own = own.sort(pl.col("without").replace_strict(lines, range(len(lines))), maintain_order=True)
    names = [f"new {label(name)}" for name in own["without"]]
    return own.with_columns(pl.Series("name", names, pl.String)).drop("level", "unit")


def finding(own: pl.DataFrame) -> str:
    """What a property loses most by, and what holds for nets of any kind."""
    if own.is_empty():
        return "No property could be left out"
    rows = own.to_dicts()
    clear = [row for row in rows if widened(row["drop"], row["drop_low"], own.height) > 0]
    tries = comparisons(own) * max(1, own["without"].n_unique())
    skill = pl.col("accuracy").mean() - pl.col("chance").first()
    names = own.group_by("property").agg(skill).sort("accuracy", descending=True)["property"]
    kept = [label(name) for name in names if _legible(own, name, tries)]
    told = []
    if clear:
        top = max(clear, key=lambda row: row["drop"])
        told.append(
            f"{label(top['property'])} falls from {percent(top['known'])} to "
            f"{percent(top['accuracy'])} on nets whose {label(top['without'])} was never taught"
        )
    if kept:
        told.append(f"{listing(kept)} can be read off nets of any new kind")
    if not told:
        return "Nothing is clearly lost on nets of a kind that was never taught"
    return sentence("; ".join(told))


def _legible(own: pl.DataFrame, name: str, tries: int) -> bool:
    """Whether a property is clearly above chance whatever was left out."""
    return all(
        widened(row["accuracy"], row["low"], tries) > row["chance"]
        and row["accuracy"] > (row["control_high"] or 0)
        for row in own.filter(property=name).to_dicts()
    )


def figure(frame: pl.DataFrame, unit: str, order: Sequence[str]) -> Figure:
    """A cell a property and property left out, with the accuracy in percent."""
    own = shown(frame, unit, order)
    return cells.figure(own, finding(own), _READING.format(source=_FROM[unit]), order)


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
        finding(own),
        _READING.format(source=_FROM[unit]),
        cells.chart(own, order),
        cells.page_rows(own),
        frame.filter(unit=unit).drop("unit"),
        key=(("scale", "from chance (left) to always right"),),
        broad=True,
        draw=lambda: figure(frame, unit, order),
    )
