"""`plan_of`: what a recipe's net is, whether it is a chain of layers or a module of one's own."""

from __future__ import annotations

from weightspace.errors import UsageError
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.modules.plan import ModulePlan, module_plan
from weightspace.networks.modules.source import MODULE, OwnModule
from weightspace.networks.plan import Plan
from weightspace.space import Recipe

AnyPlan = Plan | ModulePlan


def plan_of(recipe: Recipe) -> AnyPlan:
    """Make the plan of a recipe, for training.

    Parameters
    ----------
    recipe : Recipe
        The recipe. A module of one's own is run, if `ARCHITECTURES` has it: only `sample` and
        `reproduce` add one, of a file that the user named.

    Returns
    -------
    Plan or ModulePlan

    Raises
    ------
    UsageError
        If the architecture is unknown, cannot take the images, or fails.
    """
    own = ARCHITECTURES.get(recipe.architecture)
    if isinstance(own, OwnModule):
        return module_plan(own, recipe)
    if recipe.initialization == MODULE:
        raise UsageError(
            "initialization",
            f"{MODULE!r} are the initial weights that a module of one's own gives itself, and "
            f"{recipe.architecture} is none",
            "name another",
        )
    return Plan.from_recipe(recipe)
