"""Which plans the native step computes, and how it is told their layers."""

from __future__ import annotations

import numpy as np

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
from weightspace.networks.plan import Plan


def numbers(plan: Plan) -> np.ndarray | None:
    """A plan as the native step takes it, int32, or None if it cannot compute it.

    It computes convolutions of stride 1, each with its norm, activation and 2x2 max pooling, then
    dense layers with activation, norm and dropout, and an output layer. Either all layers but the
    last have batch norm, or none has.
    """
    batch_norm = any(isinstance(layer, Norm) for layer in plan.layers)
    norm = [Norm()] if batch_norm else []
    left = list(plan.layers)
    conv: list[int] = []
    while left and isinstance(first := left[0], Conv):
        simple = Conv(first.width, first.kernel, padding=first.padding)
        known: list[Layer] = [simple, *norm, Activation()]
        pooled = left[len(known) : len(known) + 1] == [Pool()]
        if not _taken(left, [*known, *([Pool()] if pooled else [])]):
            return None
        conv += [first.width, first.kernel, first.padding, int(pooled)]
    if not conv or not _taken(left, [Flatten()]):
        return None
    fc: list[int] = []
    while len(left) > 1 and isinstance(layer := left[0], Dense):
        if not _taken(left, [Dense(layer.width), Activation(), *norm, Dropout()]):
            return None
        fc.append(layer.width)
    if left != [Dense(plan.outputs)]:
        return None
    head = [len(conv) // 4, len(fc), plan.input[1], plan.input[0], plan.outputs, int(batch_norm)]
    return np.array([*head, *conv, *fc], np.int32)


def _taken(left: list[Layer], known: list[Layer]) -> bool:
    """Whether the next layers are these; they are taken away then."""
    if left[: len(known)] != known:
        return False
    del left[: len(known)]
    return True
