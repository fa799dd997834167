"""Results from the hits of single nets: two classifiers compared, and accuracy of living nets."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.meta.statistics.intervals import (
    balanced_accuracy,
    crossfitted,
    of_groups,
    shared,
    widening,
)

_KEYS = ("property", "classifier", "unit")
_RESAMPLES = 1000
LIVING_COLUMNS: dict[str, Any] = {
    **dict.fromkeys(_KEYS, pl.String),
    **dict.fromkeys(("accuracy", "low", "high"), pl.Float64),
    "n_nets": pl.Int64,
    "all": pl.Float64,
}


def compare(hits: pl.DataFrame, first: str, second: str, unit: str) -> pl.DataFrame:
    """See `Evaluation.compare`."""
    sides = []
    for name in (first, second):
        own = hits.filter(classifier=name, unit=unit)
        own = own.select("property", "net", "level", "group", "hit")
        if own.is_empty():
            kept = hits.select("classifier", "unit").unique(maintain_order=True).rows()
            raise UsageError(
                "compare",
                f"no predictions of {name} for the unit {unit}",
                f"there are those of {', '.join((f'{c} ({u})' for c, u in kept))}",
            )
        sides.append(own)
    other = sides[1].select("property", "net", "level", pl.col("hit").alias("hit_second"))
    both = sides[0].join(other, on=("property", "net", "level"))
    rows = []
    for (name,), own in both.group_by("property", maintain_order=True):
        a, b, codes = (own[column].to_numpy() for column in ("hit", "hit_second", "level"))
        low, high = difference_interval(a - b, codes, groups_of(own))
        figures = {"first": balanced_accuracy(a, codes), "second": balanced_accuracy(b, codes)}
        figures |= {"difference": figures["first"] - figures["second"], "low": low, "high": high}
        rows.append({"property": name} | figures | {"n_nets": own.height})
    return pl.DataFrame(rows)


def difference_interval(
    differences: np.ndarray, codes: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """The 95 % interval of the mean over classes of differences [N] between two models.

    This is a bootstrap over nets within classes. It is repeated with one pseudo-net added to each
    class, on which half the predictions are right only by the first model and half only by the
    second: two models that agreed on all nets may still differ on the next net. Where nets share a
    group (`groups` int [N]), whole groups are resampled as well. The widest interval is widened
    further by the full dependence of cross-fitted nets, because two models of equal accuracy may
    disagree on any net.
    """
    rng = np.random.default_rng([len(codes), 0xD1FF])
    classes = [differences[codes == level] for level in np.unique(codes)]
    value = balanced_accuracy(differences, codes)
    ends = []
    for imagined in ((), (-1.0, 1.0)):
        means = np.zeros(_RESAMPLES)
        for own in classes:
            # Each net twice, so that both halves of the pseudo-net have the weight of one net.
            pool = np.concatenate([own, own, imagined])
            means += pool[rng.integers(len(pool), size=(_RESAMPLES, len(own)))].mean(axis=1)
        ends.append(np.quantile(means / len(classes), [0.025, 0.975]))
    if shared(groups):
        ends.append(of_groups(differences, codes, groups, _RESAMPLES, rng, least=-1.0))
    low, high = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    low, high = min(low, value), max(high, value)
    factor = widening(0.0)
    return (
        max(-1.0, float(value - factor * (value - low))),
        min(1.0, float(value + factor * (high - value))),
    )


def among_living(hits: pl.DataFrame) -> pl.DataFrame:
    """See `Evaluation.among_living`."""
    rows: list[dict[str, Any]] = []
    for key, own in hits.group_by(_KEYS, maintain_order=True):
        living = own.filter(~pl.col("dead"))
        if living["level"].n_unique() < 2:
            continue
        found = crossfitted(living["hit"].to_numpy(), _codes(living), groups=groups_of(living))
        # The same levels as among living nets: the accuracy is the mean over these levels only.
        known = own.filter(pl.col("level").is_in(living["level"].unique().to_list()))
        whole = balanced_accuracy(known["hit"].to_numpy(), _codes(known))
        figures = {"accuracy": found.value, "low": found.low, "high": found.high}
        rows.append(
            dict(zip(_KEYS, key, strict=True)) | figures | {"n_nets": living.height, "all": whole}
        )
    return pl.DataFrame(rows, schema=LIVING_COLUMNS)


def groups_of(hits: pl.DataFrame) -> np.ndarray:
    """The groups of the nets, int64 [N]; a net without a group (release 0.1.0) gets its own."""
    own = -1 - pl.int_range(pl.len())
    groups: np.ndarray = hits.select(pl.col("group").fill_null(own))["group"].to_numpy()
    return groups


def _codes(own: pl.DataFrame) -> np.ndarray:
    """Levels numbered again from 0, because a level may have no living net."""
    return np.unique(own["level"].to_numpy(), return_inverse=True)[1]
