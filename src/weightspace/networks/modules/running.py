"""A user's file is run, and makes a torch module of a recipe; its errors become one line."""

from __future__ import annotations

import hashlib
import inspect
import linecache
import sys
import traceback
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from weightspace.errors import UsageError
from weightspace.networks.modules.source import OwnModule
from weightspace.printable import printable
from weightspace.space import Recipe

_LONGEST = 300


def load(own: OwnModule) -> Any:
    """Run the file, once in a process; returns the function."""
    function = getattr(_run(own.file, own.text), own.function, None)
    if not callable(function):
        raise UsageError(own.file, f"has no function {own.function!r}", "name one that it defines")
    return function


def make(own: OwnModule, recipe: Recipe) -> nn.Module:
    """Make the module of a recipe; a function that needs no argument is called without it.

    Raises
    ------
    UsageError
        If the file or the function fails, or gives something else.
    """
    function = load(own)
    try:
        made = function(recipe) if _takes_a_recipe(function) else function()
    except (Exception, SystemExit) as error:
        remedy = _CALLED if isinstance(error, TypeError) else ""
        raise failed(own, error).but(remedy=remedy) from error
    if not isinstance(made, nn.Module):
        raise UsageError(
            own.name, f"gives a {type(made).__name__}, no torch.nn.Module", "return the module"
        )
    return made


_CALLED = "it is called with the recipe as its only argument"


def failed(own: OwnModule, error: BaseException) -> UsageError:
    """The error of a user's code in a line: where in the file, and what."""
    at = _at(own.file, own.text)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename == at]  # fmt: skip
    line = f":{lines[-1]}" if lines else ""
    said = printable(" ".join(str(error).split()), _LONGEST)
    return UsageError(f"{own.file}{line}", f"{own.function} fails ({type(error).__name__}: {said})")


def _takes_a_recipe(function: Any) -> bool:
    """Whether its first parameter must be given, or is called `recipe`."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = next((one for one in parameters if one.kind in positional), None)
    return first is not None and (first.default is first.empty or first.name == "recipe")


def _at(file: str, text: str) -> str:
    """The name of the code in tracebacks."""
    return f"<{file} {hashlib.sha256(text.encode()).hexdigest()[:12]}>"


@cache
def _run(file: str, text: str) -> ModuleType:
    """The namespace of a file that was run."""
    at = _at(file, text)
    name = "weightspace_own_" + hashlib.sha256(text.encode()).hexdigest()[:12]
    namespace = ModuleType(name)
    linecache.cache[at] = (len(text), None, text.splitlines(keepends=True), at)
    sys.modules[name] = namespace  # dataclasses look for the module of a class there
    try:
        exec(compile(text, at, "exec", dont_inherit=True), namespace.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError):
            raise UsageError(f"{file}:{error.lineno}", f"is not Python ({error.msg})") from None
        found = failed(OwnModule(file, "it", text), error)
        remedy = "install it, or put it into the file" if isinstance(error, ImportError) else ""
        raise found.but(remedy=remedy) from error
    return namespace
