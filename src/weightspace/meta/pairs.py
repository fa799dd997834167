"""Accuracies from the hits of single nets: two classifiers on the same nets, nets without some."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.meta.intervals import DEPENDENCE, balanced_accuracy, crossfitted

_KEYS = ("property", "classifier", "unit")
_RESAMPLES = 1000


def compare(hits: pl.DataFrame, first: str, second: str, unit: str) -> pl.DataFrame:
    """See `Evaluation.compare`."""
    sides = []
    for name in (first, second):
        own = hits.filter(classifier=name, unit=unit).select("property", "net", "level", "hit")
        if own.is_empty():
            kept = hits.select("classifier", "unit").unique(maintain_order=True).rows()
            raise UsageError(
                f"compare: no answers of {name} for the unit {unit}; "
                f"there are those of {', '.join(f'{c} ({u})' for c, u in kept)}"
            )
        sides.append(own)
    both = sides[0].join(sides[1], on=("property", "net", "level"), suffix="_second")
    rows = []
    for (name,), own in both.group_by("property", maintain_order=True):
        a, b, codes = (own[column].to_numpy() for column in ("hit", "hit_second", "level"))
        low, high = difference_interval(a - b, codes)
        figures = {"first": balanced_accuracy(a, codes), "second": balanced_accuracy(b, codes)}
        figures |= {"difference": figures["first"] - figures["second"], "low": low, "high": high}
        rows.append({"property": name} | figures | {"n_nets": own.height})
    return pl.DataFrame(rows)


def difference_interval(differences: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a mean over classes of differences [N] between two judges of a net.

    Bootstrap over nets within classes; widened by the full dependence of cross-fitted nets, as
    two judges that are equally good may disagree anywhere.
    """
    rng = np.random.default_rng([len(codes), 0xD1FF])
    means = np.zeros(_RESAMPLES)
    classes = np.unique(codes)
    for level in classes:
        own = differences[codes == level]
        means += own[rng.integers(len(own), size=(_RESAMPLES, len(own)))].mean(axis=1)
    value = balanced_accuracy(differences, codes)
    low, high = np.quantile(means / len(classes), [0.025, 0.975])
    factor = np.sqrt(DEPENDENCE)
    return float(value - factor * (value - low)), float(value + factor * (high - value))


def among_living(hits: pl.DataFrame) -> pl.DataFrame:
    """See `Evaluation.among_living`."""
    rows: list[dict[str, Any]] = []
    for key, own in hits.group_by(_KEYS, maintain_order=True):
        living = own.filter(~pl.col("dead"))
        found = crossfitted(living["hit"].to_numpy(), _codes(living))
        whole = balanced_accuracy(own["hit"].to_numpy(), _codes(own))
        figures = {"accuracy": found.value, "low": found.low, "high": found.high}
        rows.append(
            dict(zip(_KEYS, key, strict=True)) | figures | {"n_nets": living.height, "all": whole}
        )
    return pl.DataFrame(rows)


def _codes(own: pl.DataFrame) -> np.ndarray:
    """Levels counted anew from 0, as a level may have died out."""
    return np.unique(own["level"].to_numpy(), return_inverse=True)[1]
