"""The findings: one sentence for each figure, which says only what the numbers support.

Each interval of a dissection is a 95 % interval by itself. A sentence that picks the best of many
places, snapshots or properties needs a stricter test. The functions here therefore widen each
interval for the number of comparisons: with Bonferroni's correction over properties, and with the
studentised range over places. Where accuracies from permuted labels vary more than accuracies over
nets, their spread is taken as the error. A result that passes this test is called significant.
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
    """How much: the property read best, and those that cannot be distinguished from chance."""
    shown = [line for line in headline.lines if line.shown]
    hidden = [line for line in headline.lines if not line.shown]
    if not shown:
        n = count(len(headline.lines), "property")
        return f"Nothing can be read from {headline.source} better than by chance ({n} tried)"
    best = shown[0]
    text = (
        f"{sentence(label(best.name))} is read from {headline.source} with "
        f"{percent(best.accuracy)} accuracy (chance {percent(best.chance)})"
    )
    if hidden:
        names = listing([label(line.name) for line in hidden])
        return f"{text}; {names} cannot be distinguished from chance"
    return f"{text}, and all {len(shown)} properties are above chance" if len(shown) > 1 else text


def where(frame: pl.DataFrame) -> str:
    """Where along the vector: the property whose accuracy depends most on the place read."""
    tries = comparisons(frame)
    found = [c for rows in by_property(frame, "position") if (c := contrast(rows, tries))]
    if not found:
        return "No property's accuracy depends significantly on the place along the vector"
    top = max(found, key=lambda c: c.best["accuracy"] - c.worst["accuracy"])
    name = sentence(label(top.best["property"]))
    best, worst = _spot(top.best), _spot(top.worst)
    high, low = percent(top.best["accuracy"]), percent(top.worst["accuracy"])
    if best == worst:
        text = f"{name} is read at {low} to {high}, depending on the place along the vector"
    else:
        text = f"{name} is read best {best} of the vector ({high}) and worst {worst} ({low})"
    others = len(found) - 1
    verb = "depends" if others == 1 else "depend"
    return f"{text}; {others} more {verb} on the place" if others else text


def parts(frame: pl.DataFrame) -> str:
    """Where by part: properties read better from conv weights, and better from fc weights."""
    conv: list[str] = []
    fc: list[str] = []
    for rows in by_property(frame, "part"):
        here = {row["place"]: row for row in rows if row.get("running_stats", True)}
        pair = [here[name] for name in ("conv", "fc") if name in here]
        differ = contrast(pair, comparisons(frame)) if len(pair) == 2 else None
        if differ:
            (conv if differ.best is here["conv"] else fc).append(label(rows[0]["property"]))
    if not conv and not fc:
        return "No property differs significantly between conv weights and fc weights"
    if conv and fc:
        return f"Conv weights are better for {listing(conv)}; fc weights for {listing(fc)}"
    one, other = ("Conv", "fc") if conv else ("Fc", "conv")
    return f"{one} weights are better than {other} weights for {listing(conv or fc)}"


def when(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """When: what can be read at the first snapshot, and what becomes readable later."""
    # Two snapshots of each property are tested: the first and the last.
    tries = 2 * comparisons(frame)
    onsets = [onset(rows, tries) for rows in by_property(frame, order=order)]
    first = [found for found in onsets if found.first]
    later = [found for found in onsets if not found.first and found.since is not None]
    later.sort(key=_since)
    if not first and not later:
        return "No property is significantly above chance at any snapshot"
    told = []
    if first:
        start = share_of_training(min(found.start for found in first))
        told.append(f"{listing([label(found.property) for found in first])} can be read {start}")
    if later:
        verb = "becomes" if len(later) == 1 else "become"
        names = listing([label(found.property) for found in later])
        span = share_of_training(_since(later[0]))
        if len(later) > 1 and _since(later[-1]) > _since(later[0]):
            ends = f"{round(100 * _since(later[0]))} and {round(100 * _since(later[-1]))} %"
            span = f"between {ends} of training"
        told.append(f"{names} {verb} readable {span}")
    return sentence("; ".join(told))


def training(frame: pl.DataFrame) -> str:
    """Training: the median over nets of the last test accuracy, by data set."""
    last = frame.filter(pl.col("snapshot") == pl.col("snapshot").max().over("dataset"))
    rows = last.sort("accuracy", descending=True).to_dicts()
    ends = rows if len(rows) < 3 else [rows[0], rows[-1]]
    told = [f"above {percent(row['accuracy'])} on {label(row['dataset'])}" for row in ends]
    return f"Half of the nets reach a test accuracy {' and '.join(told)}"


@dataclass(frozen=True)
class Onset:
    """From which snapshot on a property is read significantly above chance.

    `first`: whether the first snapshot, at the fraction `start`, is significant. `since`: the
    fraction of training from which on every snapshot is significant, or None.
    """

    property: str
    start: float
    first: bool
    since: float | None


def onset(rows: Sequence[Row], tries: int, by: str = "fraction") -> Onset:
    """Where one property's rows, sorted by the column `by`, begin to be above chance."""
    significant = [above(row, row["chance"], tries) for row in rows]
    since = None
    for row, passed in zip(reversed(rows), reversed(significant), strict=True):
        if not passed:
            break
        since = float(row[by])
    return Onset(rows[0]["property"], float(rows[0][by]), significant[0], since)


@dataclass(frozen=True)
class Contrast:
    """The rows of highest and of lowest accuracy among some places."""

    best: Row
    worst: Row


def contrast(rows: Sequence[Row], tries: int) -> Contrast | None:
    """The best and the worst of some places, if they differ significantly; otherwise None."""
    if len(rows) < 2:
        return None
    best = max(rows, key=lambda row: row["accuracy"])
    worst = min(rows, key=lambda row: row["accuracy"])
    spread = max(error(best), error(worst))
    bar = _range_bar(len(rows), tries) * spread
    if not above(best, best["chance"], tries * len(rows)):
        return None
    return Contrast(best, worst) if best["accuracy"] - worst["accuracy"] > bar else None


@cache
def _range_bar(places: int, tries: int) -> float:
    """The largest difference of equal places, in standard errors, in 95 % of cases.

    The number holds for independent places. Places of a vector share their nets, so the true
    difference is smaller.
    """
    return float(stats.studentized_range.ppf(1 - 0.05 / tries, places, np.inf))


def corrected(value: float, end: float, tries: int) -> float:
    """An end of a 95 % interval, moved outwards for `tries` comparisons (Bonferroni).

    >>> corrected(0.5, 0.4, 1) > corrected(0.5, 0.4, 10) > 0.3
    True
    """
    return float(value + stats.norm.ppf(1 - 0.025 / max(1, tries)) / Z95 * (end - value))


def above(row: Row, bar: float, tries: int) -> bool:
    """Whether an accuracy is significantly above a bar, as one of `tries` comparisons."""
    value = row["accuracy"]
    return corrected(value, value - Z95 * error(row), tries) > bar


def lost(row: Row, tries: int) -> bool:
    """Whether a drop is significant, as one of `tries`: above its error and permuted labels'."""
    if row["drop_low"] is None:
        return False
    reach = row["drop"] - row["drop_low"]
    if row.get("control_high") is not None:
        reach = max(reach, (row["control_high"] - row["control_low"]) / 2)
    return corrected(row["drop"], row["drop"] - reach, tries) > 0


def error(row: Row) -> float:
    """The standard error of an accuracy: over nets, or over permuted labels if those vary more.

    Permuted labels still correlate by chance with labels that a classifier can predict, and the
    classifier uses that. Resampling nets does not show this error; permuting labels does.
    """
    widths = [row["high"] - row["low"]]
    if row.get("control_high") is not None:
        widths.append(row["control_high"] - row["control_low"])
    return float(max(widths)) / (2 * Z95)


def comparisons(frame: pl.DataFrame) -> int:
    """How many properties there are to choose from."""
    return max(1, frame["property"].n_unique())


def _since(found: Onset) -> float:
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
