"""Whether a tensor was rounded, quantised or pruned after training, which changes its sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ULP = 2.0**-23  # rounding of float32, relative
_PRUNED = 0.01  # share of zeros from which on a kernel was pruned
_FEW_LEVELS = 0.5  # different values, as a share of all, below which they lie on levels
_MOST_LEVELS = 1024  # of quantised values; those of 16 bits are more


def altered(values: NDArray[np.float32]) -> bool:
    """Whether values were rounded to 16 bits or to few levels, or pruned, which changes sums."""
    return rounding(values) > _ULP or _pruned(values) or _levels(values) < _FEW_LEVELS * values.size


def coarse(values: NDArray[np.float32]) -> bool:
    """Whether values were rounded to few levels or pruned, which changes their mean square.

    16 bits change it by less than any law can see. They leave few different values as well, but
    thousands.
    """
    levels = _levels(values)
    few = levels < _FEW_LEVELS * values.size and (
        rounding(values) == _ULP or levels <= min(_MOST_LEVELS, values.size // 4)
    )
    return few or _pruned(values)


def _pruned(values: NDArray[np.float32]) -> bool:
    return float(np.mean(values == 0)) > _PRUNED


def _levels(values: NDArray[np.float32]) -> int:
    return len(np.unique(values))


def rounding(values: NDArray[np.float32]) -> float:
    """The relative rounding of the narrowest type that holds all values exactly."""
    exact = np.ascontiguousarray(values, np.float32)
    if not (exact.view(np.uint32) & 0xFFFF).any():
        return 2.0**-8
    with np.errstate(over="ignore"):
        return 2.0**-11 if (exact.astype(np.float16) == exact).all() else _ULP
