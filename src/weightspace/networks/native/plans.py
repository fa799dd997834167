"""Which plans the native step computes, and how it is told their layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
    Shape,
    after,
)
from weightspace.networks.plan import Plan


class _Kind(IntEnum):
    """As in step.cpp."""

    CONV, DENSE, POINT, POOL, DROPOUT, SUM = range(6)


class _UnknownError(Exception):
    """A layer that the native step does not compute."""


def numbers(plan: Plan) -> np.ndarray | None:
    """A plan as the native step takes it, int32, or None if it cannot compute it.

    It computes square images and kernels, no groups of channels, and of norms only batch norm. What
    follows a layer in the usual order is computed together with it: norm, activation and 2x2 max
    pooling after a convolution; activation, norm and dropout after a dense layer; an activation
    after the sum of a residual block.
    """
    sides = plan.input[1:]
    if len(plan.input) not in (1, 3) or len(set(sides)) > 1:
        return None
    told = _Told()
    try:
        told.chain(plan.layers, told.value(plan.input), plan.input)
    except _UnknownError:
        return None
    if told.padded & told.flat:
        return None
    head = [len(told.values), len(told.rows)]
    return np.array([*head, *sum(told.values, ()), *sum(told.rows, ())], np.int32)


@dataclass
class _Told:
    """Values (channels, side) and layers (kind, in, out, seven settings), as they are found."""

    values: list[tuple[int, ...]] = field(default_factory=list)
    rows: list[tuple[int, ...]] = field(default_factory=list)
    padded: set[int] = field(default_factory=set)  # values that have zeros around them
    flat: set[int] = field(default_factory=set)  # values that a dense layer reads as they lie

    def value(self, shape: Shape) -> int:
        """Add a value; its number."""
        self.values.append((shape[0], shape[1] if len(shape) == 3 else 1))
        return len(self.values) - 1

    def chain(self, layers: tuple[Layer, ...], value: int, shape: Shape) -> tuple[int, Shape]:
        """Tell a chain; the number and the shape of what it gives."""
        left = list(layers)
        while left:
            taken = self._next(left, value, shape)
            shape = after(tuple(left[:taken]), shape)
            if not isinstance(left[0], Flatten):
                value = len(self.values) - 1
            del left[:taken]
        return value, shape

    def _next(self, left: list[Layer], value: int, shape: Shape) -> int:
        """Tell the next layers; how many they are."""
        layer = left[0]
        if isinstance(layer, Conv):
            return self._conv(layer, left, value, shape)
        if isinstance(layer, Dense):
            return self._dense(layer, left, value, shape)
        if isinstance(layer, Flatten):
            return 1
        if isinstance(layer, Residual):
            ends = [self.chain(side, value, shape)[0] for side in (layer.body, layer.shortcut)]
            active = len(left) > 1 and isinstance(left[1], Activation)
            self._row(_Kind.SUM, ends[0], layer.gives(shape), ends[1], int(active))
            return 1 + active
        gives = layer.gives(shape)
        if isinstance(layer, Norm | Activation):
            parts = _leading(left, [_batch_norm, _activation])
            if not parts:
                raise _UnknownError
            self._row(_Kind.POINT, value, gives, *_flags(parts, _batch_norm, _activation))
            return len(parts)
        if isinstance(layer, Pool):
            kind = ("max", "average").index(layer.kind)
            self._row(_Kind.POOL, value, gives, kind, layer.size, layer.step, layer.padding)
        elif isinstance(layer, AdaptivePool):
            self._row(_Kind.POOL, value, gives, 2, layer.size)
        else:
            self._row(_Kind.DROPOUT, value, gives, int(layer.whole_channels))
        return 1

    def _conv(self, layer: Conv, left: list[Layer], value: int, shape: Shape) -> int:
        if layer.groups > 1 or layer.padding >= layer.kernel:
            raise _UnknownError
        parts = _leading(left[1:], [_batch_norm, _activation, _halving])
        gives = after((layer, *parts), shape)
        if layer.padding:
            self.padded.add(value)
        settings = (layer.kernel, layer.stride, layer.padding, int(layer.bias))
        flags = _flags(parts, _batch_norm, _activation, _halving)
        self._row(_Kind.CONV, value, gives, *settings, *flags)
        return 1 + len(parts)

    def _dense(self, layer: Dense, left: list[Layer], value: int, shape: Shape) -> int:
        self.flat.add(value)
        parts = _leading(left[1:], [_activation, _batch_norm, _dropout])
        flags = _flags(parts, _activation, _batch_norm, _dropout)
        self._row(_Kind.DENSE, value, layer.gives(shape), int(layer.bias), *flags)
        return 1 + len(parts)

    def _row(self, kind: _Kind, value: int, gives: Shape, *settings: int) -> None:
        row = (kind, value, self.value(gives), *settings)
        self.rows.append((*row, *[0] * (10 - len(row))))


Kind = Callable[[Layer], bool]


def _batch_norm(layer: Layer) -> bool:
    return isinstance(layer, Norm) and layer.kind == "batch"


def _activation(layer: Layer) -> bool:
    return isinstance(layer, Activation)


def _dropout(layer: Layer) -> bool:
    return isinstance(layer, Dropout)


def _halving(layer: Layer) -> bool:
    return layer == Pool()


def _leading(left: list[Layer], kinds: list[Kind]) -> list[Layer]:
    """The first layers, as far as they are of these kinds in this order; any may be missing."""
    found: list[Layer] = []
    for kind in kinds:
        if len(found) < len(left) and kind(left[len(found)]):
            found.append(left[len(found)])
    return found


def _flags(parts: list[Layer], *kinds: Kind) -> list[int]:
    return [int(any(map(kind, parts))) for kind in kinds]
