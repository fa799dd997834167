"""Statistics of the weights of pixels: whether neighbours moved together, as images move them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtrc, ndtr

_PERMUTATIONS = (199, 1_800, 18_000)


@dataclass(frozen=True)
class Moved:
    """How much the weights of neighbouring pixels have in common.

    Attributes
    ----------
    shared : float
        The mean over pairs of neighbours of the product of their weights, after the mean of the
        set was taken from each unit. Its expectation is 0 for weights that are independent.
    error : float
        Its standard deviation for independent weights.
    pairs : int
        The number of pairs.
    """

    shared: float
    error: float
    pairs: int


def neighbours(shape: tuple[int, ...], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Pairs of chosen pixels that touch, at a side or a corner, as positions among the chosen.

    Parameters
    ----------
    shape : tuple of int
        (H, W, C): the pixels of a channel touch those of the same channel alone.
    chosen : ndarray of bool, shape (H, W, C)

    Returns
    -------
    ndarray of int64, shape (pairs, 2)
    """
    height, width = shape[:2]
    number = np.full(shape, -1)
    number[chosen] = np.arange(int(chosen.sum()))
    found = []
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
        rows, left = slice(0, height - down), max(0, -right)
        one = number[rows, left : width - max(0, right)]
        other = number[down:, left + right : width + min(0, right)]
        both = (one >= 0) & (other >= 0)
        found.append(np.stack([one[both], other[both]], 1))
    return np.concatenate(found)


def moved(columns: NDArray[np.float64], pairs: NDArray[np.int64]) -> Moved:
    """What neighbours share.

    Parameters
    ----------
    columns : ndarray of float64, shape (units, pixels)
        The weights of a set of pixels.
    pairs : ndarray of int64, shape (pairs, 2)
        Which of them touch.
    """
    units, pixels = columns.shape
    rest = columns - columns.mean(1, keepdims=True)
    products = (rest[:, pairs[:, 0]] * rest[:, pairs[:, 1]]).mean()
    variance = float((rest**2).sum()) / (units * (pixels - 1))
    # Taking the mean leaves a covariance of -variance / pixels between any two.
    error = variance / math.sqrt(units * len(pairs))
    return Moved(float(products) + variance / pixels, error, len(pairs))


def exchangeable(columns: NDArray[np.float64], pairs: NDArray[np.int64]) -> float:
    """The p-value of a permutation test that neighbours share no more than other pixels do.

    Whatever treats all pixels of a set alike leaves their weights exchangeable: every
    initialization whose weights are independent or whose rows are rotated at random, every
    optimizer, noise. The numbers of permutations grow while none is as extreme; they are always
    the same permutations.
    """
    rest = columns - columns.mean(1, keepdims=True)
    gram = rest.T @ rest
    size = len(gram)
    flat = gram.ravel()
    seen = float(flat[pairs[:, 0] * size + pairs[:, 1]].sum())
    rng = np.random.default_rng(0)
    done = above = 0
    for number in _PERMUTATIONS:
        orders = rng.random((number, size), np.float32).argsort(1).astype(np.int32)
        for part in np.array_split(orders, max(1, number // 1_000)):
            places = part[:, pairs[:, 0]] * size + part[:, pairs[:, 1]]
            above += int((flat.take(places).sum(1) >= seen * (1 - 1e-12)).sum())
        done += number
        if above:
            break
    return (above + 1) / (done + 1)


@dataclass(frozen=True)
class Shift:
    """Whether the weights of a set of pixels moved together, in each unit by a number of its own.

    Attributes
    ----------
    excess : float
        The mean square of the shifts, over units.
    error : float
        Its standard deviation if there are no shifts.
    p_value : float
        The probability of a mean square as large without shifts.
    """

    excess: float
    error: float
    p_value: float


def common_shift(columns: NDArray[np.float64]) -> Shift:
    """The common shift of pixels [units, pixels] whose first weights have the mean 0."""
    units, pixels = columns.shape
    means = columns.mean(1)
    variance = float(((columns - means[:, None]) ** 2).sum()) / (units * (pixels - 1))
    ratio = float((means**2).mean()) * pixels / variance
    p_value = float(fdtrc(units, units * (pixels - 1), ratio))
    error = variance / pixels * math.sqrt(2 / units)
    return Shift(float((means**2).mean()) - variance / pixels, error, p_value)


def below(value: float, bound: float, error: float) -> float:
    """The probability of a value as small or smaller if its expectation is at least the bound."""
    return float(ndtr((value - bound) / error)) if error > 0 else 1.0


def above(value: float, bound: float, error: float) -> float:
    """The probability of a value as large or larger if its expectation is at most the bound."""
    return float(ndtr((bound - value) / error)) if error > 0 else 1.0
