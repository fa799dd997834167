"""The shapes of initial distributions, and exact tests of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogorov, ndtr

Cdf = Callable[[NDArray[np.float64]], NDArray[np.float64]]

_OUTSIDE = float(ndtr(-2.0))
_TRUNCATED_SD = 0.87962566
"""The standard deviation of a standard normal variable that is cut at 2."""


def _uniform(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((x / math.sqrt(3) + 1) / 2, 0, 1)


def _normal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = ndtr(x)
    return found


def _truncated(x: NDArray[np.float64]) -> NDArray[np.float64]:
    inside: NDArray[np.float64] = (ndtr(x * _TRUNCATED_SD) - _OUTSIDE) / (1 - 2 * _OUTSIDE)
    return np.clip(inside, 0, 1)


SHAPES: Mapping[str, Cdf] = {"uniform": _uniform, "normal": _normal, "truncated": _truncated}
"""Distribution functions of variance 1. `truncated` is a normal distribution that is cut at two
standard deviations, as in Keras and JAX."""


@functools.cache
def _of_residuals(shape: str, n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distribution function of a value less the mean of its row of n, at variance 1."""
    grid = np.linspace(-10, 10, 8001)
    own = SHAPES[shape](grid / math.sqrt(1 - 1 / n))
    others = np.exp(-(grid**2) * n / 2)
    density = np.convolve(np.gradient(own, grid), others / others.sum(), "same")
    total = np.cumsum(density)
    return grid, (total - density / 2) / total[-1]


def fits(values: NDArray[np.float64], shape: str, slack: float = 0.0) -> float:
    """The p-value that values have a shape, whatever their scale (Kolmogorov and Smirnov).

    The scale is that of the values, which makes the p-value too large, never too small.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        Independent values of mean 0.
    shape : {"uniform", "normal", "truncated"}
    slack : float
        A distance between the distribution functions that is not counted.
    """
    scale = math.sqrt(float((values**2).mean()))
    return distance_p(values / scale, SHAPES[shape], slack) if scale else 0.0


def residuals_fit(rows: NDArray[np.float64], shape: str, slack: float = 0.0) -> float:
    """As `fits`, for rows [rows, n] of values of which the mean of each row was taken."""
    scale = math.sqrt(float((rows**2).mean()))
    if not scale:
        return 0.0
    places, total = _of_residuals(shape, rows.shape[1])
    return distance_p(rows / scale, lambda x: np.interp(x, places, total), slack)


def distance_p(values: NDArray[np.float64], cdf: Cdf, slack: float = 0.0) -> float:
    """The p-value of a two-sided Kolmogorov-Smirnov test, by the limit for many values."""
    ordered = np.sort(values.ravel())
    n = len(ordered)
    at = cdf(ordered)
    steps = np.arange(n + 1) / n
    distance = max(float((steps[1:] - at).max()), float((at - steps[:-1]).max()))
    return float(kolmogorov(math.sqrt(n) * max(0.0, distance - slack)))


KURTOSIS: Mapping[str, float] = {"uniform": 1.8, "normal": 3.0, "truncated": 2.37}
"""Mean fourth powers of the shapes, at variance 1."""
