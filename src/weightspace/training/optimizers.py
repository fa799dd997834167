"""Optimizers by name; each updates rows of a stack that have their own learning rates.

To add one, write a function with the signature below and add a line to `OPTIMIZERS`. The formulas
and constants are PyTorch's: `torch.optim.Adam`, `AdamW`, `RMSprop` with alpha 0.9, `SGD` without
momentum and with momentum 0.95, the value of the NWS data set. A test compares each with the
original.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

EPSILON = 1e-8


class Update(Protocol):
    """One step, in place: weights [k, n], gradient [k, n], slots of the same shape, rate [k, 1].

    `step` counts from 1.
    """

    def __call__(
        self, weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int
    ) -> None:
        """Update the weights by one step."""


@dataclass(frozen=True)
class Optimizer:
    """An update rule and the memory that it needs.

    Parameters
    ----------
    update : callable
        An update in place: `update(weights, gradient, slots, rate, step)` with weights and gradient
        float [k, n], slots of the same shape, rate [k, 1], and a step from 1.
    slots : int
        The number of tensors of the weights' shape that it keeps; they start at 0.
    decoupled : bool
        Whether weight decay is subtracted from the weights before the step (Loshchilov & Hutter,
        "Decoupled weight decay regularization", ICLR 2019) instead of being added to the gradient.
    """

    update: Update
    slots: int
    decoupled: bool = False


def _adam(weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int) -> None:
    mean, square = slots
    mean.lerp_(gradient, 0.1)
    square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
    root = square.sqrt().div_(math.sqrt(1 - 0.999**step)).add_(EPSILON)
    weights.addcmul_(mean / root, rate, value=-1 / (1 - 0.9**step))


def _rmsprop(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int
) -> None:
    (square,) = slots
    square.mul_(0.9).addcmul_(gradient, gradient, value=0.1)
    weights.addcmul_(gradient / square.sqrt().add_(EPSILON), rate, value=-1)


def _sgd(weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int) -> None:
    weights.addcmul_(gradient, rate, value=-1)


def _momentum(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int
) -> None:
    (velocity,) = slots
    velocity.mul_(0.95).add_(gradient)
    weights.addcmul_(velocity, rate, value=-1)


OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Optimizer(_adam, 2),
    "adamw": Optimizer(_adam, 2, decoupled=True),
    "rmsprop": Optimizer(_rmsprop, 1),
    "momentum": Optimizer(_momentum, 1),
    "sgd": Optimizer(_sgd, 0),
}
"""The optimizers by name."""
