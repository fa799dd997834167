"""The shallow statistics of a slice: moments and quantiles of the weights and their differences."""

from __future__ import annotations

import numpy as np

from weightspace.features.chunks import SHORTEST, by_chunks

__all__ = ["QUANTILES", "SHORTEST", "STATISTICS_NAMES", "moments", "quantiles", "statistics"]

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
_MOMENTS = ("mean", "variance", "skewness", "kurtosis")

STATISTICS_NAMES: tuple[str, ...] = tuple(
    f"{of}_{what}"
    for of in ("weight", "difference")
    for what in (*_MOMENTS, *(f"q{round(100 * q):02d}" for q in QUANTILES))
)
"""Columns of `statistics`: the mean, variance, skewness, excess kurtosis and five quantiles of
the weights, then of their consecutive differences."""


def statistics(values: np.ndarray) -> np.ndarray:
    """The shallow feature set of each slice (Eilertsen et al. 2020, shallow meta-classifiers).

    `values` float32 [n, L], finite, L at least 64. Returns float32 [n, 18], columns
    `STATISTICS_NAMES`, in the units of the weights. Skewness and kurtosis of a constant are 0.
    Raises UsageError for another shape.

    >>> rows = statistics(np.arange(200, dtype=np.float32).reshape(1, 200))
    >>> float(rows[0, STATISTICS_NAMES.index("difference_mean")])
    1.0
    """
    return by_chunks(_statistics, values, len(STATISTICS_NAMES))


def _statistics(values: np.ndarray) -> np.ndarray:
    parts = []
    for part in (values, np.diff(values, axis=1)):
        parts += [moments(part), quantiles(np.sort(part, axis=1), QUANTILES)]
    return np.concatenate(parts, axis=1)


def moments(values: np.ndarray) -> np.ndarray:
    """Mean, population variance, skewness and excess kurtosis of each row: float64 [n, 4]."""
    wide = values.astype(np.float64)
    mean = wide.mean(axis=1)
    wide -= mean[:, None]
    square = np.square(wide)
    variance = square.mean(axis=1)
    # A row whose spread is rounding error of its mean has no shape to speak of.
    flat = variance <= (1e-7 * np.abs(mean)) ** 2
    scale = np.where(flat, 1.0, variance)
    wide *= square
    skewness = np.where(flat, 0.0, wide.mean(axis=1) / scale**1.5)
    np.square(square, out=square)
    kurtosis = np.where(flat, 0.0, square.mean(axis=1) / scale**2 - 3.0)
    return np.stack([mean, variance, skewness, kurtosis], axis=1)


def quantiles(ordered: np.ndarray, levels: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Quantiles, linear between order statistics, of rows that are sorted: float64 [n, levels]."""
    position = np.asarray(levels, np.float64) * (ordered.shape[1] - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    share = position - below
    low = ordered[:, below].astype(np.float64)
    return low + share * (ordered[:, above] - low)
