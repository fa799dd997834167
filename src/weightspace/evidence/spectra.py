"""How much of a kernel was learned: the energy that random weights do not have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SMALLEST = 8  # units or inputs of a kernel that has a bulk
_MARGIN = 1.1  # of the edge of the bulk


def learned_energy(rows: NDArray[np.float64]) -> float:
    """The sum of the squared singular values beyond the bulk of a random matrix.

    The bulk is that of Marchenko and Pastur, scaled to the median of the squared singular
    values. It also holds what was learned in many directions, so the energy is more likely too
    small.

    Parameters
    ----------
    rows : ndarray of float64, shape (units, inputs)
        The kernel.

    Returns
    -------
    float
        0 for a kernel of fewer than 8 units or inputs.
    """
    few, many = sorted(rows.shape)
    if few < _SMALLEST:
        return 0.0
    gram = rows @ rows.T if rows.shape[0] == few else rows.T @ rows
    squared = np.linalg.eigvalsh(gram) / many
    median, edge = bulk(few / many)
    scale = float(np.median(squared)) / median
    return float(many * squared[squared > _MARGIN * edge * scale].sum())


def bulk(ratio: float) -> tuple[float, float]:
    """The median and the upper edge of the law of Marchenko and Pastur, for a variance of 1.

    `ratio` is the smaller side of the matrix divided by the greater one.
    """
    low, high = (1 - np.sqrt(ratio)) ** 2, (1 + np.sqrt(ratio)) ** 2
    # The angle takes the roots at both ends out of the density.
    angle = (np.arange(2000) + 0.5) * np.pi / 2000
    place = (low + high) / 2 - (high - low) / 2 * np.cos(angle)
    share = np.cumsum(np.sin(angle) ** 2 / place)
    return float(place[np.searchsorted(share, share[-1] / 2)]), float(high)
