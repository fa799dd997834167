"""`InitialVector`: the values that a net's tensors had before training, once the seed is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from weightspace.evidence.draw_orders import Draw
from weightspace.evidence.draws import Stream
from weightspace.evidence.matching import Match, Template, coefficients
from weightspace.evidence.subject import Subject

_SEEN = 6.0  # z-value from which on a tensor is seen to have begun at its place: chance 1e-8
_LOOKED = 2**16  # values of a tensor that are compared
_FARTHEST = 2**27  # words of a stream that are drawn at most
_SEARCHED = 2**18  # words of a stream in which tensors that are not at their place are searched
_STRAYS = 8  # tensors that are searched at most


@dataclass(frozen=True)
class InitialVector:
    """Where in the stream of a seed the initial values of a net's tensors are.

    Attributes
    ----------
    seed : int
        The seed.
    places : dict of str to Draw
        For each tensor that is seen to have begun there, its place; a bias belongs to its kernel.
    scores : dict of str to float
        The z-value of each tensor that was compared.
    """

    seed: int
    places: Mapping[str, Draw]
    scores: Mapping[str, float]

    def values(self, name: str, most: int | None = None) -> NDArray[np.float32]:
        """The initial values of a tensor as torch draws them.

        Parameters
        ----------
        name : str
            A tensor of `places`.
        most : int, optional
            How many values to give; by default all.

        Returns
        -------
        ndarray of float32, shape (values,)
            The first values in the order in which the tensor is stored.

        Raises
        ------
        KeyError
            If the place of the tensor is not known.
        """
        draw = self.places[name]
        stream = Stream(self.seed)
        stream.skip(draw.start)
        count = draw.count if most is None else min(draw.count, most)
        return stream.uniform(count, -draw.limit, draw.limit)

    def each(self, most: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """The first values of every tensor of `places`, in the order of the stream.

        Parameters
        ----------
        most : int
            How many values of a tensor to give at most.

        Yields
        ------
        str
            The tensor.
        ndarray of float32, shape (values,)
            Its first initial values, in the order in which it is stored.
        """
        stream, at = Stream(self.seed), 0
        for draw in sorted(self.places.values(), key=lambda draw: draw.start):
            if draw.start < at:  # two tensors of one place, of which the first is given
                continue
            stream.skip(draw.start - at)
            count = min(draw.count, most)
            yield draw.name, stream.uniform(count, -draw.limit, draw.limit)
            at = draw.start + count


def initial_vector(subject: Subject, match: Match) -> InitialVector:
    """The initial values of the tensors of a net whose seed was found.

    Each tensor is compared with the place that follows from the order of layers. A kernel that is
    not seen there is searched in the whole stream, because a module may draw its layers in another
    order than it registers them.

    Parameters
    ----------
    subject : Subject
        The net.
    match : Match
        The seed, the order of layers, and what was drawn before.

    Returns
    -------
    InitialVector
    """
    draws = [replace(d, start=d.start + match.shift) for d in match.order.draws]
    draws = [draw for draw in draws if draw.start >= 0 and draw.stop <= _FARTHEST]
    scores = dict(_scores(subject, draws, match.seed))
    places = {draw.name: draw for draw in draws if scores[draw.weight] >= _SEEN}
    strays = [d for d in match.order.draws if d.name == d.weight and d.name not in places]
    biases = {draw.weight: draw for draw in match.order.draws if draw.name != draw.weight}
    for stray, start, z in _located(subject, strays[:_STRAYS], match.seed):
        scores[stray.name] = z
        places[stray.name] = replace(stray, start=start)
        if stray.name in biases:
            bias = biases[stray.name]
            places[bias.name] = replace(bias, start=start + stray.count)
    return InitialVector(match.seed, places, scores)


def _scores(subject: Subject, draws: list[Draw], seed: int) -> Iterator[tuple[str, float]]:
    stream, at = Stream(seed), 0
    for draw in draws:
        stream.skip(draw.start - at)
        count = min(draw.count, _LOOKED)
        part = coefficients(subject, draw, count)
        square = float(np.square(part, dtype=np.float64).sum())
        yield draw.name, float(stream.centred(count) @ part) * math.sqrt(3 / max(square, 1e-300))
        at = draw.start + count


def _located(subject: Subject, strays: list[Draw], seed: int) -> Iterator[tuple[Draw, int, float]]:
    """The kernels that are seen at some place of the stream: each, its place, and its z-value."""
    strays = [draw for draw in strays if 64 <= draw.count <= _SEARCHED // 2]
    if not strays:
        return
    numbers = fft.rfft(Stream(seed).centred(_SEARCHED))
    least = math.sqrt(_SEEN**2 + 2 * math.log(_SEARCHED))
    for draw in strays:
        part = coefficients(subject, draw, min(draw.count, _LOOKED))
        z, start = Template.of(part, _SEARCHED).best_place(numbers)
        if z >= least:
            yield draw, start, z
