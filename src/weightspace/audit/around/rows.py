"""`Sights`: all numbers by which nets of one architecture are compared, in one row a net."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from weightspace.audit.around.behaviour import Behaviour
from weightspace.evidence.columns import sums_of
from weightspace.evidence.families import FAMILIES
from weightspace.evidence.subject import Subject, column_sums
from weightspace.features import LAYERS_NAMES, layers
from weightspace.networks import Layout

_TINY = 1e-12
_FAINT = 1e-30  # the least p-value that is told from others


@dataclass(frozen=True)
class Sights:
    """What is looked at in a net: its layers, the laws of training, and what it does with images.

    Parameters
    ----------
    behaviour : Behaviour
        How nets are looked at.
    """

    behaviour: Behaviour

    def row(
        self, vector: np.ndarray, layout: Layout, start: np.ndarray | None = None
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Look at a net.

        Parameters
        ----------
        vector : ndarray of float32, shape (P,)
            Its weights.
        layout : Layout
            Their layout.
        start : ndarray of float32, shape (P,), optional
            The initial weights, where they are known: then also how far it moved is looked at.

        Returns
        -------
        names : tuple of str
            The names of the numbers, the same for all nets of one architecture.
        numbers : ndarray of float32, shape (F,)
            Those that the architecture lacks are NaN.
        """
        with one_thread():
            return self._row(vector, layout, start)

    def _row(
        self, vector: np.ndarray, layout: Layout, start: np.ndarray | None
    ) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        found = dict(zip(LAYERS_NAMES, map(float, layers(vector, layout)), strict=True))
        found |= dict(_of_laws(Subject.of_vector(vector, layout)))
        found |= self.behaviour.numbers(vector)
        if start is not None:
            found |= dict(_of_way(vector, start, layout))
        return tuple(found), np.array(list(found.values()), np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for torch and for algebra: more cost more than they save, for nets so small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, "blas"):
            yield
    finally:
        torch.set_num_threads(before)


def _of_laws(subject: Subject) -> Iterator[tuple[str, float]]:
    """Statistics of the laws of training."""
    layer = subject.output
    if layer is not None and layer.outputs >= 3 and layer.inputs >= 8:
        sums = sums_of(subject, layer)
        variance = FAMILIES["torch_default"].variance(layer.fan_in, layer.fan_out)
        yield "sums_fit", math.log10(max(sums.fit, _FAINT))
        yield "sums_size", _log(sums.square / (layer.outputs * variance))
        yield "sums_share", _log(sums.square / (layer.outputs * sums.rest + _TINY))
        yield "sums_bias", _log(sums.bias_share) if sums.bias_share is not None else math.nan
    for place, one in enumerate(subject.layers):
        weights = subject.weight(one).astype(np.float64)
        flat = weights.reshape(weights.shape[0], -1)
        limit = 1 / math.sqrt(one.fan_in)
        yield f"edge_{place}", _log(float(np.abs(flat).max()) / limit)
        yield f"inside_{place}", float((np.abs(flat) < limit).mean())
        size = np.sqrt((flat**2).mean(1))
        yield f"size_{place}", _log(float(size.mean()) / limit)
        yield f"size_spread_{place}", _log(float(size.std() / (size.mean() + _TINY)))
        inputs = np.sqrt((flat**2).mean(0))
        yield f"input_spread_{place}", _log(float(inputs.std() / (inputs.mean() + _TINY)))
        if one.bias:
            bias = subject.values(one.bias).astype(np.float64)
            yield f"bias_size_{place}", _log(float(np.sqrt((bias**2).mean())) / limit)
            yield f"bias_mean_{place}", float(bias.mean()) / (float(bias.std()) + _TINY)


def _of_way(vector: np.ndarray, start: np.ndarray, layout: Layout) -> Iterator[tuple[str, float]]:
    """How far the weights moved from the initial ones, layer by layer."""
    way = vector - start
    numbers = layers(way, layout)
    yield from ((f"way_{n}", float(v)) for n, v in zip(LAYERS_NAMES, numbers, strict=True))
    first, moved = (Subject.of_vector(one, layout) for one in (start, way))
    for place, one in enumerate(first.layers):
        before, step = (s.weight(one).astype(np.float64).reshape(-1) for s in (first, moved))
        yield f"way_{place}_share", _log(float(np.sqrt((step**2).mean() / (before**2).mean())))
        yield f"way_{place}_along", float(before @ step / (before @ before))
        yield f"way_{place}_most", _log(float(np.abs(step).max()))
        yield f"way_{place}_typical", _log(float(np.median(np.abs(step))))
    layer = first.output
    if layer is not None and layer.outputs >= 3:
        sums, changes = (column_sums(s, layer) for s in (first, moved))
        along = float(sums @ changes / (sums @ sums))
        yield "way_sums_along", along
        yield "way_sums_rest", _log(float(np.sqrt(((changes - along * sums) ** 2).mean())))


def _log(value: float) -> float:
    return math.log(max(value, _TINY))
