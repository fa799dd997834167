"""How far answers go: coverage, accuracy at a confidence and lost answers hold for further nets."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from weightspace.learners.estimators import Linear
from weightspace.learners.temperature import temperature
from weightspace.meta.model.caution import COVERAGE, MOST_LOST, Caution, told_of_left_out
from weightspace.meta.model.likeness import Likeness


def simulated(n, seed, scale=3.0, levels=3):
    """Overconfident log-probabilities of nets, some easier than others, and their levels."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, levels, n)
    ease = rng.gamma(1.0, 1.0, n)[:, None]
    logits = ease * np.eye(levels)[codes] + rng.normal(size=(n, levels))
    return log_softmax(scale * logits, axis=1), codes


def measured(n=600, seed=0):
    logs, codes = simulated(n, seed)
    rows = np.random.default_rng(seed).normal(size=(n, 4))
    return Caution.of(logs, codes, np.arange(n) % 5, rows), temperature(logs, codes, n)


def test_what_is_promised_holds_for_nets_that_calibrated_nothing():
    caution, scale = measured()
    logs, codes = simulated(20_000, 1)
    chances = softmax(logs / scale, axis=1)
    most, right = chances.max(axis=1), chances.argmax(axis=1) == codes
    possible = chances >= np.array(caution.bounds)
    covered = possible[np.arange(len(codes)), codes].mean()
    assert covered == pytest.approx(COVERAGE, abs=0.03)
    assert caution.coverage == pytest.approx(covered, abs=0.03)
    rows = np.random.default_rng(1).normal(size=(20_000, 4))
    far = caution.likeness.strangeness(rows, chances.argmax(axis=1))
    named = (most >= caution.least) & (far <= caution.most)
    assert (right & ~named).mean() == pytest.approx(MOST_LOST, abs=0.03)
    assert caution.lost == pytest.approx((right & ~named).mean(), abs=0.03)
    assert sum(step.nets for step in caution.steps) == pytest.approx(600 * named.mean(), abs=40)
    starts = [step.start for step in caution.steps]
    for step, end in zip(caution.steps, [*starts[1:], 1.1], strict=True):
        own = named & (most >= step.start) & (most < end)
        error = 3 * np.sqrt(step.right * (1 - step.right) / step.nets + 1e-3)
        assert right[own].mean() == pytest.approx(step.right, abs=error)
    assert caution.steps[-1].right > caution.steps[0].right + 0.2


def test_a_probability_finds_its_step():
    caution, _ = measured()
    for one, other in zip(caution.steps, caution.steps[1:], strict=False):
        assert caution.step(one.start) == one
        assert caution.step(np.nextafter(other.start, 0)) == one
    assert caution.step(1.0) == caution.steps[-1]
    assert caution.step(0.0) == caution.steps[0]


def test_shares_stay_shares_where_sums_round():
    """Seven levels of equal weight need not sum to 1 exactly."""
    codes = np.arange(175) % 7
    logs = log_softmax(30.0 * np.eye(7)[codes], axis=1)
    for count in (153, 161, 175):
        rows = np.random.default_rng(0).normal(size=(count, 3))
        found = Caution.of(logs[:count], codes[:count], np.arange(count) // 7 % 5, rows)
        assert 0.99 < found.coverage <= 1
        assert 0 <= found.lost <= 0.06


def test_few_nets_rule_no_level_out():
    logs, codes = simulated(30, 0)
    rows = np.random.default_rng(0).normal(size=(30, 4))
    assert min(Caution.of(logs, codes, np.arange(30) % 5, rows).bounds) == 0


@pytest.mark.parametrize(("apart", "low", "high"), [(0.0, 0.0, 0.15), (1.0, 0.9, 1.0)])
def test_a_level_left_out_is_noticed_where_it_lies_apart_from_the_others(apart, low, high):
    rng = np.random.default_rng(0)
    codes = np.arange(600) % 3
    rows = rng.normal(size=(600, 3)) * 0.3
    rows[:, 0] += 2 * codes * apart
    told = told_of_left_out(rows, codes, 3, np.arange(600), np.arange(600) % 5, Linear())
    assert told is not None
    assert low <= told <= high


def test_a_net_unlike_its_level_is_noticed_however_sure_the_classifier_is():
    rng = np.random.default_rng(0)
    codes = np.arange(600) % 3
    rows = rng.normal(size=(600, 5)) * 0.2
    rows[:, 1] += codes
    likeness = Likeness.fit(rows, codes, 3)
    assert likeness.columns[0] == 1
    strange = np.tile(np.array([[0.0, 8.0, 0.0, 0.0, 0.0]]), (3, 1))
    own = likeness.strangeness(rows, codes)
    assert likeness.strangeness(strange, np.arange(3)).min() > np.quantile(own, 0.99)
    strange[:, 1] = np.nan  # a missing feature is no distance
    assert likeness.strangeness(strange, np.arange(3)).max() < np.quantile(own, 0.99)


def test_of_two_levels_none_can_be_left_out():
    rows = np.random.default_rng(0).normal(size=(40, 2))
    assert (
        told_of_left_out(rows, np.arange(40) % 2, 2, np.arange(40), np.arange(40), Linear()) is None
    )
