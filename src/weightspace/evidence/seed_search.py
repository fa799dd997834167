"""Which seed's random numbers a net's weights still resemble: `search`."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace.evidence.draw_orders import Draw, Order, orders
from weightspace.evidence.draws import Stream
from weightspace.evidence.matching import SURE, Match, coefficients
from weightspace.evidence.other_draws import LIKELY, anywhere, redrawn
from weightspace.evidence.subject import Subject

_SHORT, _LONG = 2**14, 2**16  # words of a stream that are compared with a net, at first and at most
_FEW = 2_000  # seeds that are compared at full length; of more, a window is compared first
_PROMISING = 3.3  # z-value of the window from which on a seed is compared at full length
_MOST = 2_000  # seeds that are compared at full length after the window
_WINDOW = (624, 2**13)  # words of the window, at least and at most
_ENOUGH = 80.0  # values as they were at first that a window must be worth: z is 9 then


def search(subject: Subject, seeds: Sequence[int], likely: Sequence[int] = LIKELY) -> Match | None:
    """The seed whose random numbers a net resembles most.

    Parameters
    ----------
    subject : Subject
        The net.
    seeds : sequence of int
        The seeds for which the net is taken to be built right after the seed was set.
    likely : sequence of int
        The seeds for which anything may have been drawn before, tried if none of `seeds` is sure.

    Returns
    -------
    Match or None
        Its p-value says whether it is more than the best of many; None if no tensor can be compared
        or no seed is given.
    """
    found = orders(subject)
    if not found or not seeds:
        return None
    best = _in_order(subject, found, seeds, _SHORT if len(seeds) <= _FEW else _LONG)
    if best.p_value >= SURE and len(seeds) <= _FEW and found[0].draws[-1].stop > _SHORT:
        best = _in_order(subject, found, seeds, _LONG)
    if best.p_value >= SURE:
        others = (redrawn(subject, found[0], likely), anywhere(subject, found[0], likely))
        known = [one for one in (best, *others) if one is not None]
        best = min(known, key=lambda one: one.p_value)
    return best


def _in_order(subject: Subject, found: Sequence[Order], seeds: Sequence[int], length: int) -> Match:
    """The best match of nets that were built right after the seed was set."""
    # Each order of many seeds takes long; the first is that of a state dict.
    combs = [
        Comb.of(subject, order, length) for order in found[: None if len(seeds) <= _FEW else 1]
    ]
    tries = len(seeds) * sum(len(comb.draws) + 1 for comb in combs)
    stream = Stream(0)
    best = Match(seeds[0], -math.inf, tries, found[0])
    for seed, some in _promising(combs, seeds, stream):
        stream.restart(seed)
        numbers = stream.centred(max(len(comb.coefficients) for comb in some))
        for comb in some:
            z = float(comb.scores(numbers).max())
            if z > best.z:
                best = Match(seed, z, tries, comb.order)
    return best


@dataclass(frozen=True)
class Comb:
    """The weights of a net's first tensors, laid where a stream has their initial values.

    `coefficients` are float32 [words]. The score of a tensor is the sum of coefficients times
    uniform numbers in standard deviations.
    """

    order: Order
    draws: tuple[Draw, ...]
    coefficients: NDArray[np.float32]
    scales: NDArray[np.float64]

    @classmethod
    def of(cls, subject: Subject, order: Order, length: int) -> Comb:
        """The comb of as much of an order as lies in the first `length` words."""
        draws = tuple(draw for draw in order.draws if draw.start < length)
        stop = min(length, draws[-1].stop)
        parts = [coefficients(subject, d, min(d.count, stop - d.start)) for d in draws]
        squares = np.array([np.square(part, dtype=np.float64).sum() for part in parts])
        squares = np.append(squares, squares.sum())
        scales = np.sqrt(3 / np.maximum(squares, 1e-300))
        return cls(order, draws, np.concatenate(parts), scales)

    def scores(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """The z-values of each tensor and of all together, float64 [tensors + 1].

        `numbers` are a stream's, from -1 to 1: float32 [words], at least as many as coefficients.
        """
        sums = [
            float(numbers[draw.start : draw.stop][: len(part)] @ part)
            for draw in self.draws
            for part in (self.coefficients[draw.start : draw.stop],)
        ]
        return np.array([*sums, sum(sums)]) * self.scales

    def window(self) -> tuple[int, int]:
        """The first and the last word of the part that shows a seed best for its length."""
        worth = np.concatenate([[0.0], np.cumsum(self._kept())])
        start, stop = 0, len(worth) - 1
        for length in (_WINDOW[0], 2 * _WINDOW[0], 4 * _WINDOW[0], _WINDOW[1]):
            if length >= len(worth):
                break
            gains = worth[length:] - worth[:-length]
            # The earliest that is good enough, because all words before it must be drawn.
            start = int(np.argmax(gains >= min(_ENOUGH, 0.8 * gains[: _WINDOW[1]].max())))
            stop = start + length
            if gains[start] >= _ENOUGH:
                break
        return start, stop

    def _kept(self) -> NDArray[np.float64]:
        """The share of each value that may still be initial: less where weights have grown."""
        kept = np.empty(len(self.coefficients))
        for draw in self.draws:
            part = self.coefficients[draw.start : draw.stop].astype(np.float64)
            scale = float(np.sqrt(np.mean(np.square(part)))) or 1.0
            # A coefficient is w / max(variance, initial): its spread falls as the variance grows.
            kept[draw.start : draw.stop] = min(1.0, scale**2 / 3)
        return kept


def _promising(
    combs: Sequence[Comb], seeds: Sequence[int], stream: Stream
) -> Iterator[tuple[int, Sequence[Comb]]]:
    """The seeds that are worth comparing at full length, each with the combs to compare."""
    if len(seeds) <= _FEW:
        yield from ((seed, combs) for seed in seeds)
        return
    yield from ((seed, combs) for seed in _screened(combs[0], seeds, stream))


def _screened(comb: Comb, seeds: Sequence[int], stream: Stream) -> list[int]:
    """The seeds that do best in a short window of the stream."""
    start, stop = comb.window()
    part = comb.coefficients[start:stop]
    least = _PROMISING / math.sqrt(3 / max(float(np.square(part, dtype=np.float64).sum()), 1e-300))
    found: list[tuple[float, int]] = []
    for seed in seeds:
        stream.restart(seed)
        stream.skip(start)
        score = float(stream.centred(stop - start) @ part)
        if score > least:
            found.append((score, seed))
    return [seed for _, seed in heapq.nlargest(_MOST, found)]
