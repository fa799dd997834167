"""What the numbers say, in one sentence a figure, and only where they carry it.

Intervals of a dissection are 95 % each. A sentence that picks the best of many places, moments
or properties needs more than that: every function here widens the bar for the number of
comparisons it chose from (Bonferroni over properties, the studentised range over places), and
takes what permuted labels reach as error where that is more.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from weightspace.report.claims.headline import Headline
from weightspace.report.claims.words import (
    count,
    label,
    listing,
    percent,
    sentence,
    share_of_training,
)

Row = dict[str, Any]
Z95 = 1.959964


def much(headline: Headline) -> str:
    """How much: the most legible property, and those that cannot be told from chance."""
    shown = [line for line in headline.lines if line.shown]
    hidden = [line for line in headline.lines if not line.shown]
    if not shown:
        n = count(len(headline.lines), "property")
        return f"Nothing can be read off {headline.source} better than by chance ({n} tried)"
    best = shown[0]
    text = (
        f"{sentence(label(best.name))} is read off {headline.source} at "
        f"{percent(best.accuracy)} (chance {percent(best.chance)})"
    )
    if hidden:
        names = listing([label(line.name) for line in hidden])
        return f"{text}; {names} cannot be told from chance"
    return f"{text}, and all {len(shown)} properties are above chance" if len(shown) > 1 else text


def where(frame: pl.DataFrame) -> str:
    """Where along the vector: the property whose accuracy depends most on the place."""
    tries = comparisons(frame)
    found = [c for rows in by_property(frame, "position") if (c := contrast(rows, tries))]
    if not found:
        return "No property depends clearly on where along the vector one looks"
    top = max(found, key=lambda c: c.best["accuracy"] - c.worst["accuracy"])
    name = sentence(label(top.best["property"]))
    best, worst = _spot(top.best), _spot(top.worst)
    high, low = percent(top.best["accuracy"]), percent(top.worst["accuracy"])
    if best == worst:
        text = f"{name} is read at {low} to {high}, depending on the place along the vector"
    else:
        text = f"{name} is clearest {best} of the vector ({high}) and faintest {worst} ({low})"
    others = len(found) - 1
    verb = "depends" if others == 1 else "depend"
    return f"{text}; {others} more {verb} on the place" if others else text


def parts(frame: pl.DataFrame) -> str:
    """Where by part: which properties are clearer in conv weights, which in fc weights."""
    conv: list[str] = []
    fc: list[str] = []
    for rows in by_property(frame, "part"):
        here = {row["place"]: row for row in rows if row.get("running_stats", True)}
        pair = [here[name] for name in ("conv", "fc") if name in here]
        clear = contrast(pair, comparisons(frame)) if len(pair) == 2 else None
        if clear:
            (conv if clear.best is here["conv"] else fc).append(label(rows[0]["property"]))
    if not conv and not fc:
        return "No property is clearly easier to read in conv weights than in fc weights"
    if conv and fc:
        return f"Conv weights tell more about {listing(conv)}; fc weights about {listing(fc)}"
    one, other = ("Conv", "fc") if conv else ("Fc", "conv")
    return f"{one} weights tell more than {other} weights about {listing(conv or fc)}"


def when(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """When: what is legible from the first snapshot on, and what appears during training."""
    # Two moments of each property are asked about: the first and the last.
    tries = 2 * comparisons(frame)
    moments = [moment(rows, tries) for rows in by_property(frame, order=order)]
    first = [m for m in moments if m.first]
    later = sorted((m for m in moments if not m.first and m.since is not None), key=_since)
    if not first and not later:
        return "No property is clearly above chance at any moment of training"
    told = []
    if first:
        start = share_of_training(min(m.start for m in first))
        told.append(f"{listing([label(m.property) for m in first])} can be read {start}")
    if later:
        verb = "becomes" if len(later) == 1 else "become"
        names = listing([label(m.property) for m in later])
        span = share_of_training(_since(later[0]))
        if len(later) > 1 and _since(later[-1]) > _since(later[0]):
            ends = f"{round(100 * _since(later[0]))} and {round(100 * _since(later[-1]))} %"
            span = f"between {ends} of training"
        told.append(f"{names} {verb} legible {span}")
    return sentence("; ".join(told))


def training(frame: pl.DataFrame) -> str:
    """Training: the median test accuracy that nets end with, by data set."""
    last = frame.filter(pl.col("snapshot") == pl.col("snapshot").max().over("dataset"))
    rows = last.sort("accuracy", descending=True).to_dicts()
    ends = rows if len(rows) < 3 else [rows[0], rows[-1]]
    told = [f"above {percent(row['accuracy'])} on {label(row['dataset'])}" for row in ends]
    return f"In test accuracy, half of the nets end {' and '.join(told)}"


@dataclass(frozen=True)
class Moment:
    """Since when a property is legible.

    `first`: already in the first snapshot, at the fraction `start`. `since`: the fraction of
    training from which on every later snapshot is clearly above chance, or None.
    """

    property: str
    start: float
    first: bool
    since: float | None


def moment(rows: Sequence[Row], tries: int, by: str = "fraction") -> Moment:
    """Since when the property of these rows, sorted by the column `by`, is clearly above chance."""
    clear = [above(row, row["chance"], tries) for row in rows]
    since = None
    for row, is_clear in zip(reversed(rows), reversed(clear), strict=True):
        if not is_clear:
            break
        since = float(row[by])
    return Moment(rows[0]["property"], float(rows[0][by]), clear[0], since)


@dataclass(frozen=True)
class Contrast:
    """The clearest and the faintest of some places."""

    best: Row
    worst: Row


def contrast(rows: Sequence[Row], tries: int) -> Contrast | None:
    """Best and worst of some places, where they differ by more than luck among so many."""
    if len(rows) < 2:
        return None
    best = max(rows, key=lambda row: row["accuracy"])
    worst = min(rows, key=lambda row: row["accuracy"])
    spread = max(error(best), error(worst))
    bar = _range_bar(len(rows), tries) * spread
    clear = above(best, best["chance"], tries * len(rows))
    return Contrast(best, worst) if clear and best["accuracy"] - worst["accuracy"] > bar else None


@cache
def _range_bar(places: int, tries: int) -> float:
    """Standard errors that best and worst of equal places lie apart in 5 % of cases at most.

    Taken for independent places; all places share their nets, so the true bar is lower.
    """
    return float(stats.studentized_range.ppf(1 - 0.05 / tries, places, np.inf))


def widened(value: float, end: float, tries: int) -> float:
    """An end of a 95 % interval, moved out as it is one of `tries` that were asked about.

    >>> widened(0.5, 0.4, 1) > widened(0.5, 0.4, 10) > 0.3
    True
    """
    return float(value + stats.norm.ppf(1 - 0.025 / max(1, tries)) / Z95 * (end - value))


def above(row: Row, bar: float, tries: int) -> bool:
    """Whether an accuracy lies above a bar, as one of `tries` that were asked about."""
    value = row["accuracy"]
    return widened(value, value - Z95 * error(row), tries) > bar


def lost(row: Row, tries: int) -> bool:
    """Whether a drop is clear, as one of `tries`: beyond its own error and meaningless labels'."""
    if row["drop_low"] is None:
        return False
    reach = row["drop"] - row["drop_low"]
    if row.get("control_high") is not None:
        reach = max(reach, (row["control_high"] - row["control_low"]) / 2)
    return widened(row["drop"], row["drop"] - reach, tries) > 0


def error(row: Row) -> float:
    """The standard error of an accuracy: over nets, or over meaningless labels if those vary more.

    Labels that mean nothing still go together with some that do, by the luck of the draw, and a
    classifier uses that; resampling nets cannot see it, permuting labels does.
    """
    widths = [row["high"] - row["low"]]
    if row.get("control_high") is not None:
        widths.append(row["control_high"] - row["control_low"])
    return float(max(widths)) / (2 * Z95)


def comparisons(frame: pl.DataFrame) -> int:
    """How many properties there are to choose from."""
    return max(1, frame["property"].n_unique())


def _since(found: Moment) -> float:
    return found.since or 0.0


def _spot(row: Row) -> str:
    """Where a place lies along the vector, in words."""
    middle = (row["start"] + row["stop"]) / 2
    names = ("near the start", "before the middle", "in the middle", "past the middle")
    return (*names, "near the end")[min(4, int(5 * middle))]


def by_property(
    frame: pl.DataFrame, axis: str | None = None, order: Sequence[str] = ()
) -> Iterable[list[Row]]:
    """Rows of each property, sorted by place or snapshot; properties in `order`, then the rest."""
    if axis is not None:
        frame = frame.filter(pl.col("axis") == axis)
    frame = frame.sort("start" if axis is not None else "snapshot", maintain_order=True)
    found = frame["property"].unique(maintain_order=True).to_list()
    for name in [n for n in order if n in found] + [n for n in found if n not in order]:
        yield frame.filter(pl.col("property") == name).to_dicts()
