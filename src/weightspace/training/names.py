"""What recipes name, and the tables in which each name is looked up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.initializations import INITIALIZATIONS
from weightspace.networks.plan import ARCHITECTURES
from weightspace.space import Recipe
from weightspace.training.optimizers import OPTIMIZERS

TABLES: dict[str, dict[str, Any]] = {
    "optimizer": OPTIMIZERS,
    "activation": ACTIVATIONS,
    "initialization": INITIALIZATIONS,
    "architecture": ARCHITECTURES,
}
"""Recipe field -> the table of what it may name. Who adds an entry to a table adds a name."""

Named = Mapping[str, Mapping[str, Any]]


def unknown(field: str, name: str) -> str | None:
    """What to say of a name that its table does not have; None where it does."""
    if name in TABLES[field]:
        return None
    return f"{name!r} is unknown; known are {', '.join(TABLES[field])}"


def named(recipes: Iterable[Recipe]) -> Named:
    """The entries that these recipes name, to be taken to another process."""
    recipes = list(recipes)
    return {
        field: {name: table[name] for name in {getattr(r, field) for r in recipes}}
        for field, table in TABLES.items()
    }


def learn(entries: Named) -> None:
    """Take in entries from another process, whose user may have added some of them."""
    for field, found in entries.items():
        TABLES[field].update(found)
