"""The features of one slice: its distribution, its changes and its order, on bounded scales."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from weightspace.arrays import Asked, Float32, Float64
from weightspace.features import native
from weightspace.features.chunks import SHORTEST, by_chunks
from weightspace.features.spectrum import SPECTRUM_NAMES, reach, spectrum, tables, transformed
from weightspace.features.statistics import moments, quantiles
from weightspace.features.windows import WINDOWS_NAMES, ranks, windows

_TAIL = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.175, 0.25, 0.33, 0.42)
_FINE = (*_TAIL, 0.5, *(round(1 - q, 4) for q in reversed(_TAIL)))
_SIZES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.995)
_STEPS = (0.01, 0.05, 0.25, 0.75, 0.95, 0.99)
_NEAR = (1e-8, 1e-5, 1e-4, 1e-3, 1e-2)
_NEAR_RELATIVE = (1e-3, 1e-2, 1e-1)
_LARGEST = np.float32(1e25)
"""Larger than any trained weight; ratios of smaller values stay within float32."""

_KNEE = 1e-3
"""Where the signed logarithm of absolute weights becomes linear; smaller weights are small."""

LOCAL_NAMES: tuple[str, ...] = (
    "log_scale",
    *(f"weight_{what}" for what in ("mean", "log_spread", "skewness", "kurtosis")),
    *(f"tamed_{what}" for what in ("mean", "spread", "skewness", "kurtosis")),
    *(f"size_{what}" for what in ("mean", "spread", "skewness", "kurtosis")),
    *(f"difference_{what}" for what in ("mean", "log_spread", "skewness", "kurtosis")),
    *(f"weight_q{q:g}" for q in _FINE),
    *(f"relative_q{q:g}" for q in _FINE),
    *(f"size_q{q:g}" for q in _SIZES),
    *(f"difference_q{q:g}" for q in _STEPS),
    *(f"near_zero_{near:g}" for near in _NEAR),
    *(f"near_zero_relative_{near:g}" for near in _NEAR_RELATIVE),
    "near_one",
    "positive",
    "sign_changes",
    "repeated",
    "repeated_next",
    *WINDOWS_NAMES,
    *SPECTRUM_NAMES,
)
"""The columns of `local`. `weight` has the scale of the weights, `relative` is in units of the
slice's median absolute value, `size` is the logarithm of absolute values, and `tamed` the signed
logarithm."""


def local(values: Asked[np.ndarray, "n length"]) -> Float32[np.ndarray, "n F"]:
    """Describe slices of consecutive weights by some 300 numbers each.

    To limit heavy tails, scales are logarithms and signed quantities are signed logarithms.

    Parameters
    ----------
    values : ndarray of float32, shape (n, L)
        Slices, finite, L at least 64.

    Returns
    -------
    ndarray of float32, shape (n, len(LOCAL_NAMES))
        The columns are named by `LOCAL_NAMES` and are the same for every L. Lags beyond L // 4 are
        0.

    Raises
    ------
    UsageError
        If `values` has another shape.

    Examples
    --------
    >>> rows = local(np.zeros((2, 100), np.float32))
    >>> rows.shape == (2, len(LOCAL_NAMES)) and bool(np.isfinite(rows).all())
    True
    """
    length = np.shape(values)[-1] if np.ndim(values) else 0
    found = native.library() if length >= SHORTEST else None
    return by_chunks(twin if found is None else natively(found, length), values, len(LOCAL_NAMES))


@lru_cache(maxsize=16)
def natively(found: ctypes.CDLL, length: int) -> native.Slices:
    """The function that describes slices of a length with the native library."""
    lags, padded = transformed(length)
    own = {"fine": _FINE, "sizes": _SIZES, "steps": _STEPS, "ranks": ranks(length)}
    count = padded // 2
    return native.Slices(
        found, length, padded, lags, len(LOCAL_NAMES), reach(count), own | tables(count)
    )


def twin(values: Float32[np.ndarray, "n length"]) -> Float64[np.ndarray, "n F"]:
    """The same with NumPy, with which the native library is compared."""
    values = np.clip(values, -_LARGEST, _LARGEST)
    size = np.abs(values)
    ordered, ordered_size = np.sort(values, axis=1), np.sort(size, axis=1)
    scale = _scale(ordered_size)
    relative = values / scale[:, None]
    tamed = np.arcsinh(relative)
    log_size = np.log(size / scale[:, None] + np.float32(1e-3))
    step = np.diff(values, axis=1)
    parts = [
        np.log10(scale.astype(np.float64))[:, None],
        _tamed_moments(values, scale),
        moments(tamed),
        moments(log_size),
        _tamed_moments(step, scale),
        np.arcsinh(quantiles(ordered, _FINE) / _KNEE),
        np.arcsinh(quantiles(ordered, _FINE) / scale[:, None]),
        np.log10(quantiles(ordered_size, _SIZES) + 1e-8),
        np.arcsinh(quantiles(np.sort(step, axis=1), _STEPS) / scale[:, None]),
        _fractions(values, size, ordered, ordered_size, scale),
        windows(values, relative, tamed),
        spectrum(tamed, log_size),
    ]
    return np.concatenate(parts, axis=1)


def _scale(ordered_size: Float32[np.ndarray, "n length"]) -> Float32[np.ndarray, " n"]:
    """The median absolute value; the mean if half of the values are 0, and 1 if all are 0."""
    median = ordered_size[:, ordered_size.shape[1] // 2]
    mean = ordered_size.mean(axis=1, dtype=np.float64).astype(np.float32)
    scale = np.where(median > 1e-12, median, mean)
    return np.where(scale > 1e-12, scale, np.float32(1.0))


def _tamed_moments(
    values: Float32[np.ndarray, "n length"], scale: Float32[np.ndarray, " n"]
) -> Float64[np.ndarray, "n 4"]:
    """Moments in units of `scale`, as signed logarithms; the spread is a plain logarithm."""
    mean, variance, skewness, kurtosis = moments(values).T
    spread = np.sqrt(variance) / scale
    return np.stack(
        [
            np.arcsinh(10 * mean / scale),
            np.log(spread + 1e-4),
            np.arcsinh(skewness),
            np.arcsinh(kurtosis),
        ],
        axis=1,
    )


def _fractions(
    values: Float32[np.ndarray, "n length"],
    size: Float32[np.ndarray, "n length"],
    ordered: Float32[np.ndarray, "n length"],
    ordered_size: Float32[np.ndarray, "n length"],
    scale: Float32[np.ndarray, " n"],
) -> Float64[np.ndarray, "n shares"]:
    """The shares of special values, on a scale that is stretched near 0."""
    below = [(size <= near).mean(axis=1) for near in _NEAR]
    below += [(size <= near * scale[:, None]).mean(axis=1) for near in _NEAR_RELATIVE]
    positive = values > 0
    shares: list[NDArray[np.float64]] = [
        *below,
        (np.abs(values - 1) < 0.1).mean(axis=1),
        positive.mean(axis=1),
        (positive[:, 1:] != positive[:, :-1]).mean(axis=1),
        (ordered[:, 1:] == ordered[:, :-1]).mean(axis=1),
        (values[:, 1:] == values[:, :-1]).mean(axis=1),
    ]
    return np.sqrt(np.stack(shares, axis=1))
