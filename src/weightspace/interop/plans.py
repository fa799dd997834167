"""Which nets of a zoo are nets of a plan, as far as that is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightspace.errors import UsageError
from weightspace.networks import Layout, Plan
from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS

DECISIVE = (
    "architecture",
    "activation",
    "filter_size",
    "depth_conv",
    "depth_fc",
    "width_conv",
    "width_fc",
    "blocks",
    "batch_norm",
    "dropout",
    "input_size",
    "channels",
    "outputs",
)
"""The hyper-parameters that determine what a net computes with its weights."""


def known(row: Mapping[str, Any]) -> dict[str, Any]:
    """The hyper-parameters in a row of the table of nets that are not null."""
    return {name: row[name] for name in FIELDS if row.get(name) is not None}


def planned(row: Mapping[str, Any], layout: Layout) -> Recipe | None:
    """A recipe whose plan fits this net, if enough is known and the tensors agree.

    How the net was trained may be unknown; the recipe then has defaults.
    """
    said = known(row)
    if any(name not in said for name in DECISIVE):
        return None
    try:
        recipe = Recipe.from_dict({"dataset": "unknown"} | said)
        plan = Plan.from_recipe(recipe)
    except UsageError:
        return None
    return recipe if alike(plan.layout(), layout) else None


def alike(one: Layout, other: Layout) -> bool:
    """Whether two layouts are equal except for names."""
    shapes = [[(t.role, t.part, t.layer, t.shape) for t in lay.tensors] for lay in (one, other)]
    return shapes[0] == shapes[1]
