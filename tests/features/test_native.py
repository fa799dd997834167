"""The native features against their twins in NumPy, for every build that this processor runs."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module

import numpy as np
import pytest

from weightspace.features import LAYERS_NAMES, LOCAL_NAMES, layers, local, native
from weightspace.features.local import natively, twin
from weightspace.learners.gaussian import Gaussianiser
from weightspace.networks.layout import Layout, TensorSpec

module = import_module("weightspace.features.layers")
needs_build = pytest.mark.skipif(not native.builds(), reason="native features were not built")
each_build = pytest.mark.parametrize("build", native.builds(), ids=lambda path: path.name)


def slices(length: int) -> np.ndarray:
    """Slices as trained nets have them, and slices that have no spread, scale or sign."""
    rng = np.random.default_rng(length)
    kinds = [
        *(rng.normal(size=(3, length)) * [[1e-9], [0.05], [1e6]]),
        rng.standard_t(2, size=length),
        rng.uniform(-1, 1, size=length),
        np.where(rng.random(length) < 0.6, 0, rng.normal(size=length)),
        1 + 0.01 * rng.normal(size=length),
        np.repeat(rng.normal(size=length // 4 + 1), 4)[:length],
        np.abs(rng.normal(size=length)),
        np.zeros(length),
        np.full(length, 0.3),
        np.full(length, -1e30),
        np.cumsum(rng.normal(size=length)),
    ]
    return np.stack(kinds).astype(np.float32)


@needs_build
@each_build
@pytest.mark.parametrize("length", [64, 65, 129, 1000, 5000, 7777])
def test_slices_have_the_numbers_of_the_twin(build, length):
    values = slices(length)
    with np.errstate(all="ignore"):
        expected = np.nan_to_num(twin(np.clip(values, -1e25, 1e25)))
    found = np.nan_to_num(natively(native.load(build), length)(values))
    # Blocks whose spread is near the rounding of float32 give ratios with few digits.
    for name, own, other in zip(LOCAL_NAMES, found.T, expected.T, strict=True):
        np.testing.assert_allclose(own, other, rtol=5e-5, atol=5e-5, err_msg=name)


SHAPES = [
    *((10, 84), (84, 10), (1, 7), (1, 1), (128, 300), (33, 33)),
    *((6, 1, 5, 5), (16, 6, 5, 5), (8, 8, 3, 3), (8, 4, 1, 1), (4, 4, 7, 7), (3, 4, 2, 2)),
    *((3, 5, 1, 7), (6, 4, 3, 5), (4, 3, 9), (3, 2, 3, 3, 3), (5,)),
]


def vectors(size: int, units: int) -> np.ndarray:
    """Vectors of weights: random, heavy in the tails, sparse, constant, 0, with a strong unit."""
    rng = np.random.default_rng(size)
    strong = rng.normal(size=size)
    strong[: max(1, size // units)] *= 50
    kinds = [
        rng.normal(size=size) * 0.1,
        rng.standard_t(2, size=size),
        np.where(rng.random(size) < 0.7, 0, rng.normal(size=size)),
        np.full(size, 0.25) + 1e-4 * rng.normal(size=size),
        np.full(size, 0.25),
        np.zeros(size),
        strong,
    ]
    return np.stack(kinds).astype(np.float32)


@needs_build
@each_build
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("role", ["weight", "bias"])
def test_tensors_have_the_numbers_of_the_twin(build, shape, role):
    part = "conv" if len(shape) > 2 else "fc"
    layout = Layout((TensorSpec("one", role, part, 0, shape, 0),))
    found = native.load(build)
    (spec,) = layout.tensors
    told = np.array([module._told(spec)], np.int64)
    for vector in vectors(layout.size, shape[0]):
        expected = module.tamed(module.twin(vector, spec))
        rows = module.tamed(native.tensors(found, vector, told, len(module.WHAT["weight"])))
        own = rows[0, : len(expected)]
        np.testing.assert_allclose(own, expected, rtol=2e-5, atol=2e-5)
        assert not rows[0, len(expected) :].any()


@needs_build
def test_whole_rows_are_the_same_without_the_library(monkeypatch):
    rng = np.random.default_rng(0)
    shapes = {
        "conv": [("weight", (8, 3, 3, 3)), ("bias", (8,)), ("running_mean", (8,))],
        "fc": [("weight", (10, 72)), ("bias", (10,))],
    }
    specs, offset = [], 0
    for layer, (part, own) in enumerate(shapes.items()):
        for role, shape in own:
            specs.append(TensorSpec(f"{part}.{role}", role, part, layer, shape, offset))
            offset = specs[-1].stop
    layout = Layout(tuple(specs))
    vector = rng.normal(size=layout.size).astype(np.float32)
    values = rng.normal(size=(40, 500)).astype(np.float32)
    knots = Gaussianiser.fit(values)
    missing = values.copy()
    missing[::7, 3] = np.nan
    native_rows = layers(vector, layout), local(values), knots(missing)
    monkeypatch.setattr(native, "library", lambda: None)
    other = layers(vector, layout), local(values), knots(missing)
    assert native_rows[0].shape == (len(LAYERS_NAMES),)
    for own, expected in zip(native_rows, other, strict=True):
        np.testing.assert_allclose(own, expected, rtol=2e-5, atol=2e-5)


@needs_build
def test_columns_are_interpolated_as_numpy_does():
    rng = np.random.default_rng(0)
    knots = np.sort(rng.integers(0, 40, size=(30, 17)) / 4, axis=1)
    scores = np.sort(rng.normal(size=(30, 17)), axis=1)
    same = knots[:, 1:] == knots[:, :-1]
    for i in range(1, 17):  # equal knots have equal scores
        scores[:, i] = np.where(same[:, i - 1], scores[:, i - 1], scores[:, i])
    values = rng.uniform(-1, 11, size=(200, 30))
    values[:17] = knots.T
    found = native.interpolated(native.library(), values, knots, scores)
    for column in range(30):
        expected = np.interp(values[:, column], knots[column], scores[column])
        np.testing.assert_allclose(found[:, column], expected, atol=1e-12)


def test_the_library_is_there_where_it_can_be_built():
    if sys.platform != "linux" or not shutil.which("c++"):
        pytest.skip("needs a C++ compiler")
    assert native.builds(), "the build of native features failed: pip install -v -e . shows why"
