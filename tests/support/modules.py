"""The modules of `own_nets.py` as architectures, and recipes of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from support import own_nets
from support.nets import BASE
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.modules.source import OwnModule
from weightspace.networks.planning import plan_of
from weightspace.space import Recipe
from weightspace.training.names import TABLES

FILE = Path(own_nets.__file__)
PLAIN = ("mlp", "lenet", "ResNet20", "ViT", "Rows", "Dense", "groups", "Tied")
"""Modules without random numbers."""


def recipe(function: str, file: str = FILE.name, **values: Any) -> Recipe:
    """A recipe of a module, with its own initial weights."""
    named = {"architecture": f"{file}:{function}", "initialization": "module"}
    return replace(BASE, **(named | {"dropout": 0.0, "learning_rate": 0.005} | values))


@contextmanager
def entered(*functions: str, text: str | None = None, file: str = FILE.name) -> Iterator[None]:
    """These functions of `own_nets.py`, or of another text, as architectures for a while."""
    found = [OwnModule(file, f, text or FILE.read_text(encoding="utf-8")) for f in functions]
    TABLES["architecture"].update({own.name: own for own in found})
    try:
        yield
    finally:
        for own in found:
            del ARCHITECTURES[own.name]


def plan(recipe: Recipe) -> ModulePlan:
    """The plan of a recipe of a module."""
    found = plan_of(recipe)
    assert isinstance(found, ModulePlan)
    return found
