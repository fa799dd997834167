"""Nets that were not built right after the seed was set, or whose kernels were drawn anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from weightspace.evidence.draw_orders import Draw, Order
from weightspace.evidence.draws import Stream
from weightspace.evidence.matching import Match, Template, coefficients
from weightspace.evidence.subject import Subject

LIKELY = (
    0, 1, 2, 3, 7, 10, 42, 100, 123, 1234, 1337, 2020, 2021, 2022, 2023, 2024, 2025, 2026, 3407,
    12345,
)  # fmt: skip
"""Seeds whose streams are searched at every place, in case something was drawn before the net."""

_BEGINNING = 2**14  # words that are compared, of kernels drawn anew
_FARTHEST = 2**21  # words that are left out at most, before kernels drawn anew
_STREAM = 2**17  # words of a stream in which a tensor is searched at every place
_TEMPLATE = 2**14  # values of a tensor that is searched at every place
_PLACED = 2  # tensors that are searched at every place


def redrawn(subject: Subject, order: Order, seeds: Sequence[int]) -> Match | None:
    """The best match of nets whose kernels were drawn anew when all layers had been built.

    So do `nn.init.xavier_uniform_`, `kaiming_normal_` and the like, applied to each layer in turn.
    """
    base = order.draws[-1].stop
    kernels = [draw for draw in order.draws if draw.name == draw.weight]
    if base > _FARTHEST or min(draw.count for draw in kernels) < 16:
        return None
    best: Match | None = None
    for drawn in ("uniform", "normal"):
        parts = list(_beginning(subject, kernels))
        tries = 2 * len(seeds) * (len(parts) + 1)
        squares = np.array([np.square(part, dtype=np.float64).sum() for part in parts])
        scales = 1 / np.sqrt(np.maximum(np.append(squares, squares.sum()), 1e-300))
        stream = Stream(0)
        for seed in seeds:
            stream.restart(seed)
            stream.skip(base)
            sums = np.array([_drawn(stream, draw, part, drawn)
                             for draw, part in zip(kernels, parts, strict=False)])  # fmt: skip
            z = float((np.append(sums, sums.sum()) * scales).max())
            if best is None or z > best.z:
                best = Match(seed, z, tries, order, base, drawn)
    return best


def _beginning(subject: Subject, kernels: Sequence[Draw]) -> Iterator[NDArray[np.float32]]:
    """The coefficients of the first kernels, whole blocks of 16 of the last."""
    left = _BEGINNING
    for draw in kernels:
        if left <= 0:
            return
        yield coefficients(subject, draw, draw.count if draw.count <= left else left // 16 * 16)
        left -= draw.count


def _drawn(stream: Stream, draw: Draw, part: NDArray[np.float32], drawn: str) -> float:
    """The sum of coefficients times the next numbers of variance 1."""
    if drawn == "uniform":
        return math.sqrt(3) * float(stream.centred(len(part)) @ part)
    return float(stream.normal(len(part)) @ part)


def anywhere(subject: Subject, order: Order, seeds: Sequence[int]) -> Match | None:
    """The best match of a tensor with any place of the streams of a few seeds."""
    chosen = sorted(order.draws, key=lambda draw: -min(draw.count, _TEMPLATE))[:_PLACED]
    chosen = [draw for draw in chosen if draw.count >= 100]
    tries = len(seeds) * len(chosen) * _STREAM
    best: Match | None = None
    parts = [coefficients(subject, draw, min(draw.count, _TEMPLATE)) for draw in chosen]
    templates = [Template.of(part, _STREAM) for part in parts]
    stream = Stream(0)
    for seed in seeds:
        stream.restart(seed)
        numbers = fft.rfft(stream.centred(_STREAM))
        for draw, template in zip(chosen, templates, strict=True):
            z, place = template.best_place(numbers)
            if best is None or z > best.z:
                best = Match(seed, z, tries, order, place - draw.start)
    return best
