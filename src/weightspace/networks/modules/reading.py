"""A recipe that notes which of its hyper-parameters are read."""

from __future__ import annotations

import difflib
from typing import Any

from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS


class Read(Recipe):
    """The same recipe; `reads` has each hyper-parameter that was read, with its value, in order.

    Two recipes that agree in all that a function read give the same result, because the function
    cannot tell them apart.
    """

    reads: dict[str, Any]

    @classmethod
    def of(cls, recipe: Recipe) -> Read:
        """A recipe of which nothing has been read."""
        found = object.__new__(cls)
        found.__dict__.update({name: getattr(recipe, name) for name in FIELDS}, reads={})
        return found

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name in FIELDS:
            # A copy with other values, `dataclasses.replace`, has read all of them already.
            object.__getattribute__(self, "__dict__").get("reads", {})[name] = value
        return value

    def __getattr__(self, name: str) -> Any:
        # Only what a recipe lacks comes here; the message is shown to who wrote the function.
        known = ", ".join(near) if (near := difflib.get_close_matches(name, FIELDS)) else "others"
        raise AttributeError(f"a recipe has no {name}, but {known}")

    def __reduce__(self) -> Any:
        return Recipe.from_dict, (self.to_dict(),)
