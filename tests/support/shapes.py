"""Shapes in signatures are checked when a function is called, in rooms whose signatures have them.

`install` is for `conftest.py`, before weightspace is imported. beartype looks at the arguments and
at what is returned, and jaxtyping remembers the sizes of the axes within a call. Annotations
without a shape are left to mypy: at run time, a NumPy integer is not an `int`.

jaxtyping's own import hook would do, but it wraps every function and looks at arguments twice. The
features of small layers then took twice as long.
"""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FunctionType, ModuleType
from typing import Any

from beartype import BeartypeConf, BeartypeStrategy, beartype
from jaxtyping import AbstractArray, jaxtyped

ROOMS = ("weightspace.bench", "weightspace.features", "weightspace.learners", "weightspace.zoo")
FIRST, LATER = 100, 50
"""Of each function the first calls are checked, then one in so many: some run 100,000 times."""

_beartype = beartype(conf=BeartypeConf(strategy=BeartypeStrategy.On))  # all items of a list


def install() -> None:
    """Check the functions, methods and data classes of modules of `ROOMS` imported from now on."""
    sys.meta_path.insert(0, _Finder())


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a check of what is annotated with a shape; itself if nothing is."""
    shaped = _shaped(function.__annotations__, inspect.unwrap(function).__globals__)
    return _with_check(function, shaped)


def _with_check(function: Callable[..., Any], shaped: dict[str, Any]) -> Callable[..., Any]:
    if not shaped:
        return function
    looking = _looking(function, shaped)
    calls = 0

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > FIRST and calls % LATER:
            return function(*args, **kwargs)
        return looking(*args, **kwargs)

    return call


def check_class(kind: type) -> type:
    """Check the methods of a class; of a data class also the fields, whenever one is made."""
    for name, thing in list(vars(kind).items()):
        if isinstance(thing, classmethod | staticmethod):
            setattr(kind, name, type(thing)(checked(thing.__func__)))
        elif isinstance(thing, property):
            setattr(kind, name, property(checked(thing.fget), thing.fset, thing.fdel))
        elif isinstance(thing, functools.cached_property):
            thing.func = checked(thing.func)
        elif inspect.isfunction(thing) and (name != "__init__" or not is_dataclass(kind)):
            setattr(kind, name, checked(thing))
    if is_dataclass(kind) and "__init__" in vars(kind):
        kind.__init__ = _with_check(kind.__init__, _fields(kind))
    return kind


def has_shape(hint: Any) -> bool:
    """Whether a shape is in this annotation, such as `list[Float32[np.ndarray, "n length"]]`."""
    if isinstance(hint, list):  # the arguments of a `Callable`
        return any(map(has_shape, hint))
    is_array = isinstance(hint, type) and issubclass(hint, AbstractArray)
    return is_array or any(map(has_shape, typing.get_args(hint)))


def _looking(function: Callable[..., Any], shaped: dict[str, Any]) -> Callable[..., Any]:
    """The function with a check at each call of these annotations alone."""
    hints = function.__annotations__
    function.__annotations__ = shaped
    try:
        looking = _beartype(function)
    finally:
        function.__annotations__ = hints
    # jaxtyping binds the arguments, so that it knows axes such as `{length}`.
    return jaxtyped(looking, typechecker=None)


def _shaped(hints: Mapping[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """The annotations with a shape, as they read among these names."""
    found = {name: _resolved(hint, names) for name, hint in hints.items()}
    return {name: hint for name, hint in found.items() if has_shape(hint)}


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """What an annotation means; without a shape, names in it may be for type checkers only."""
    alone = FunctionType((lambda: None).__code__, names)
    alone.__annotations__ = {"hint": hint}
    try:
        return typing.get_type_hints(alone, include_extras=True)["hint"]
    except NameError:
        if '"' in str(hint) or "'" in str(hint):
            raise
        return None


def _fields(kind: type) -> dict[str, Any]:
    """The fields of a data class with a shape, each as it reads where it is declared."""
    found: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        hints = vars(base).get("__annotations__", {})
        found |= _shaped(hints, vars(sys.modules[base.__module__]))
    return found


def _check_module(module: ModuleType) -> None:
    for name, thing in list(vars(module).items()):
        if getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing):
            check_class(thing)
        elif inspect.isfunction(thing):
            setattr(module, name, checked(thing))


class _Loader(SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _check_module(module)  # before another module takes names from it


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(fullname == room or fullname.startswith(f"{room}.") for room in ROOMS):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec
