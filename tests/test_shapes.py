"""Shapes in signatures are checked in these tests, and cost who uses the package nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
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

HOUSE = Path(weightspace.__file__).parent


@shapes.checked
def cut(values: Float32[np.ndarray, "n length"], length: int) -> Float32[np.ndarray, "n {length}"]:
    return values[:, :length]


def test_an_array_of_another_shape_is_noticed():
    with pytest.raises(BeartypeCallHintViolation, match="1 dimensions, not the 2 expected"):
        moments(np.zeros(64, np.float32))


def test_an_array_of_another_type_is_noticed():
    with pytest.raises(BeartypeCallHintViolation, match="has dtype int64"):
        moments(np.zeros((2, 64), np.int64))
    with pytest.raises(BeartypeCallHintViolation):
        quantiles(np.zeros((2, 64)), np.array([0.5], np.float32))


def test_the_size_of_an_axis_is_one_within_a_call():
    assert cut(np.zeros((2, 64), np.float32), 8).shape == (2, 8)
    with pytest.raises(BeartypeCallHintViolation, match="64 does not equal"):
        cut(np.zeros((2, 64), np.float32), 65)


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
