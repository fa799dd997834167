"""Names of the release before still work, and say what they are called now."""

from __future__ import annotations

import importlib

import pytest

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
