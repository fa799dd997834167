"""The values that torch's uniform initialization can give: whether a tensor still holds them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BITS = 24  # of a random number that becomes a float32
_AROUND = 8  # floats on either side, which tell how dense the possible values are


@dataclass(frozen=True)
class Lattice:
    """How many values are possible ones of an initialization, to the last bit.

    Attributes
    ----------
    values : int
        How many were looked at.
    hits : int
        How many of them the initialization can have given.
    expected : float
        How many would be among them if they had moved by more than a few units in the last place.
    """

    values: int
    hits: int
    expected: float

    @property
    def p_value(self) -> float:
        """An upper limit of the probability of so many hits among values that have moved."""
        if self.hits <= self.expected or not self.values:
            return 1.0
        share, chance = self.hits / self.values, self.expected / self.values
        if chance <= 0:
            return 0.0
        distance = share * math.log(share / chance)
        if share < 1:
            distance += (1 - share) * math.log((1 - share) / (1 - chance))
        return math.exp(-self.values * distance)


def lattice(values: NDArray[np.float32], limit: float) -> Lattice:
    """Compare values with those that `uniform_(-limit, limit)` of torch can give on a processor.

    Parameters
    ----------
    values : ndarray of float32, any shape
        The values; those beyond the limit are no hits.
    limit : float
        The limit, as torch works it out, in float64.

    Returns
    -------
    Lattice

    Notes
    -----
    torch makes a float32 of a random whole number k < 2^24: k 2^-24 (2 limit) - limit, rounded
    once or, by processors without fused arithmetic, twice. Both are possible. Far from 0 many
    floats are possible values by chance; how many is counted among the neighbours of each.
    Whatever its distribution, the sum of independent hits is at most as large as Hoeffding's
    inequality (1963, theorem 1) allows.
    """
    flat = np.asarray(values, np.float32).ravel()
    hits = _possible(flat, limit)
    near = [_possible(_neighbour(flat, step), limit) for step in range(1, _AROUND + 1)]
    near += [_possible(_neighbour(flat, -step), limit) for step in range(1, _AROUND + 1)]
    chance = (np.sum(near, axis=0, dtype=float) + hits) / (2 * _AROUND + 1)
    return Lattice(flat.size, int(hits.sum()), float(chance.sum()))


def _neighbour(values: NDArray[np.float32], steps: int) -> NDArray[np.float32]:
    """The float32 that is so many further from 0."""
    bits = np.ascontiguousarray(values).view(np.int32)
    moved = np.where((bits & 0x7FFFFFFF) > _AROUND, bits + steps, bits)
    return moved.astype(np.int32).view(np.float32)


def _possible(values: NDArray[np.float32], limit: float) -> NDArray[np.bool_]:
    low = -np.float32(limit)
    span = np.float64(np.float32(limit) - low)
    exact = values.astype(np.float64)
    nearest = np.round((exact - np.float64(low)) / span * 2**_BITS)
    found = np.zeros(values.shape, bool)
    for step in range(-3, 4):
        number = nearest + step
        product = number * 2.0**-_BITS * span
        inside = (number >= 0) & (number < 2**_BITS)
        fused = (product + np.float64(low)).astype(np.float32)
        twice = product.astype(np.float32) + low
        found |= inside & ((fused == values) | (twice == values))
    return found
