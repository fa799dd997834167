"""Examples in docstrings run, and public names say what they take and return (numpydoc)."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
MODULES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]
ROOMS = (
    "audit",
    "checkpoints",
    "disk",
    "features",
    "images",
    "interop",
    "learners.neural",
    "networks",
    "space",
    "training",
    "zoo",
)
"""Those whose public names have numpydoc sections."""


@pytest.mark.parametrize("module", MODULES)
def test_examples_of_docstrings_run(module):
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def public(room):
    """(name, object, arguments) of what a room exports, and of the methods of its classes."""
    module = importlib.import_module(f"weightspace.{room}")
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue
        yield f"{room}.{name}", thing
        if inspect.isclass(thing):
            for key, member in vars(thing).items():
                method = member.__func__ if isinstance(member, classmethod) else member
                if not key.startswith("_") and inspect.isfunction(method):
                    inherited = any(key in vars(base) for base in thing.__mro__[1:])
                    if not inherited:
                        yield f"{room}.{name}.{key}", method


def lacks(thing):
    """What the docstring of a class or a function does not describe."""
    text = inspect.getdoc(thing) or ""
    if inspect.isclass(thing):
        if "__init__" not in vars(thing):
            return []
        names = list(inspect.signature(thing.__init__).parameters)
    else:
        signature = inspect.signature(thing)
        names = list(signature.parameters)
        gives = signature.return_annotation not in (None, "None", inspect.Signature.empty)
        if gives and len(names) > 1 and not re.search(r"^(Returns|Yields)$", text, re.MULTILINE):
            return ["Returns"]
    names = [name for name in names if name not in ("self", "cls")]
    described = {
        name.strip().lstrip("*")
        for line in re.findall(r"^\*{0,2}\w[\w, *]*(?= : |$)", text, re.MULTILINE)
        for name in line.split(",")
    }
    return [name for name in names if name not in described]


@pytest.mark.parametrize("room", ROOMS)
def test_public_names_have_numpydoc_sections(room):
    found = {name: missing for name, thing in public(room) if (missing := lacks(thing))}
    assert not found
