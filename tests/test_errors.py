"""Errors have fields, survive the way to another process, and no room but `cli` names an option."""

from __future__ import annotations

import ast
import pickle
import re
from pathlib import Path

import pytest

import weightspace
from weightspace.cli.output import told
from weightspace.errors import DataError, UsageError

PACKAGE = Path(weightspace.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
OTHERS = re.compile(
    r"`(ray start|pip install|ulimit|git|weightspace check --full|sha256sum)[^`]*`|var\(--"
)
"""Commands of other programs; the card of a published zoo is written for people at a shell."""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError(Path("a.pt"), "is empty", "fetch it"), "a.pt: is empty; fetch it"),
        (DataError("a.pt", "is empty"), "a.pt: is empty"),
        (UsageError("", "low is not below high", "swap"), "low is not below high; swap"),
    ],
)
def test_the_text_is_made_of_the_fields(error, text):
    assert str(error) == text
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.remedy) == (type(error), text, error.remedy)


def test_an_error_can_be_placed_in_a_larger_thing():
    inner = UsageError("", "low is not below high", "swap them").within("learning_rate")
    outer = inner.within("space.yaml:3")
    assert outer.thing == "space.yaml:3"
    assert str(outer) == "space.yaml:3: learning_rate: low is not below high; swap them"
    assert outer.but(remedy="").remedy == ""
    assert type(outer) is UsageError


@pytest.mark.parametrize(
    ("remedy", "shown"),
    [
        ('use `device="cpu"`', "use `--device cpu`"),
        ("with fewer `workers=`", "with fewer `--workers`"),
        ("or give `dry_run=True`", "or give `--dry-run`"),
        ("`rounded=True` rounds them", "`--round` rounds them"),
        ("use `slice_length=12` at most", "use `--slice-length 12` at most"),
        ("run `weightspace check`", "run `weightspace check`"),
    ],
)
def test_the_command_line_shows_its_own_options(remedy, shown):
    assert told(DataError("a", "b", remedy)) == f"a: b; {shown}"


def strings(path: Path) -> list[str]:
    """All texts in a module that are not documentation."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    ]


def test_only_the_command_line_knows_its_options():
    rooms = [p for p in PACKAGE.rglob("*.py") if p.relative_to(PACKAGE).parts[0] != "cli"]
    assert len(rooms) > 200
    for path in rooms:
        for text in strings(path):
            assert not FLAG.search(OTHERS.sub("", text)), (path.name, text)


def test_no_code_parses_a_message():
    """`str(error)` is for people; whoever asks what is wrong reads the fields."""
    parsing = re.compile(r"str\((error|e)\)\.(partition|rpartition|removeprefix)")
    for path in PACKAGE.rglob("*.py"):
        assert not parsing.search(path.read_text(encoding="utf-8")), path
