"""Names of the release before, which still work for one release and warn."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def moved(old: str, new: str, names: Collection[str] | None = None) -> Callable[[str], Any]:
    """A `__getattr__` for the module `old`, which gives the names of the module `new`.

    `names` are the only ones that it gives, where `old` has names of its own.
    """

    def get(name: str) -> Any:
        if name.startswith("__") or (names is not None and name not in names):
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        found = getattr(import_module(new), name)
        warnings.warn(
            f"{old} is now {new}; {old}.{name} goes away in the next release",
            DeprecationWarning,
            stacklevel=2,
        )
        return found

    return get


def renamed(**names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator that takes arguments by their old names too: `old="new"`."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*arguments: P.args, **options: P.kwargs) -> T:
            for old in names.keys() & options.keys():
                options[names[old]] = options.pop(old)
                warnings.warn(
                    f"{function.__name__}: the argument {old} is now called {names[old]}; the old "
                    "name goes away in the next release",
                    DeprecationWarning,
                    stacklevel=2,
                )
            return function(*arguments, **options)

        return call

    return decorate
