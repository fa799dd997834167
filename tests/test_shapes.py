"""Shapes in signatures are checked in these tests, and cost who uses the package nothing."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from beartype.roar import BeartypeCallHintViolation

import weightspace
from support import shapes
from weightspace.arrays import Float32
from weightspace.errors import UsageError
from weightspace.features import statistics
from weightspace.features.statistics import moments, quantiles
from weightspace.zoo.reading.slices import Slices

HOUSE = Path(weightspace.__file__).parent


@shapes.checked
def cut(values: Float32[np.ndarray, "n length"], length: int) -> Float32[np.ndarray, "n {length}"]:
    return values[:, :length]


@shapes.check_class
@dataclass(frozen=True)
class Marked(Slices):
    """Its fields have types whose names are known where `Slices` is declared."""

    mark: str


def fresh(function):
    """A function whose calls are counted anew: only the first ones are all checked."""
    plain = inspect.unwrap(function)
    assert plain is not function, "the function of the package is not checked"
    return shapes.checked(plain)


def test_an_array_of_another_shape_is_noticed():
    with pytest.raises(BeartypeCallHintViolation, match="1 dimensions, not the 2 expected"):
        fresh(moments)(np.zeros(64, np.float32))


def test_an_array_of_another_type_is_noticed():
    with pytest.raises(BeartypeCallHintViolation, match="has dtype int64"):
        fresh(moments)(np.zeros((2, 64), np.int64))
    with pytest.raises(BeartypeCallHintViolation):
        fresh(quantiles)(np.zeros((2, 64)), np.array([0.5], np.float32))


def test_the_size_of_an_axis_is_one_within_a_call():
    assert cut(np.zeros((2, 64), np.float32), 8).shape == (2, 8)
    with pytest.raises(BeartypeCallHintViolation, match="64 does not equal"):
        cut(np.zeros((2, 64), np.float32), 65)


def test_every_item_of_a_list_is_looked_at():
    @shapes.checked
    def joined(parts: list[Float32[np.ndarray, "n _"]]) -> Float32[np.ndarray, "n columns"]:
        return np.concatenate(parts, axis=1)

    parts = [np.zeros((2, 3), np.float32)] * 50
    assert joined(parts).shape == (2, 150)
    with pytest.raises(BeartypeCallHintViolation):
        joined([*parts, np.zeros((2, 3)), *parts])


def test_a_data_class_is_looked_at_where_it_is_made():
    ones = np.ones(3, np.int64)
    assert (
        len(Marked(np.zeros((3, 8), np.float32), np.array(["a", "b", "c"]), ones, ones, "m")) == 3
    )
    with pytest.raises(BeartypeCallHintViolation, match="net"):
        Marked(np.zeros((3, 8), np.float32), np.array(["a", "b"]), ones, ones, "m")


def test_errors_in_words_come_first():
    with pytest.raises(UsageError, match="are not slices"):
        statistics(np.zeros(64, np.float32))


@pytest.mark.parametrize("room", shapes.ROOMS)
def test_rooms_have_shapes_that_are_checked(room):
    """Each module with a shape imports its names at run time, or the shape could not be read."""
    folder = HOUSE / room.rpartition(".")[2]
    shaped = 0
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                notes = [arg.annotation for arg in (*node.args.args, *node.args.kwonlyargs)]
                texts = [ast.unparse(note) for note in (*notes, node.returns) if note]
                shaped += any("[np.ndarray, '" in text for text in texts)
                bare = [text for text in texts if "ndarray" in text.replace("[np.ndarray, '", "")]
                assert not bare, f"{path}:{node.lineno}: an array without a shape"
    assert shaped > 10


def test_nobody_else_loads_jaxtyping():
    code = (
        "import sys, typing, weightspace.zoo, weightspace.learners.registry\n"
        "from weightspace.features import statistics\n"
        "assert not {'jaxtyping', 'beartype', 'torch'} & set(sys.modules)\n"
        "print(typing.get_type_hints(statistics)['return'].__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("ndarray\n", "")
