"""The tables in which the names in recipes are looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.chains import is_chain
from weightspace.networks.initializations import INITIALIZATIONS
from weightspace.networks.modules.source import MODULE
from weightspace.space import Recipe
from weightspace.training.optimizers import OPTIMIZERS
from weightspace.training.rates import SCHEDULES

TABLES: dict[str, dict[str, Any]] = {
    "optimizer": OPTIMIZERS,
    "activation": ACTIVATIONS,
    "initialization": INITIALIZATIONS,
    "architecture": ARCHITECTURES,
    "schedule": SCHEDULES,
}
"""For each recipe field the table of its names. An entry that is added can be used in recipes."""

Named = Mapping[str, Mapping[str, Any]]


def unknown(field: str, name: str) -> str | None:
    """The error text for a name that is not in the table of its field; None if it is there."""
    if name in TABLES[field] or (field, name) == ("initialization", MODULE):
        return None
    if field == "architecture" and is_chain(name):
        return None
    return f"{name!r} is unknown; known are {', '.join(TABLES[field])}"


def named(recipes: Iterable[Recipe]) -> Named:
    """Collect the table entries that recipes name, to send them to another process.

    Parameters
    ----------
    recipes : iterable of Recipe
        The recipes.

    Returns
    -------
    dict
        For each field its names and their entries.
    """
    recipes = list(recipes)
    return {
        field: {name: table[name] for name in {getattr(r, field) for r in recipes} & set(table)}
        for field, table in TABLES.items()
    }


def learn(entries: Named) -> None:
    """Add the entries of another process, whose user may have added some, to the tables.

    Parameters
    ----------
    entries : dict
        What `named` returned.
    """
    for field, found in entries.items():
        TABLES[field].update(found)
