"""The learning rate of each net at each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from weightspace.space import Recipe

Schedule = Callable[[Recipe, int, int], float]
"""The factor of the learning rate, from the recipe, the steps taken and the steps of an epoch."""


def _exponential(recipe: Recipe, step: int, steps: int) -> float:
    factor: float = recipe.learning_rate_decay ** (step // steps)
    return factor


def _step(recipe: Recipe, step: int, steps: int) -> float:
    factor: float = recipe.learning_rate_decay ** (step // steps // recipe.decay_epochs)
    return factor


def _cosine(recipe: Recipe, step: int, steps: int) -> float:
    return (1 + math.cos(math.pi * (step // steps) / recipe.epochs)) / 2


def _linear(recipe: Recipe, step: int, steps: int) -> float:
    return max(0.0, 1 - step / (recipe.epochs * steps))


def _one_cycle(recipe: Recipe, step: int, steps: int) -> float:
    """Up from 1/25 in 30 % of the steps and down to 1/250,000, both as half a cosine."""
    last = recipe.epochs * steps - 1
    peak = 0.3 * (last + 1) - 1
    if step <= peak:
        low, high, share = 1 / 25, 1.0, step / peak if peak > 0 else 1.0
    else:
        low, high, share = 1.0, 1 / 250_000, (step - peak) / (last - peak)
    return high + (low - high) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


SCHEDULES: dict[str, Schedule] = {
    "exponential": _exponential,
    "step": _step,
    "cosine": _cosine,
    "linear": _linear,
    "one_cycle": _one_cycle,
}
"""The schedules by name, as torch.optim.lr_scheduler has them (OneCycleLR: `max_lr` is the learning
rate, `cycle_momentum` is false). `exponential`, `step` and `cosine` change after whole epochs."""


class Rates:
    """The learning rates of M nets."""

    def __init__(self, recipes: Sequence[Recipe], steps_per_epoch: Tensor, like: Tensor) -> None:
        def column(values: Sequence[float]) -> Tensor:
            return torch.tensor(values, dtype=like.dtype, device=like.device).unsqueeze(1)

        plain = [r.schedule == "exponential" for r in recipes]
        self._first = column([r.learning_rate for r in recipes])
        # Powers of a tensor, so that nets of older zoos keep their bits.
        self._decay = column(
            [r.learning_rate_decay if p else 1.0 for r, p in zip(recipes, plain, strict=True)]
        )
        self._slows = bool((self._decay < 1).any())
        self._steps = steps_per_epoch
        self._others = [
            (i, r, int(steps_per_epoch[i]))
            for i, r in enumerate(recipes)
            if not plain[i] or r.warmup
        ]

    def at(self, step: int) -> Tensor:
        """The learning rates [M, 1] of the step after `step` steps."""
        rate = self._first
        if self._slows:
            epoch = step // self._steps.unsqueeze(1)
            rate = rate * self._decay**epoch
        if self._others:
            factors = torch.ones_like(rate)
            for i, recipe, steps in self._others:
                factors[i] = _factor(recipe, step, steps)
            rate = rate * factors
        return rate


def _factor(recipe: Recipe, step: int, steps: int) -> float:
    factor = 1.0
    if recipe.schedule != "exponential":
        factor = SCHEDULES[recipe.schedule](recipe, step, steps)
    if recipe.warmup:
        factor *= min(1.0, (step + 1) / (recipe.warmup * steps))
    return factor
