"""A plain chain with the units of another one: its hidden units, put into the other's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from weightspace.evidence.alignment import Floats, Order, correlations, held_out, matching
from weightspace.evidence.subject import Layer, Subject

_LARGEST = 2**25  # values of all kernels of a net that is matched
_MOST_UNITS = 1024
_FEWEST_UNITS, _FEWEST_INPUTS = 16, 32  # of a layer in which matched units can be compared


@dataclass(frozen=True)
class Aligned:
    """The layers of two nets, [units, inputs], with the units of the second in the first's order.

    `biases` are there where both layers have them. `alike` is how alike matched units are where
    the matching did not look: the smallest of all layers that are large enough, 0 if none is.
    """

    kernels: tuple[tuple[np.ndarray, np.ndarray], ...]
    biases: tuple[tuple[np.ndarray, np.ndarray], ...]
    alike: float


def aligned(
    first: Subject, second: Subject, layers: Sequence[tuple[Layer, Layer]]
) -> Aligned | None:
    """Match the hidden units of two chains, layer by layer, by their incoming weights.

    Parameters
    ----------
    first, second : Subject
        The nets.
    layers : sequence of tuple of Layer
        All layers of both, in order.

    Returns
    -------
    Aligned or None
        None if they are no chains, or too large.
    """
    sizes = [one.outputs * one.fan_in for one, _ in layers]
    few = all(one.outputs <= _MOST_UNITS for one, _ in layers)
    if not (first.chain and second.chain and few and sum(sizes) <= _LARGEST):
        return None
    kernels, biases, alike = [], [], []
    order: Order | None = None
    for number, (one, other) in enumerate(layers):
        a, b = (_rows(net, layer) for net, layer in ((first, one), (second, other)))
        if order is not None:
            units = len(order)
            if other.fan_in % units:
                return None
            b = b.reshape(len(b), units, -1)[:, order].reshape(len(b), -1)
        if number < len(layers) - 1:
            wide: tuple[Floats, Floats] = a.astype(np.float64), b.astype(np.float64)
            order = matching(correlations(*wide))
            if a.shape[0] >= _FEWEST_UNITS and a.shape[1] >= _FEWEST_INPUTS:
                alike.append(held_out(*wide))
        else:
            order = np.arange(len(a))
        kernels.append((a, b[order]))
        if one.bias and other.bias:
            biases.append((first.values(one.bias), second.values(other.bias)[order]))
    return Aligned(tuple(kernels), tuple(biases), min(alike, default=0.0))


def _rows(net: Subject, layer: Layer) -> np.ndarray:
    return np.ascontiguousarray(net.weight(layer)).reshape(layer.outputs, -1)
