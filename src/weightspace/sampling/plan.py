"""Work units: recipes grouped into stacks, as a pure function of recipes and stack sizes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

from weightspace.sampling.calibration import Pace, buckets, work_class
from weightspace.space import Recipe
from weightspace.training import VALIDATION_FRACTION, expected_epochs


@dataclass(frozen=True)
class Unit:
    """One stack to train: its recipes (one plan and batch size) and their cost in core seconds.

    The name is a hash of its nets: the same nets are the same unit, whoever plans them.
    """

    recipes: tuple[Recipe, ...]
    cost: float

    @property
    def name(self) -> str:
        """`unit-` and 12 hex digits."""
        nets = "".join(recipe.net for recipe in self.recipes)
        return f"unit-{hashlib.blake2b(nets.encode(), digest_size=6).hexdigest()}"

    def without(self, nets: Container[str]) -> Unit | None:
        """The unit of the other nets; None where there are none."""
        left = tuple(recipe for recipe in self.recipes if recipe.net not in nets)
        return Unit(left, self.cost * len(left) / len(self.recipes)) if left else None


def plan_units(
    recipes: Sequence[Recipe],
    paces: Mapping[str, Pace],
    images: Mapping[str, int],
    epochs: float = math.inf,
) -> list[Unit]:
    """Cut recipes into stacks of their work class's size, the costliest first.

    `images` gives each data set's training images, no net trains for more than `epochs`; buckets
    are evened out, so 20 nets with a stack size of 16 become two stacks of 10.
    """
    units = []
    for bucket in buckets(recipes).values():
        pace = paces[work_class(bucket[0])]
        count = -(-len(bucket) // pace.stack)
        for i in range(count):
            part = tuple(bucket[len(bucket) * i // count : len(bucket) * (i + 1) // count])
            cost = sum(pace.seconds * net_steps(r, images, epochs) for r in part)
            units.append(Unit(part, cost))
    return sorted(units, key=urgency)


def urgency(unit: Unit) -> tuple[float, str]:
    """Sorts units: the costliest first, so that none is left to run alone at the end."""
    return -unit.cost, unit.name


def net_steps(recipe: Recipe, images: Mapping[str, int], epochs: float = math.inf) -> float:
    """Training steps of a net, roughly where a rule ends it, for `epochs` epochs at most.

    Its data set has `images[dataset]` training images.
    """
    used = min(recipe.used_images(images[recipe.dataset]), images[recipe.dataset])
    steps = (used - round(used * VALIDATION_FRACTION)) // recipe.batch_size
    return min(expected_epochs(recipe), epochs) * steps
