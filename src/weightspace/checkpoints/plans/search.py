"""The sizes that fit a chain of convolutions: input, strides, paddings and pools, likeliest first.

Kernels show channels and sides; the first dense layer shows how many pixels are left. What lies
between is not stored, so every usual choice is tried. Each has a cost, about the negative logarithm
of how usual it is, and the sums of least cost come first. The costs are our judgement.
docs/checkpoints.md says how often the first plan is the right one.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from weightspace.networks.grammar import Pool

LARGEST = 640
_NEVER = 1e9
_INPUTS = {
    1: {28: 0.0, 32: 1.0, 64: 2.0, 48: 2.5, 8: 2.5, 16: 2.5, 128: 2.5, 20: 3.0, 14: 3.0, 224: 3.0},
    3: {32: 0.0, 224: 1.0, 64: 1.2, 128: 1.5, 96: 2.0, 256: 2.0, 150: 2.0, 227: 2.0, 28: 2.5,
        48: 2.5, 100: 2.5, 84: 2.5, 180: 2.5, 200: 2.5, 299: 3.0, 160: 3.0, 16: 3.5},
    4: {84: 0.0, 64: 1.5, 80: 2.0},
}  # fmt: skip
_POOLS = {
    Pool(2): 0.0, Pool(3, 2): 2.0, Pool(3, 2, 1): 2.5, Pool(3): 3.0, Pool(4): 2.5, Pool(2, 1): 4.0,
    Pool(5): 4.0, Pool(8): 4.5,
}  # fmt: skip
_MODES = ("none", "same", "other")


@dataclass(frozen=True)
class Known:
    """What is known of a convolution and of what follows it.

    Attributes
    ----------
    kernel : int
        The side of the kernel.
    widens : bool
        Whether the next layer is wider, or none follows; pools are usual there.
    stride, padding : int or None
        As the file says; None if it does not.
    pools : tuple of Pool or None
        The pools that follow, as the file says; None if it does not.
    gap : int or None
        How many modules without tensors follow in a `Sequential`; None if unknown.
    """

    kernel: int
    widens: bool
    stride: int | None = None
    padding: int | None = None
    pools: tuple[Pool, ...] | None = None
    gap: int | None = None


@dataclass(frozen=True)
class Choice:
    """One way to compute a convolution: stride, padding, and the pools after it."""

    stride: int
    padding: int
    pools: tuple[Pool, ...]
    mode: int
    cost: float

    def sides(self, known: Known, sides: np.ndarray) -> np.ndarray:
        """The sides of the output for sides of the input; 0 where there is none."""
        sides = _slid(sides, known.kernel, self.stride, self.padding)
        for pool in self.pools:
            sides = _slid(sides, pool.size, pool.step, pool.padding)
        return sides


def _slid(sides: np.ndarray, size: int, step: int, padding: int) -> np.ndarray:
    there = (sides > 0) & (sides + 2 * padding >= size)
    return np.where(there, (sides + 2 * padding - size) // step + 1, 0)


@cache
def _choices(known: Known) -> tuple[Choice, ...]:
    found = []
    for (stride, a), (padding, mode, b), (pools, c) in itertools.product(
        _strides(known), _paddings(known), _pools(known)
    ):
        # Large kernels that step far are often pooled all the same, as in AlexNet.
        both = 1.5 if stride > 1 and pools and known.stride is None and known.kernel < 11 else 0.0
        found.append(Choice(stride, padding, pools, mode, a + b + c + both))
    return tuple(found)


def _strides(known: Known) -> Iterator[tuple[int, float]]:
    if known.stride is not None:
        yield known.stride, 0.0
        return
    usual = {1: 0.0, 2: 1.5, known.kernel: 3.0}
    if known.kernel == 4:
        usual |= {1: 0.7, 2: 0.7, 4: 2.0}
    elif known.kernel >= 7:
        usual |= {1: 1.0, 2: 1.0, 4: 2.0} if known.kernel == 7 else {1: 1.5, 2: 1.5, 4: 0.0}
    yield from usual.items()


def _paddings(known: Known) -> Iterator[tuple[int, int, float]]:
    kernel = known.kernel
    usual = {0: (0, 0.5), (kernel - 1) // 2: (1, 0.5)} if kernel > 1 else {0: (0, 0.0)}
    for padding in (1, 2, kernel // 2):
        if 0 < padding < kernel:
            usual.setdefault(padding, (2, 2.5))
    if known.padding is not None:
        usual = {known.padding: (usual.get(known.padding, (2, 0.0))[0], 0.0)}
    for padding, (mode, cost) in usual.items():
        yield padding, mode if kernel > 1 else -1, cost


def _pools(known: Known) -> Iterator[tuple[tuple[Pool, ...], float]]:
    if known.pools is not None:
        yield known.pools, 0.0
        return
    none, one = (1.0, 0.3) if known.widens else (0.3, 1.0)
    if known.gap is not None:
        none, one = {0: (0.0, 6.0), 1: (0.0, 3.0)}.get(known.gap, (1.5, 0.0))
    yield (), none
    for pool, cost in _POOLS.items():
        yield (pool,), one + cost


def input_cost(channels: int, side: int) -> float:
    """How unusual an input of this side is."""
    usual = _INPUTS.get(channels, _INPUTS[3])
    if side in usual:
        return usual[side]
    return 3.5 if side % 8 == 0 else 4.5 if side % 10 == 0 or side % 4 == 0 else 5.5


@dataclass(frozen=True)
class Fit:
    """An input side, a choice for each convolution, the side at the end, and the cost of all."""

    side: int
    choices: tuple[Choice, ...]
    last: int
    cost: float


def fits(
    channels: int, chain: tuple[Known, ...], ends: dict[int, float], most: int, within: float
) -> list[Fit]:
    """The fits of least cost.

    Parameters
    ----------
    channels : int
        Of the input.
    chain : tuple of Known
        The convolutions.
    ends : dict of int to float
        The sides that the last one may leave, with their costs.
    most : int
        How many fits are wanted.
    within : float
        How much more than the least a fit may cost.

    Returns
    -------
    list of Fit
        The likeliest first.
    """
    rest = _cost_to_go(chain, ends)
    queue: list[tuple[float, int, float, int, int, tuple[Choice, ...], int]] = []
    count = itertools.count()
    for side in range(1, LARGEST + 1):
        begun = input_cost(channels, side)
        least = begun + float(rest[0][len(_MODES)][side])
        if least < _NEVER:
            heapq.heappush(queue, (least, next(count), begun, side, len(_MODES), (), side))
    found: list[Fit] = []
    while queue and len(found) < most:
        least, _, spent, side, mode, chosen, first = heapq.heappop(queue)
        if found and least > found[0].cost + within:
            break
        if len(chosen) == len(chain):
            found.append(Fit(first, chosen, side, least))
            continue
        known = chain[len(chosen)]
        for choice, after in zip(_choices(known), _after(known)[:, side].tolist(), strict=True):
            now, to = _switched(mode, choice.mode)
            left = float(rest[len(chosen) + 1][to][after])
            if left < _NEVER:
                cost = spent + choice.cost + now
                entry = (cost + left, next(count), cost, after, to, (*chosen, choice), first)
                heapq.heappush(queue, entry)
    return found


def _switched(before: int, mode: int) -> tuple[float, int]:
    """The cost of a kind of padding after another, and the kind that is in use then."""
    if mode < 0:
        return 0.0, before
    return (1.0 if before < len(_MODES) and mode != before else 0.0), mode


def _cost_to_go(chain: tuple[Known, ...], ends: dict[int, float]) -> list[np.ndarray]:
    """The least cost from each convolution on: for each [kinds of padding + 1, sides]."""
    last = np.full((len(_MODES) + 1, LARGEST + 1), _NEVER)
    for side, cost in ends.items():
        if side <= LARGEST:
            last[:, side] = cost
    rest = [last]
    for known in reversed(chain):
        here = np.full_like(last, _NEVER)
        for mode in range(-1, len(_MODES)):
            of = [i for i, choice in enumerate(_choices(known)) if choice.mode == mode]
            if not of:
                continue
            after, costs = _after(known)[of], np.array([_choices(known)[i].cost for i in of])
            for before in range(len(_MODES) + 1):
                now, to = _switched(before, mode)
                least = (rest[0][to][after] + costs[:, None]).min(0) + now
                np.minimum(here[before], least, out=here[before])
        rest.insert(0, here)
        rest[0][:, 0] = _NEVER
    return rest


@cache
def _after(known: Known) -> np.ndarray:
    """The side after each choice for each side before: int64 [choices, sides]; 0 for none."""
    sides = np.arange(LARGEST + 1)
    return np.stack([np.minimum(choice.sides(known, sides), LARGEST) for choice in _choices(known)])
