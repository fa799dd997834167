"""The page's numbers as rows for charts and tables, each with its text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from weightspace.report.claims.headline import Headline, Span
from weightspace.report.claims.words import interval, label, percent, share_of_training
from weightspace.report.drawing.places import boundaries, places

Row = dict[str, Any]


def much(head: Headline) -> list[Row]:
    """A row for each property, the one read best first."""
    return [
        {name: number(getattr(line, name)) for name in ("chance", "accuracy", "low", "high")}
        | _span("shallow", line.shallow)
        | _span("control", line.control)
        | {"name": label(line.name), "shown": line.shown}
        | {"tip_name": label(line.name), "tip_percent": percent(line.accuracy)}
        | _shown(line.accuracy, line.low, line.high, line.chance)
        | {"tip_control": reach(line.control)}
        | {"tip_verdict": line.verdict}
        for line in head.lines
    ]


def where(frame: pl.DataFrame) -> list[Row]:
    """A row for each property and place along the vector."""
    table = frame.filter(pl.col("axis") == "position").sort("start", maintain_order=True)
    return [
        score(row)
        | {"middle": (row["start"] + row["stop"]) / 2}
        | {"tip_place": f"{100 * row['start']:.0f}–{100 * row['stop']:.0f} % of the weight vector"}
        for row in table.to_dicts()
    ]


def layers(facts: dict[str, Any]) -> list[Row]:
    """A row for each layer's range of the vector."""
    return [
        {"name": place.name, "part": place.part, "start": place.start, "stop": place.stop}
        for place in boundaries(facts)
    ]


def parts(frame: pl.DataFrame) -> tuple[list[Row], list[str]]:
    """A row for each property and part or depth, and the places in order."""
    wanted = places(frame)
    rows = [
        score(row)
        | {"place": place.text, "part": place.part, "tip_place": place.text}
        | {"running_stats": place.running_stats}
        for place in wanted
        for row in frame.filter(place.match).to_dicts()
    ]
    return rows, [place.text for place in wanted]


def when(frame: pl.DataFrame) -> list[Row]:
    """A row for each property and snapshot."""
    return [
        score(row) | {"fraction": row["fraction"], "tip_time": time(row)}
        for row in frame.sort("snapshot", maintain_order=True).to_dicts()
    ]


def training(frame: pl.DataFrame) -> list[Row]:
    """A row for each data set and snapshot."""
    return [
        {"property": row["dataset"], "fraction": row["fraction"]}
        | {name: number(row[name]) for name in ("accuracy", "low", "high")}
        | {"tip_time": time(row), "tip_median": percent(row["accuracy"])}
        | {"tip_spread": interval(row["low"], row["high"]), "tip_nets": row["n_nets"]}
        for row in frame.sort("snapshot", maintain_order=True).to_dicts()
    ]


def endings(frame: pl.DataFrame) -> dict[str, Row]:
    """The row of the last snapshot by data set, the data set of highest accuracy first."""
    last = frame.filter(pl.col("snapshot") == pl.col("snapshot").max().over("dataset"))
    last = last.sort("accuracy", descending=True, nulls_last=True)
    return {row["dataset"]: row for row in last.to_dicts()}


def cells(frame: pl.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A frame as headings and text, shares in percent with one decimal."""
    return [label(name) for name in frame.columns], [
        [_cell(name, value) for name, value in zip(frame.columns, row, strict=True)]
        for row in frame.iter_rows()
    ]


def ordered(names: Sequence[str], order: Sequence[str]) -> list[str]:
    """The names in `order`, then those that `order` does not have."""
    return [n for n in order if n in names] + [n for n in names if n not in order]


_SHARES = frozenset(
    (
        *("chance", "accuracy", "low", "high", "control", "control_low", "control_high"),
        *("start", "stop", "fraction", "known"),
        *("drop", "drop_low", "drop_high", "behind", "behind_low", "behind_high"),
    )
)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name in _SHARES:
        return f"{100 * value:.1f}" if math.isfinite(value) else "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return label(value) if name == "property" else f"{value}"


def reach(span: Span | None) -> str:
    """The interval of a span as text; a dash where there is none.

    >>> reach(None), reach(Span(0.5, 0.45, 0.55))
    ('–', '45–55 %')
    """
    return interval(span.low, span.high) if span else "–"


def _span(name: str, span: Span | None) -> Row:
    numbers = (span.value, span.low, span.high) if span else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), map(number, numbers), strict=True))


def score(row: Row) -> Row:
    """An accuracy with interval, chance and control as numbers and as a tooltip's text."""
    numbers = {name: number(row[name]) for name in ("accuracy", "low", "high", "chance")}
    control = {name: number(row.get(name)) for name in ("control_low", "control_high")}
    return {"property": row["property"]} | numbers | control | _shown(*numbers.values())


def _shown(accuracy: float | None, low: float | None, high: float | None, chance: Any) -> Row:
    text = f"{percent(accuracy)} ({interval(low, high)}), chance {percent(chance)}"
    return {"tip_shown": text}


def time(row: Row) -> str:
    """The number of a snapshot and its time in training, in words."""
    return f"snapshot {row['snapshot']}, {share_of_training(row['fraction'])}"


def number(value: float | None) -> float | None:
    """The number, or None where JSON cannot hold it."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), 5)
