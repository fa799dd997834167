"""Units of work: recipes grouped into stacks by a pure function of recipes and stack sizes."""

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

    `together` as in `Pace`, so that all stacks of a round are computed in the same way.

    The name is a hash of the nets, so that every run gives the same nets the same name.
    """

    recipes: tuple[Recipe, ...]
    cost: float
    together: bool | None = None

    @property
    def name(self) -> str:
        """`unit-` and 12 hex digits."""
        nets = "".join(recipe.net for recipe in self.recipes)
        return f"unit-{hashlib.blake2b(nets.encode(), digest_size=6).hexdigest()}"

    def without(self, nets: Container[str]) -> Unit | None:
        """The stack without these nets; None if no net is left."""
        left = tuple(recipe for recipe in self.recipes if recipe.net not in nets)
        cost = self.cost * len(left) / len(self.recipes)
        return Unit(left, cost, self.together) if left else None


def plan_units(
    recipes: Sequence[Recipe],
    paces: Mapping[str, Pace],
    images: Mapping[str, int],
    epochs: float = math.inf,
) -> list[Unit]:
    """Divide recipes into stacks of the size for their work class, the costliest first.

    `images` is the number of training images by data set; no net trains for more than `epochs`.
    Stacks have similar sizes: 20 nets with a stack size of 16 become two stacks of 10.
    """
    units = []
    for bucket in buckets(recipes).values():
        pace = paces[work_class(bucket[0])]
        count = -(-len(bucket) // pace.stack)
        for i in range(count):
            part = tuple(bucket[len(bucket) * i // count : len(bucket) * (i + 1) // count])
            cost = sum(pace.seconds * net_steps(r, images, epochs) for r in part)
            units.append(Unit(part, cost, pace.together))
    return sorted(units, key=urgency)


def urgency(unit: Unit) -> tuple[float, str]:
    """A sort key: the costliest stack first, so that no long stack is left to the end."""
    return -unit.cost, unit.name


def net_steps(recipe: Recipe, images: Mapping[str, int], epochs: float = math.inf) -> float:
    """Training steps of a net, at most `epochs` epochs; an estimate where a rule ends training.

    Its data set has `images[dataset]` training images.
    """
    used = min(recipe.used_images(images[recipe.dataset]), images[recipe.dataset])
    steps = (used - round(used * VALIDATION_FRACTION)) // recipe.batch_size
    return min(expected_epochs(recipe), epochs) * steps
