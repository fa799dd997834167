"""Which units of two nets belong together, and whether their order is the same by chance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Order = NDArray[np.intp]

LEAST_P = 1e-300
_FIRST, _ALL = 999, 99_999  # permutations that are tried: at first, and where none is as extreme
_AT_ONCE = 2**22  # entries that are looked up at once


@dataclass(frozen=True)
class OrderTest:
    """Whether the units of two layers are in one order.

    Attributes
    ----------
    p_value : float
        Under independent training from independent random weights, at most a share p of pairs has a
        p-value of p or less.
    fixed : int
        How many units have their best partner at their own place.
    units : int
        How many units were looked at.
    mean : float
        The mean correlation of units at the same place.
    """

    p_value: float
    fixed: int
    units: int
    mean: float


def standardized(rows: Floats) -> Floats:
    """Rows without the mean of each column and of each row, of length 1; zero rows stay zero.

    What all units have in common, such as the mean image, is in the means of columns.
    """
    rows = rows - rows.mean(0)
    rows = rows - rows.mean(1, keepdims=True)
    lengths = np.sqrt((rows**2).sum(1, keepdims=True))
    scaled: Floats = rows / np.maximum(lengths, 1e-30)
    return scaled


def correlations(first: Floats, second: Floats) -> Floats:
    """The correlation of each unit of one layer with each of the other, [units, units].

    `first` and `second` are [units, inputs].
    """
    return standardized(first) @ standardized(second).T


def cosine(first: Floats, second: Floats) -> float:
    """The cosine of two arrays as vectors; 0 if one of them is 0."""
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float((first * second).sum()) / lengths if lengths else 0.0


def order_test(similarity: Floats, blocks: bool = False) -> OrderTest:
    """Test whether units are in one order, given the similarity of each with each.

    Parameters
    ----------
    similarity : ndarray of float64, shape (units, units)
        Rows are the units of the first net, columns those of the second. It must be computed in a
        way that does not depend on the order of columns but for their place.
    blocks : bool
        Whether units are in blocks of one size, such as the groups of a convolution or of a group
        norm, so that only blocks as a whole, and units within one, are exchangeable.

    Returns
    -------
    OrderTest
        The p-value is twice the smaller one of two. Under the null hypothesis the columns are in
        random order, since hidden units that begin with independent random weights are
        exchangeable. So the best matching is a uniformly random permutation, and at least k of its
        points are fixed with a probability of at most 1/k!. And the sum of the diagonal is one of
        those of all permutations, of which 999 are tried, or 99,999 if none of them reaches it.
        With blocks of an unknown size, the probability of k fixed points is at most B(k)/k!, with
        Bell's number of partitions, and the sum is not used.
    """
    units = len(similarity)
    draw = np.random.default_rng(units)
    diagonal = float(np.trace(similarity))
    # Columns are shuffled before they are matched, so that ties are no more likely at their place.
    shuffled = draw.permutation(units)
    place = shuffled[matching(similarity[:, shuffled])]
    fixed = int((place == np.arange(units)).sum())
    by_matching = math.exp(-math.lgamma(fixed + 1))
    if blocks:
        p_value = min(1.0, max(LEAST_P, bell(fixed) / math.factorial(fixed)))
        return OrderTest(p_value, fixed, units, diagonal / units)
    if by_matching < 1 / _ALL:
        by_sum = 1.0  # it cannot be smaller
    else:
        by_sum = _by_permutations(similarity, diagonal, _FIRST, draw)
        if by_sum == 1 / (_FIRST + 1):
            by_sum = _by_permutations(similarity, diagonal, _ALL, draw)
    p_value = min(1.0, max(LEAST_P, 2 * min(by_matching, by_sum)))
    return OrderTest(p_value, fixed, units, diagonal / units)


@lru_cache(maxsize=512)
def bell(count: int) -> int:
    """In how many ways a set can be divided into blocks: Bell's number, by his triangle."""
    row = [1]
    for _ in range(count):
        following = [row[-1]]
        for number in row:
            following.append(following[-1] + number)
        row = following
    return row[0]


def matching(similarity: Floats) -> Order:
    """For each row the column that is its partner, so that the sum of similarities is greatest."""
    from scipy.optimize import linear_sum_assignment  # it takes long to load

    found: Order = linear_sum_assignment(similarity, maximize=True)[1]
    return found


def _by_permutations(
    similarity: Floats, diagonal: float, count: int, draw: np.random.Generator
) -> float:
    """The share of random permutations whose sum is at least that of the diagonal."""
    units = len(similarity)
    rows = np.arange(units)
    reached, left = 0, count
    while left:
        some = min(left, max(1, _AT_ONCE // units))
        orders = draw.permuted(np.broadcast_to(rows, (some, units)), axis=1)
        sums = similarity[rows, orders].sum(1)
        reached += int((sums >= diagonal - 1e-12).sum())
        left -= some
    return (1 + reached) / (1 + count)


def held_out(first: Floats, second: Floats) -> float:
    """How alike matched units are where the matching did not look.

    Units are matched by one half of their inputs, and compared by the other half.

    Parameters
    ----------
    first, second : ndarray of float64, shape (units, inputs)
        The layers.

    Returns
    -------
    float
        The median correlation, the smaller one of both halves. It is not that of independent
        nets, 0: nets that learned from the same data have units in common.
    """
    draw = np.random.default_rng(first.shape[1])
    inputs = draw.permutation(first.shape[1])
    halves = inputs[::2], inputs[1::2]
    found = []
    for matched, compared in (halves, halves[::-1]):
        order = matching(correlations(first[:, matched], second[:, matched]))
        one, other = standardized(first[:, compared]), standardized(second[:, compared])
        found.append(float(np.median((one * other[order]).sum(1))))
    return min(found)
