"""Names of the release before still work, and say what they are called now."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import weightspace

MOVED = {
    ("doors", "import_zoo"): "interop",
    ("audit", "read_checkpoint"): "checkpoints",
    ("neural", "Paper"): "learners.neural",
}


@pytest.mark.parametrize(("old", "new"), MOVED.items(), ids=str)
def test_a_moved_name_is_the_same_thing_and_warns(old: tuple[str, str], new: str) -> None:
    room, name = old
    module = importlib.import_module(f"weightspace.{room}")
    with pytest.warns(DeprecationWarning, match=f"weightspace.{room} is now weightspace.{new};"):
        thing = getattr(module, name)
    assert thing is getattr(importlib.import_module(f"weightspace.{new}"), name)


@pytest.mark.parametrize("room", sorted({room for room, _ in MOVED}))
def test_a_name_that_never_was_is_an_attribute_error(room: str) -> None:
    module = importlib.import_module(f"weightspace.{room}")
    with pytest.raises(AttributeError, match="nothing"):
        module.nothing  # noqa: B018 - the access is what is tested


def test_every_public_name_is_there_and_known_to_type_checkers() -> None:
    tree = ast.parse(Path(weightspace.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module != "typing"
        for alias in node.names
    }
    assert imported == set(weightspace.__all__)
    for name in weightspace.__all__:
        assert getattr(weightspace, name).__doc__, name
