"""Whether a tensor was rounded, quantised or pruned after training, which changes its sums."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ULP = 2.0**-23  # rounding of float32, relative
_PRUNED = 0.01  # share of zeros from which on a kernel was pruned


def altered(values: NDArray[np.float32]) -> bool:
    """Whether values were rounded to 16 bits or to few levels, or pruned, which changes sums."""
    zeros = float(np.mean(values == 0))
    levels = len(np.unique(values)) / values.size
    return rounding(values) > _ULP or zeros > _PRUNED or levels < 0.5


def rounding(values: NDArray[np.float32]) -> float:
    """The relative rounding of the narrowest type that holds all values exactly."""
    exact = np.ascontiguousarray(values, np.float32)
    if not (exact.view(np.uint32) & 0xFFFF).any():
        return 2.0**-8
    with np.errstate(over="ignore"):
        return 2.0**-11 if (exact.astype(np.float16) == exact).all() else _ULP
