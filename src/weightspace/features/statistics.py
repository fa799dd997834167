"""The shallow statistics of a slice: moments and quantiles of weights and their differences."""

from __future__ import annotations

import numpy as np

from weightspace.arrays import Asked, Float, Float32, Float64
from weightspace.features.chunks import SHORTEST, by_chunks

__all__ = ["QUANTILES", "SHORTEST", "STATISTICS_NAMES", "moments", "quantiles", "statistics"]

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
_MOMENTS = ("mean", "variance", "skewness", "kurtosis")

STATISTICS_NAMES: tuple[str, ...] = tuple(
    f"{of}_{what}"
    for of in ("weight", "difference")
    for what in (*_MOMENTS, *(f"q{round(100 * q):02d}" for q in QUANTILES))
)
"""The columns of `statistics`: the mean, variance, skewness, excess kurtosis and five quantiles of
the weights, then of their consecutive differences."""


def statistics(values: Asked[np.ndarray, "n length"]) -> Float32[np.ndarray, "n 18"]:
    """Describe slices by the shallow feature set: moments and quantiles.

    Parameters
    ----------
    values : ndarray of float32, shape (n, L)
        Slices, finite, L at least 64.

    Returns
    -------
    ndarray of float32, shape (n, 18)
        The columns are named by `STATISTICS_NAMES`, in the units of the weights. Skewness and
        kurtosis of a constant slice are 0.

    Raises
    ------
    UsageError
        If `values` has another shape.

    Notes
    -----
    These are the features of the shallow meta-classifiers in Eilertsen et al., "Classifying the
    classifier: dissecting the weight space of neural networks", ECAI 2020.

    Examples
    --------
    >>> rows = statistics(np.arange(200, dtype=np.float32).reshape(1, 200))
    >>> float(rows[0, STATISTICS_NAMES.index("difference_mean")])
    1.0
    """
    return by_chunks(_statistics, values, len(STATISTICS_NAMES))


def _statistics(values: Float32[np.ndarray, "n length"]) -> Float64[np.ndarray, "n 18"]:
    parts = []
    for part in (values, np.diff(values, axis=1)):
        parts += [moments(part), quantiles(np.sort(part, axis=1), QUANTILES)]
    return np.concatenate(parts, axis=1)


def moments(values: Float[np.ndarray, "n length"]) -> Float64[np.ndarray, "n 4"]:
    """Mean, population variance, skewness and excess kurtosis of each row."""
    wide = values.astype(np.float64)
    mean = wide.mean(axis=1)
    wide -= mean[:, None]
    square = np.square(wide)
    variance = square.mean(axis=1)
    # If the spread is only rounding error of the mean, skewness and kurtosis mean nothing.
    flat = variance <= (1e-7 * np.abs(mean)) ** 2
    scale = np.where(flat, 1.0, variance)
    wide *= square
    skewness = np.where(flat, 0.0, wide.mean(axis=1) / scale**1.5)
    np.square(square, out=square)
    kurtosis = np.where(flat, 0.0, square.mean(axis=1) / scale**2 - 3.0)
    return np.stack([mean, variance, skewness, kurtosis], axis=1)


def quantiles(
    ordered: Float[np.ndarray, "n length"],
    shares: tuple[float, ...] | Float64[np.ndarray, " shares"],
) -> Float64[np.ndarray, "n shares"]:
    """Quantiles of sorted rows at these shares, linear between order statistics."""
    position = np.asarray(shares, np.float64) * (ordered.shape[1] - 1)
    below = np.floor(position).astype(np.int64)
    above = np.minimum(below + 1, ordered.shape[1] - 1)
    share = position - below
    low = ordered[:, below].astype(np.float64)
    interpolated: np.ndarray = low + share * (ordered[:, above] - low)
    return interpolated
