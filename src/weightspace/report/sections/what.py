"""Which features carry a property: findings, charts and figures of features and altered slices."""

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
    "scale removed": "without the scale of the weights",
    "ranks only": "without the distribution of the weights",
    "signs only": "with only the signs of the weights",
    "second half hidden": "without the second half of the weights",
}


@dataclass(frozen=True)
class Kind:
    """One figure of a what frame: which rows it shows, and its texts; `pair` explains a cell."""

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
        "Large numbers: accuracy in percent of a classifier that reads only one group of a slice's "
        "features. Small numbers: percentage points that a classifier of all groups loses when "
        f"this group is swapped between nets, where significant.{_COLOUR} Groups overlap: a group "
        "that costs nothing when swapped may still encode much.",
        "accuracy from it alone, and points lost when it is swapped",
    ),
    Kind(
        "tensors",
        "net",
        "What, in a whole net",
        "in a whole net",
        "Large numbers: accuracy in percent of a classifier that reads only the statistics of one "
        "kind of tensor. Small numbers: percentage points that a classifier of all tensors loses "
        f"when these statistics are swapped between nets, where significant.{_COLOUR}",
        "accuracy from it alone, and points lost when it is swapped",
    ),
    Kind(
        "tampering",
        "tampering",
        "What, in altered slices",
        "in altered slices",
        "Large numbers: accuracy in percent of a classifier trained on altered slices and tested "
        "on altered slices of other nets. Small numbers: percentage points lost against unaltered "
        f"slices, before rounding, where significant.{_COLOUR}",
        "accuracy, and points lost",
    ),
)


def finding(frame: pl.DataFrame, kind: str) -> str:
    """Which group of features, or which alteration of slices, changes accuracy most."""
    own = frame.filter(kind=kind)
    return _tampered(own) if kind == "tampering" else _swapped(own)


def _swapped(own: pl.DataFrame) -> str:
    """The largest loss when a group is swapped, corrected for all groups of all properties."""
    significant = [row for row in own.to_dicts() if findings.lost(row, own.height)]
    if not significant:
        return "No property depends significantly on a single group of features"
    top = max(significant, key=lambda row: row["drop"])
    others = len({row["property"] for row in significant} - {top["property"]})
    text = (
        f"{sentence(label(top['property']))} depends most on {top['name']}: its accuracy falls by "
        f"{100 * top['drop']:.0f} points when these features are swapped between nets"
    )
    if not others:
        return text
    return f"{text}; {others} more {'depends' if others == 1 else 'depend'} on some group"


def _tampered(own: pl.DataFrame) -> str:
    """The largest significant losses of two properties, each from a different alteration."""
    tries = findings.comparisons(own) * max(1, own["name"].n_unique() - 1)
    whole = {row["property"]: row for row in own.filter(name=UNTOUCHED).to_dicts()}
    significant = []
    for row in own.filter(pl.col("name") != UNTOUCHED).to_dicts():
        pair = [whole[row["property"]], row] if row["property"] in whole else []
        ends = findings.contrast(pair, tries)
        if ends and ends.worst is row:
            significant.append((row["accuracy"] - pair[0]["accuracy"], row))
    significant.sort(key=lambda entry: entry[0])
    told: list[dict[str, Any]] = []
    for _, row in significant:
        new = all(row["property"] != t["property"] and row["name"] != t["name"] for t in told)
        if new and len(told) < 2:
            told.append(row)
    if not told:
        return "No property is predicted significantly worse from altered slices"
    parts = [
        f"{WITHOUT.get(row['name'], row['name'])}, {label(row['property'])} falls from "
        f"{percent(whole[row['property']]['accuracy'])} to {percent(row['accuracy'])}"
        for row in told
    ]
    return sentence("; ".join(parts))


def figure(frame: pl.DataFrame, kind: Kind, order: Sequence[str]) -> Figure:
    """A cell for each group and property, with its accuracy in percent."""
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
        cells.page_rows(own),
        own,
        key=cells.key(kind.pair),
        broad=True,
        chart=lambda: cells.chart(own, order),
        draw=lambda: figure(frame, kind, order),
    )


def kinds(frame: pl.DataFrame) -> list[Kind]:
    """The figures that have rows."""
    known = set(frame["kind"].unique())
    return [kind for kind in KINDS if kind.kind in known]
