"""Numbers on the order within a layer: equal to slow versions, at rest on random weights."""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.features.structure import STRUCTURE_NAMES, structure


def value(weights, name):
    scale = float(np.median(np.abs(weights)))
    return structure(np.asarray(weights, float), scale)[STRUCTURE_NAMES.index(name)]


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, shape)


@pytest.mark.parametrize("shape", [(64, 48), (16, 8, 5, 5), (1, 9), (7, 1)])
def test_ranks_and_gaps_are_those_of_the_singular_values(shape):
    weights = random(*shape)
    singular = np.linalg.svd(weights.reshape(shape[0], -1), compute_uv=False)
    share = singular**2 / np.square(singular).sum()
    assert value(weights, "stable_rank") == pytest.approx(np.log(1 / share[0] / len(share)))
    entropy = -(share * np.log(share)).sum()
    assert value(weights, "effective_rank") == pytest.approx(entropy - np.log(len(share)), abs=1e-6)
    if len(singular) > 1:
        gap = np.log(share[0] / share[1])
        assert value(weights, "singular_gap") == pytest.approx(gap, abs=1e-4)


@pytest.mark.parametrize("shape", [(40, 400), (200, 200), (24, 12, 7, 7)])
def test_random_weights_of_any_shape_end_at_the_edge(shape):
    assert value(random(*shape), "largest_singular") == pytest.approx(0, abs=0.15)
    lifted = random(*shape) + 0.05
    assert value(lifted, "largest_singular") > 0.5


@pytest.mark.parametrize("shape", [(96, 300), (300, 96), (24, 12, 5, 5)])
def test_the_distribution_before_training_shows_beneath_what_training_added(shape):
    """Uniform and normal weights under updates of low rank that are stronger than they."""
    rng = np.random.default_rng(3)
    flat = (shape[0], int(np.prod(shape[1:])))
    update = rng.normal(size=(flat[0], 3)) @ rng.normal(size=(3, flat[1]))
    plain, rest = [], []
    for start in (rng.uniform(-(3**0.5), 3**0.5, flat), rng.normal(size=flat)):
        weights = (start + update).reshape(shape)
        squares = np.square(weights - weights.mean())
        plain.append(np.arcsinh(np.square(squares).mean() / squares.mean() ** 2 - 3))
        rest.append(value(weights, "rest_kurtosis_75"))
    assert rest[0] < -0.3
    assert abs(rest[1]) < 0.1
    assert abs(plain[0] - plain[1]) < (rest[1] - rest[0]) / 2


def test_kurtosis_without_strong_directions_is_that_of_a_truncated_decomposition():
    weights = random(20, 50)
    left, singular, right = np.linalg.svd(weights, full_matrices=False)
    left[:, :5] = 0
    rest = left * singular @ right
    expected = np.arcsinh((rest**4).mean() / (rest**2).mean() ** 2 - 3)
    assert value(weights, "rest_kurtosis_75") == pytest.approx(expected)


def test_evened_weights_forget_the_sizes_of_units():
    weights = random(200, 300)
    heavy = weights * np.geomspace(0.1, 2, 200)[:, None]
    squares = np.square(heavy)
    assert np.square(squares).mean() / squares.mean() ** 2 > 5
    assert abs(value(heavy, "even_kurtosis")) < 0.1


def test_smooth_kernels_are_told_from_rough_ones():
    rough, bumps = random(16, 8, 5, 5), random(16, 8, 1, 1, seed=1)
    smooth = rough + 3 * bumps
    names = ("next_correlation", "tap_next_row", "tap_second", "tap_second_row", "tap_mirrored")
    for name in names:
        assert abs(value(rough, name)) < 0.12 + 0.2 * (name == "tap_mirrored")
        assert value(smooth, name) > 0.6
    assert value(smooth, "tap_smooth") > value(rough, "tap_smooth") + 1


def test_taps_know_the_centre_and_a_common_pattern():
    weights = random(16, 8, 3, 3)
    strong = weights.copy()
    strong[:, :, 1, 1] *= 4
    assert value(strong, "tap_centre") > value(weights, "tap_centre") + 0.5
    assert value(strong, "tap_corner") < value(weights, "tap_corner") - 0.5
    common = weights + random(3, 3, seed=1)
    assert value(common, "tap_pattern") > value(weights, "tap_pattern") + 1


def test_dense_layers_have_no_taps():
    numbers = structure(random(20, 30), 0.1)
    assert len(numbers) == len(STRUCTURE_NAMES)
    taps = [n for n, name in zip(numbers, STRUCTURE_NAMES, strict=True) if name.startswith("tap")]
    assert taps == [0.0] * len(taps)


@pytest.mark.parametrize("weights", [np.zeros((4, 3, 3, 3)), np.full((5, 6), 0.1), np.ones((1, 1))])
def test_constants_have_numbers_too(weights):
    assert np.isfinite(structure(weights, 1.0)).all()
