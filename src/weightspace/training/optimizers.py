"""Optimizers by name; each updates rows of a stack that have their own learning rates.

To add one, write a function with the signature below and add a line to `OPTIMIZERS`. A rule that is
also in networks/native/optimizers.h has a second function, which gives the numbers that it takes
there; `training.fused` uses it where it gives the same bits. The formulas
are PyTorch's: `torch.optim.Adam`, `AdamW`, `RMSprop`, `Adagrad` and `SGD` without momentum, with it
and with Nesterov's; and that of Lion (Chen et al., "Symbolic discovery of optimization algorithms",
2023). A test compares each with the original. A recipe has the constants; its defaults of 0.95 for
momentum and 0.9 for `alpha` are those of the NWS data set.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Fused:
    """The same update in one pass, in networks/native/optimizers.h.

    Parameters
    ----------
    rule : str
        Its name among `weightspace.networks.native.updates.RULES`.
    numbers : callable
        The numbers that it takes in a step: `numbers(step, **settings)`, at most six.
    """

    rule: str
    numbers: Callable[..., tuple[float, ...]]


@dataclass(frozen=True)
class Optimizer:
    """An update rule and the memory that it needs.

    Parameters
    ----------
    update : callable
        An update in place: `update(weights, gradient, slots, rate, step, **settings)` with weights
        and gradient float [k, n], slots of the same shape, rate [k, 1], and a step from 1.
    slots : int
        The number of tensors of the weights' shape that it keeps; they start at 0.
    decoupled : bool
        Whether weight decay is subtracted from the weights before the step (Loshchilov & Hutter,
        "Decoupled weight decay regularization", ICLR 2019) instead of being added to the gradient.
    settings : tuple of str
        The fields of the recipe that it takes as keyword arguments, such as "momentum".
    fused : Fused, optional
        The same rule in the native library; without it, the update is always torch's.
    """

    update: Callable[..., None]
    slots: int
    decoupled: bool = False
    settings: tuple[str, ...] = ()
    fused: Fused | None = None


def _adam(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    beta1: float, beta2: float, epsilon: float,
) -> None:  # fmt: skip
    mean, square = slots
    mean.lerp_(gradient, 1 - beta1)
    square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    root = square.sqrt().div_(math.sqrt(1 - beta2**step)).add_(epsilon)
    weights.addcmul_(mean / root, rate, value=-1 / (1 - beta1**step))


def _rmsprop(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    alpha: float, epsilon: float,
) -> None:  # fmt: skip
    (square,) = slots
    square.mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
    weights.addcmul_(gradient / square.sqrt().add_(epsilon), rate, value=-1)


def _adagrad(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    epsilon: float,
) -> None:  # fmt: skip
    (square,) = slots
    square.addcmul_(gradient, gradient)
    weights.addcmul_(gradient / square.sqrt().add_(epsilon), rate, value=-1)


def _lion(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    beta1: float, beta2: float,
) -> None:  # fmt: skip
    (mean,) = slots
    weights.addcmul_(mean.lerp(gradient, 1 - beta1).sign_(), rate, value=-1)
    mean.lerp_(gradient, 1 - beta2)


def _sgd(weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int) -> None:
    weights.addcmul_(gradient, rate, value=-1)


def _momentum(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    momentum: float,
) -> None:  # fmt: skip
    (velocity,) = slots
    velocity.mul_(momentum).add_(gradient)
    weights.addcmul_(velocity, rate, value=-1)


def _nesterov(
    weights: Tensor, gradient: Tensor, slots: list[Tensor], rate: Tensor, step: int, *,
    momentum: float,
) -> None:  # fmt: skip
    (velocity,) = slots
    velocity.mul_(momentum).add_(gradient)
    weights.addcmul_(gradient.add(velocity, alpha=momentum), rate, value=-1)


def _sgd_numbers(step: int) -> tuple[float, ...]:
    return ()


def _momentum_numbers(step: int, *, momentum: float) -> tuple[float, ...]:
    return (momentum,)


def _adam_numbers(step: int, *, beta1: float, beta2: float, epsilon: float) -> tuple[float, ...]:
    root = math.sqrt(1 - beta2**step)
    return 1 - beta1, beta2, 1 - beta2, root, epsilon, -1 / (1 - beta1**step)


def _rmsprop_numbers(step: int, *, alpha: float, epsilon: float) -> tuple[float, ...]:
    return alpha, 1 - alpha, epsilon


def _adagrad_numbers(step: int, *, epsilon: float) -> tuple[float, ...]:
    return (epsilon,)


def _lion_numbers(step: int, *, beta1: float, beta2: float) -> tuple[float, ...]:
    return 1 - beta1, 1 - beta2


_ADAM = ("beta1", "beta2", "epsilon")

OPTIMIZERS: dict[str, Optimizer] = {
    "adam": Optimizer(_adam, 2, settings=_ADAM, fused=Fused("adam", _adam_numbers)),
    "adamw": Optimizer(_adam, 2, True, settings=_ADAM, fused=Fused("adam", _adam_numbers)),
    "rmsprop": Optimizer(
        _rmsprop, 1, settings=("alpha", "epsilon"), fused=Fused("rmsprop", _rmsprop_numbers)
    ),
    "momentum": Optimizer(
        _momentum, 1, settings=("momentum",), fused=Fused("momentum", _momentum_numbers)
    ),
    "sgd": Optimizer(_sgd, 0, fused=Fused("sgd", _sgd_numbers)),
    "nesterov": Optimizer(
        _nesterov, 1, settings=("momentum",), fused=Fused("nesterov", _momentum_numbers)
    ),
    "adagrad": Optimizer(
        _adagrad, 1, settings=("epsilon",), fused=Fused("adagrad", _adagrad_numbers)
    ),
    "lion": Optimizer(
        _lion, 1, True, settings=("beta1", "beta2"), fused=Fused("lion", _lion_numbers)
    ),
}
"""The optimizers by name."""
