"""Plans of plain convolutional nets in a few words, and their layers taken apart again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from weightspace.networks import Plan
from weightspace.networks.grammar import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
)


@dataclass(frozen=True)
class Block:
    """A convolution with norm and activation, and whether 2x2 max pooling follows."""

    width: int
    kernel: int
    padding: int
    pool: bool


@dataclass(frozen=True)
class Plain:
    """Convolutions and hidden dense layers, all with batch norm or none."""

    side: int
    channels: int
    outputs: int
    conv: tuple[Block, ...]
    fc: tuple[int, ...]
    batch_norm: bool

    @property
    def plan(self) -> Plan:
        norm = [Norm()] * self.batch_norm
        layers: list[Layer] = []
        for b in self.conv:
            layers += [Conv(b.width, b.kernel, padding=b.padding), *norm, Activation()]
            layers += [Pool()] * b.pool
        layers.append(Flatten())
        for width in self.fc:
            layers += [Dense(width), Activation(), *norm, Dropout()]
        return Plan((self.channels, self.side, self.side), (*layers, Dense(self.outputs)))


def widths(plan: Plan, kind: type) -> list[int]:
    """The widths of the convolutions or dense layers of a plan."""
    return [spot.layer.width for spot in plan.kernels if isinstance(spot.layer, kind)]


def pooled(plan: Plan) -> list[int]:
    """After which convolutions a plan pools, from 0."""
    return [spot.number for spot in plan.spots if isinstance(spot.layer, Pool)]


def sides(plan: Plan) -> list[int]:
    """The side of the input, then of each convolution's output after pooling, in pixels."""
    found: dict[int, int] = {-1: plan.input[1]}
    found |= {spot.number: spot.gives[1] for spot in plan.spots if len(spot.gives) == 3}
    return list(found.values())


def hidden(plan: Plan) -> Sequence[int]:
    """The widths of the hidden dense layers."""
    return widths(plan, Dense)[:-1]
