"""Intervals equal slow versions and cover what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.meta import bootstrap, control_interval, crossfit
from weightspace.meta.statistics.intervals import balanced_accuracy, crossfitted, dependence_of


def test_accuracy_weighs_classes_alike():
    hits = np.array([1.0, 1, 1, 1, 1, 1, 0.5, 0])
    codes = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    assert balanced_accuracy(hits, codes) == pytest.approx((1 + 0.25) / 2)


def test_bootstrap_is_the_slow_resampling_of_nets():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, 90)
    hits = rng.binomial(8, 0.6, 90) / 8
    found = bootstrap(hits, codes, resamples=4000)
    ends = []
    # The nets as they are, and with one imagined net a class whose halves are right and wrong.
    for imagined in ([], [0.0, 1.0]):
        slow = []
        for _ in range(4000):
            recalls = []
            for c in range(3):
                own = list(hits[codes == c])
                weights = [1.0] * len(own) + [0.5] * len(imagined)
                odds = np.array(weights) / sum(weights)
                recalls.append(np.mean(rng.choice(own + imagined, len(own), p=odds)))
            slow.append(np.mean(recalls))
        ends.append(np.quantile(slow, [0.025, 0.975]))
    assert found.value == balanced_accuracy(hits, codes)
    assert found.low == pytest.approx(min(low for low, _ in ends), abs=0.004)
    assert found.high == pytest.approx(max(high for _, high in ends), abs=0.004)


@pytest.mark.parametrize(
    ("sizes", "recalls"),
    [
        ((5, 95), (0.9, 0.999)),
        ((5, 95), (0.8, 0.8)),
        ((5, 5, 90), (0.9, 0.9, 0.9)),
        ((30, 30), (0.99, 0.99)),
    ],
)
def test_intervals_cover_the_truth_where_a_class_is_rare(sizes, recalls):
    rng = np.random.default_rng(4)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    odds = np.array(recalls)[codes]
    covered = 0
    for trial in range(250):
        hits = (rng.random(len(codes)) < odds).astype(float)
        found = bootstrap(hits, codes, resamples=200, seed=trial)
        covered += found.low <= np.mean(recalls) <= found.high
    assert covered / 250 > 0.93


def test_imagined_nets_hardly_widen_intervals_of_large_classes():
    rng = np.random.default_rng(5)
    codes = np.arange(300) % 3
    hits = (rng.random(300) < 0.8).astype(float)
    found = bootstrap(hits, codes, resamples=4000)
    error = np.sqrt(sum(hits[codes == c].var() / 100 for c in range(3))) / 3
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.12)


def test_intervals_cover_the_truth_where_nets_share_seeds():
    """Ten seeds of twenty nets each, of which some are read well and some badly."""
    rng = np.random.default_rng(6)
    groups, codes = np.repeat(np.arange(10), 20), np.arange(200) % 4
    alone = together = 0
    for trial in range(300):
        odds = rng.beta(4, 2, 10)[groups]
        hits = (rng.random(200) < odds).astype(float)
        narrow = bootstrap(hits, codes, resamples=400, seed=trial)
        wide = bootstrap(hits, codes, groups=groups, resamples=400, seed=trial)
        alone += narrow.low <= 4 / 6 <= narrow.high
        together += wide.low <= 4 / 6 <= wide.high
    assert together / 300 > 0.92
    assert alone / 300 < 0.8
    # Every net a seed of its own: nothing changes.
    assert bootstrap(hits, codes, groups=np.arange(200)) == bootstrap(hits, codes)


def test_a_level_that_one_seed_alone_has_is_drawn_without():
    codes, groups = np.array([0] * 18 + [1] * 6), np.repeat(np.arange(4), 6)
    hits = (np.arange(24) % 3 > 0).astype(float)
    found = bootstrap(hits, codes, groups=groups)
    assert 0 <= found.low < found.value < found.high <= 1


def test_intervals_of_independent_nets_cover_the_truth():
    rng = np.random.default_rng(1)
    codes = np.arange(80) % 4
    covered = 0
    for trial in range(400):
        chance = rng.beta(7, 3, 80)
        found = bootstrap(rng.binomial(6, chance) / 6, codes, resamples=200, seed=trial)
        covered += found.low <= 0.7 <= found.high
    assert 0.90 < covered / 400 < 0.985


def test_all_right_is_not_certainty():
    found = bootstrap(np.ones(60), np.arange(60) % 2)
    assert (found.value, found.high) == (1, 1)
    # The exact binomial bound: right 30 times of 30 happens in 2.5 % of cases at this rate.
    assert found.low**30 == pytest.approx(0.025)
    none = bootstrap(np.zeros(60), np.arange(60) % 2)
    assert none.high == pytest.approx(1 - found.low)
    # Two nets of a rare class say little, however many the other has.
    rare = bootstrap(np.ones(60), (np.arange(60) < 2).astype(int))
    assert rare.low == pytest.approx((0.025 ** (1 / 2) + 0.025 ** (1 / 58)) / 2)


def test_seeds_repeat_and_resamples_keep_memory_flat(monkeypatch):
    from weightspace.meta.statistics import intervals

    rng = np.random.default_rng(0)
    hits, codes = rng.random(50), np.arange(50) % 2
    assert bootstrap(hits, codes, seed=5) == bootstrap(hits, codes, seed=5)
    whole = bootstrap(hits, codes)
    monkeypatch.setattr(intervals, "_DRAWN", 100)
    parts = bootstrap(hits, codes)
    assert parts.low == pytest.approx(whole.low, abs=0.01)


def test_control_interval_is_a_prediction_interval():
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(600):
        *known, fresh = rng.normal(0.25, 0.02, 9)
        found = control_interval(tuple(known))
        covered += found.low <= fresh <= found.high
    assert covered / 600 == pytest.approx(0.95, abs=0.025)
    with pytest.raises(ValueError, match="no spread"):
        control_interval((0.5,))


@pytest.mark.parametrize("signal", [0.0, 1.5])
def test_intervals_of_cross_fitted_accuracies_cover_their_mean(signal):
    """Nets in the training sets of each other's classifiers are not independent."""
    rng = np.random.default_rng(3)
    found = []
    for trial in range(160):
        codes = rng.permutation(np.arange(72) % 2)
        x = rng.normal(size=(72, 8))
        x[:, 0] += signal * codes
        found += crossfit(
            x.astype(np.float32),
            np.arange(72),
            {"p": codes},
            classifier="shallow",
            seed=trial,
            resamples=200,
        )
    mean = np.mean([score.accuracy for score in found])
    covered = np.mean([score.low <= mean <= score.high for score in found])
    assert 0.9 < covered <= 1
    if signal == 0:
        assert mean == pytest.approx(0.5, abs=0.025)
        hits = np.mean([score.low > 0.5 for score in found])
        assert hits < 0.07


def test_widening_fades_with_skill():
    rng = np.random.default_rng(0)
    codes = np.arange(200) % 2
    for accuracy, factor in ((0.5, np.sqrt(2)), (0.95, np.sqrt(1.1))):
        hits = (rng.permutation(200) < 200 * accuracy).astype(float)
        bare, wide = bootstrap(hits, codes), crossfitted(hits, codes)
        assert (wide.high - wide.low) / (bare.high - bare.low) == pytest.approx(factor, rel=0.04)


def test_dependence_is_measured_from_permuted_labels():
    rng = np.random.default_rng(0)
    codes = np.stack([rng.permutation(np.arange(100) % 2) for _ in range(400)], axis=1)
    independent = rng.integers(0, 2, codes.shape).astype(float)
    assert dependence_of(independent, codes) == pytest.approx(1, abs=0.2)
    tilted = rng.random(codes.shape) < 0.5 + 0.1 * rng.choice([-1, 1], 400)
    assert dependence_of(tilted.astype(float), codes) > 3
