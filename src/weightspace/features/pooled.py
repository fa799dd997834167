"""What slices of one vector say jointly: how their features vary along it."""

from __future__ import annotations

import numpy as np

from weightspace.arrays import Asked, Float32
from weightspace.features.local import LOCAL_NAMES, local

SLICES = 24
"""The number of slices that a net is read by, at equal distances over its vector."""

_FEWEST = 12  # with fewer, a place can be empty
_PLACES = {"first": (0, 0), "early": (0, 1 / 6), "middle": (1 / 6, 1 / 2), "late": (1 / 2, 1),
           "last": (1, 1)}  # fmt: skip
_HOW = ("mean", "spread", "least", "greatest", *_PLACES)

POOLED_NAMES: tuple[str, ...] = tuple(f"{how}_{name}" for how in _HOW for name in LOCAL_NAMES)
"""Columns of `pooled`: how a number of `local` is summed up over the slices, and its name."""


def pooled(slices: Asked[np.ndarray, "n L"]) -> Float32[np.ndarray, " F"]:
    """Describe a vector by slices of it, in order.

    Parameters
    ----------
    slices : array-like of float32, shape (n, L)
        At least 12 slices at equal distances over the vector, with both ends.

    Returns
    -------
    ndarray of float32, shape (len(POOLED_NAMES),)
        Mean, standard deviation, least and greatest of each number of `local` over the slices; then
        its means over the first slice, the others of the first sixth, those until the middle, the
        rest but one, and the last.

    Raises
    ------
    ValueError
        As `local`, and for fewer slices.

    Examples
    --------
    >>> row = pooled(np.random.default_rng(0).normal(size=(24, 1000)))
    >>> row.shape == (len(POOLED_NAMES),) and bool(np.isfinite(row).all())
    True
    """
    rows = local(slices).astype(np.float64)
    count = len(rows)
    if count < _FEWEST:
        raise ValueError(f"{count} slices are too few, give at least {_FEWEST}")
    whole = [rows.mean(axis=0), rows.std(axis=0), rows.min(axis=0), rows.max(axis=0)]
    means = [rows[_within(*place, count)].mean(axis=0) for place in _PLACES.values()]
    return np.concatenate(whole + means).astype(np.float32)


def _within(low: float, high: float, count: int) -> slice:
    """The slices between two relative places; the first and the last are places of their own."""
    if low == high:
        return slice(0, 1) if low == 0 else slice(count - 1, count)
    return slice(max(1, round(low * count)), min(count - 1, round(high * count)))
