"""In which order torch draws the initial values of a net's tensors: `Draw` and `orders`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from weightspace.evidence.subject import Layer, Subject


@dataclass(frozen=True)
class Draw:
    """The place of a tensor's initial values in torch's stream of random words.

    Attributes
    ----------
    name : str
        The tensor.
    start : int
        How many words come before it.
    count : int
        How many values it has; each takes a word.
    limit : float
        The limit of the uniform distribution.
    weight : str
        The kernel of its layer: the tensor itself, unless it is a bias.
    """

    name: str
    start: int
    count: int
    limit: float
    weight: str

    @property
    def stop(self) -> int:
        """The first word after it."""
        return self.start + self.count


@dataclass(frozen=True)
class Order:
    """An order of layers with the draws that follow from it."""

    name: str
    draws: tuple[Draw, ...]


def orders(subject: Subject) -> tuple[Order, ...]:
    """The orders in which a net's layers may have been built.

    torch builds layers in the order of registration, which is that of a state dict. Formats that
    sort names lose it; then the order of computation is the best guess. Norms draw nothing, and of
    a layer the kernel is drawn first, then the bias.

    Parameters
    ----------
    subject : Subject
        The net.

    Returns
    -------
    tuple of Order
        Different ones, the likeliest first. Empty if no layer is stored as torch stores it.
    """
    layers = [layer for layer in subject.layers if layer.axes != "last"]
    rank = {name: place for place, name in enumerate(subject.shapes)}
    stored = sorted(layers, key=lambda layer: rank[layer.weight])
    proposals = (
        ("as stored", stored),
        ("as computed", layers),
        ("the output layer first", [*layers[-1:], *layers[:-1]]),
    )
    found: list[Order] = []
    for name, sequence in proposals:
        draws = _chain(subject, sequence)
        if draws and all(draws != one.draws for one in found):
            found.append(Order(name, draws))
    return tuple(found)


def _chain(subject: Subject, layers: Sequence[Layer]) -> tuple[Draw, ...]:
    found: list[Draw] = []
    start = 0
    for layer in layers:
        fan_in = math.prod(layer.shape[1:]) or 1
        for name, limit in ((layer.weight, kernel_limit(fan_in)), (layer.bias, fan_in**-0.5)):
            if name:
                count = math.prod(subject.shapes[name])
                found.append(Draw(name, start, count, limit, layer.weight))
                start += count
    return tuple(found)


def kernel_limit(fan_in: int) -> float:
    """The limit of `kaiming_uniform_(a=sqrt(5))`: 1 / sqrt(fan in), rounded as torch rounds it."""
    gain = math.sqrt(2.0 / (1 + math.sqrt(5) ** 2))
    return math.sqrt(3.0) * (gain / math.sqrt(fan_in))
