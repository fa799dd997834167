"""What carries a property: findings, charts and figures of groups of features and of tampering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import label, percent, sentence
from weightspace.report.drawing.section import Section
from weightspace.report.sections import cells

UNTOUCHED = "as it is"
WITHOUT = {
    "shuffled": "without the order of the weights",
    "scale removed": "without their scale",
    "ranks only": "without their distribution",
    "signs only": "with their signs alone",
    "second half hidden": "without their second half",
}


@dataclass(frozen=True)
class Kind:
    """One figure's rows of a what frame, and what is said of it; `pair`: of a cell's numbers."""

    name: str
    kind: str
    kicker: str
    short: str
    reading: str
    pair: str


_COLOUR = " Colour: from chance (dark) to always right (bright)."
KINDS = (
    Kind(
        "groups",
        "slice",
        "What, in a slice",
        "in a slice",
        "Large: accuracy, in percent, of a classifier that knows one group of a slice's features "
        "alone. Small: the points that another, which knows all groups, loses where this one is "
        f"swapped between nets, where clear.{_COLOUR} Groups overlap: one whose loss costs nothing "
        "may still know much.",
        "accuracy of it alone, and points that another loses without it",
    ),
    Kind(
        "tensors",
        "net",
        "What, in a whole net",
        "in a whole net",
        "Large: accuracy, in percent, of a classifier that knows the statistics of one kind of "
        "tensor alone. Small: the points that another, which knows all, loses where these are "
        f"swapped between nets, where clear.{_COLOUR}",
        "accuracy of it alone, and points that another loses without it",
    ),
    Kind(
        "tampering",
        "tampering",
        "What, with slices tampered with",
        "tampered with",
        "Large: accuracy, in percent, of a classifier that learned from slices of which something "
        "was taken, tested on such slices of other nets. Small: the points lost against slices as "
        f"they are, before rounding, where clear.{_COLOUR}",
        "accuracy, and points lost",
    ),
)


def finding(frame: pl.DataFrame, kind: str) -> str:
    """What a property hangs on most, of groups of features or of what was taken from slices."""
    own = frame.filter(kind=kind)
    return _tampered(own) if kind == "tampering" else _swapped(own)


def _swapped(own: pl.DataFrame) -> str:
    """The largest loss where a group is swapped; all groups of all properties are asked about."""
    clear = [row for row in own.to_dicts() if findings.lost(row, own.height)]
    if not clear:
        return "No property clearly hangs on a single group of features"
    top = max(clear, key=lambda row: row["drop"])
    others = len({row["property"] for row in clear} - {top["property"]})
    text = (
        f"{sentence(label(top['property']))} hangs most on {top['name']}: its accuracy falls by "
        f"{100 * top['drop']:.0f} points where these are swapped between nets"
    )
    if not others:
        return text
    return f"{text}; {others} more clearly {'loses' if others == 1 else 'lose'} by some group"


def _tampered(own: pl.DataFrame) -> str:
    """The largest clear losses of two properties, each to another tampering."""
    tries = findings.comparisons(own) * max(1, own["name"].n_unique() - 1)
    whole = {row["property"]: row for row in own.filter(name=UNTOUCHED).to_dicts()}
    clear = []
    for row in own.filter(pl.col("name") != UNTOUCHED).to_dicts():
        pair = [whole[row["property"]], row] if row["property"] in whole else []
        ends = findings.contrast(pair, tries)
        if ends and ends.worst is row:
            clear.append((row["accuracy"] - pair[0]["accuracy"], row))
    clear.sort(key=lambda entry: entry[0])
    told: list[dict[str, Any]] = []
    for _, row in clear:
        new = all(row["property"] != t["property"] and row["name"] != t["name"] for t in told)
        if new and len(told) < 2:
            told.append(row)
    if not told:
        return "No property is clearly harder to read off slices that were tampered with"
    parts = [
        f"{WITHOUT.get(row['name'], row['name'])}, {label(row['property'])} falls from "
        f"{percent(whole[row['property']]['accuracy'])} to {percent(row['accuracy'])}"
        for row in told
    ]
    return sentence("; ".join(parts))


def figure(frame: pl.DataFrame, kind: Kind, order: Sequence[str]) -> Figure:
    """A cell a group and property, with its accuracy in percent."""
    own = frame.filter(kind=kind.kind)
    return cells.figure(own, finding(frame, kind.kind), kind.reading, order)


def section(frame: pl.DataFrame, kind: Kind, order: Sequence[str]) -> Section:
    """The page's section."""
    own = frame.filter(kind=kind.kind).drop("kind")
    return Section(
        kind.name,
        "What",
        kind.kicker,
        kind.short,
        finding(frame, kind.kind),
        kind.reading,
        cells.chart(own, order),
        cells.page_rows(own),
        own,
        key=cells.key(kind.pair),
        broad=True,
        draw=lambda: figure(frame, kind, order),
    )


def kinds(frame: pl.DataFrame) -> list[Kind]:
    """The figures that have rows."""
    known = set(frame["kind"].unique())
    return [kind for kind in KINDS if kind.kind in known]
