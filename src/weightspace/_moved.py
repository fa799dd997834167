"""Names of the release before, which still work for one release and warn."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any


def moved(old: str, new: str) -> Callable[[str], Any]:
    """A `__getattr__` for the module `old`, which gives the names of the module `new`."""

    def get(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        found = getattr(import_module(new), name)
        warnings.warn(
            f"{old} is now {new}; {old}.{name} goes away in the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return found

    return get
