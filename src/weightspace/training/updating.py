"""From gradients to weights: clipping, weight decay, learning rates and the optimizers' updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from weightspace.networks.activations import Runs
from weightspace.networks.native import library
from weightspace.networks.native.updates import RULE, RULES, Updates, update
from weightspace.space import Recipe
from weightspace.training.fused import same_bits
from weightspace.training.optimizers import OPTIMIZERS
from weightspace.training.rates import Rates

_CLIPPING_EPSILON = 1e-6  # as torch.nn.utils.clip_grad_norm_
_SMALL = 1e30  # no sum of 1e8 weights below it overflows


def neighbours(recipe: Recipe) -> tuple[object, ...]:
    """The order in which nets stand in a stack: those that one call updates are neighbours."""
    return (recipe.activation, recipe.optimizer, *settings(recipe).values())


def settings(recipe: Recipe) -> dict[str, float]:
    """The numbers of a recipe that its optimizer takes."""
    return {name: getattr(recipe, name) for name in OPTIMIZERS[recipe.optimizer].settings}


class Updating:
    """What changes the weights of M nets in a step; the state itself is the trainer's."""

    def __init__(self, recipes: Sequence[Recipe], steps_per_epoch: Tensor, like: Tensor) -> None:
        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)

        runs = Runs.of([repr(neighbours(recipe)) for recipe in recipes]).runs
        self._groups = [
            (OPTIMIZERS[recipes[a].optimizer], settings(recipes[a]), slice(a, b))
            for _, a, b in runs
        ]
        apart = column([float(OPTIMIZERS[r.optimizer].decoupled) for r in recipes])
        decay = column([r.weight_decay for r in recipes])
        self._apart, self._within = decay * apart, decay * (1 - apart)
        self._decays = bool(decay.any())
        self._clipped = [
            (i, r.gradient_clipping) for i, r in enumerate(recipes) if r.gradient_clipping
        ]
        self._ema = column([r.ema for r in recipes])
        self._rates = Rates(recipes, steps_per_epoch, like)
        native = library() if like.device.type == "cpu" and like.dtype == torch.float32 else None
        if native is not None and not all(same_bits(o, native) for o, _, _ in self._groups):
            native = None
        self._native = native  # computes all updates of the stack, or torch does
        self._largest: Tensor | None = None  # absolute weight of each net, from the native update

    def at_once(self, slots: list[Tensor], step: int) -> Updates | None:
        """The updates of this step for `NativeStack.gradient`; None: `apply` has to be called."""
        if self._native is None or self._clipped:
            return None
        return self._updates(slots, step)

    def _updates(self, slots: list[Tensor], step: int) -> Updates:
        rate, rules = self._rates.at(step), np.zeros(len(self._ema), RULE)
        rules["rate"] = rate[:, 0].numpy()
        if self._decays:
            rules["within"] = self._within[:, 0].numpy()
            rules["keep"] = (1 - rate * self._apart)[:, 0].numpy()
        for optimizer, numbers, rows in self._groups:
            assert optimizer.fused is not None
            rules["kind"][rows] = RULES.index(optimizer.fused.rule)
            told = optimizer.fused.numbers(step + 1, **numbers)
            rules["numbers"][rows, : len(told)] = told
        self._largest = torch.empty(len(rules))
        return Updates(rules, slots, self._decays, self._largest)

    def apply(self, weights: Tensor, gradient: Tensor, slots: list[Tensor], step: int) -> None:
        """Let every net's optimizer apply `gradient` [M, trainable], which is overwritten.

        `step` is the number of steps taken before this one.
        """
        for i, most in self._clipped:  # a row at a time: sums must not depend on the other nets
            norm = torch.linalg.vector_norm(gradient[i])
            gradient[i].mul_((most / (norm + _CLIPPING_EPSILON)).clamp(max=1.0))
        if self._native is not None:
            update(self._native, weights, gradient, self._updates(slots, step))
            return
        rate = self._rates.at(step)
        if self._decays:
            gradient.addcmul_(weights, self._within)
            weights.mul_(1 - rate * self._apart)
        for optimizer, numbers, rows in self._groups:
            own = [slot[rows] for slot in slots[: optimizer.slots]]
            optimizer.update(weights[rows], gradient[rows], own, rate[rows], step + 1, **numbers)

    def sound(self, weights: Tensor) -> Tensor:
        """Whether all weights of a net are finite after the step, bool [M].

        A sum is the fastest check of all weights; it overflows only for weights that are useless.
        """
        largest, self._largest = self._largest, None  # nothing is kept from step to step
        if largest is not None and bool(largest.max() < _SMALL):
            return torch.ones(len(weights), dtype=torch.bool)
        return torch.isfinite(weights.sum(1))

    def follow(self, averages: list[Tensor], values: list[Tensor]) -> None:
        """Move averages [M, ...] towards values: average x ema + value x (1 - ema)."""
        for average, value in zip(averages, values, strict=True):
            nets = len(self._ema)
            if not value.is_floating_point():  # a count, as modules of one's own have
                average.copy_(value)
                continue
            average.view(nets, -1).lerp_(value.view(nets, -1), 1 - self._ema)
