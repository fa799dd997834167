"""Probabilities: their temperature, errors and reliability; comparisons on the same nets."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from support.populations import synthetic_zoo
from weightspace.errors import UsageError
from weightspace.meta import Evaluation, evaluate
from weightspace.meta.statistics.calibration import Claims, calibration
from weightspace.meta.statistics.pairs import difference_interval


def honest(n: int, sharpness: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities [n, 3] that are right, and truths drawn from them."""
    rng = np.random.default_rng(seed)
    logs = log_softmax(sharpness * rng.normal(size=(n, 3)), axis=1)
    return logs, np.array([rng.choice(3, p=np.exp(row)) for row in logs])


def test_figures_are_those_of_others():
    logs, codes = honest(400, 1.5)
    claims = Claims.of(logs, codes)
    balanced = log_loss(codes, np.exp(logs), sample_weight=claims.weights)
    assert claims.log_loss() == pytest.approx(balanced)
    one = Claims(np.array([[0.8, 0.2], [0.4, 0.6]]), np.array([0, 0]), np.array([0.5, 0.5]))
    assert one.brier() == pytest.approx((2 * 0.2**2 + 2 * 0.6**2) / 2)
    # One bin claims 0.8 and is right, one claims 0.6 and is wrong.
    assert one.ece() == pytest.approx(0.5 * 0.2 + 0.5 * 0.6)
    assert sum(row["share"] for row in claims.reliability()) == pytest.approx(1)


def test_boasting_is_found_and_taken_back():
    logs, codes = honest(3000, 1.5)
    fold = np.arange(3000) % 5
    figures, bins = calibration([3 * logs], codes, [fold])
    assert figures["temperature"] == pytest.approx(3, rel=0.1)
    assert figures["ece_raw"] > 0.1
    assert figures["ece"] < 0.04
    assert figures["brier"] < figures["brier_raw"]
    assert figures["log_loss"] < figures["log_loss_raw"]
    assert max(abs(row["confidence"] - row["accuracy"]) for row in bins if row["count"] > 100) < 0.1


def test_no_net_sets_the_temperature_of_its_own_answer():
    """The nets of one fold boast wildly; that they do shows in the others' temperature alone."""
    logs, codes = honest(400, 1.5)
    fold = np.arange(400) % 2
    wild = np.where((fold == 0)[:, None], 8 * logs, logs)
    figures, _ = calibration([wild], codes, [fold])
    alone, _ = calibration([logs], codes, [fold])
    assert figures["ece"] > alone["ece"] + 0.05


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    zoo = synthetic_zoo(tmp_path_factory.mktemp("calibration") / "zoo", nets=100)
    return evaluate(zoo, slices_per_net=4, seeds=(0,), permutations=0)


def test_every_classifier_says_what_its_probabilities_are_worth(found):
    table = found.calibration
    assert set(table["classifier"]) == {"shallow", "kernel", "layers"}
    assert set(table["n_nets"]) == {100}
    useless = table.filter(property="learning_rate", classifier="kernel").to_dicts()[0]
    # Calibrated, who knows nothing claims next to nothing.
    assert useless["log_loss"] == pytest.approx(useless["log_loss_chance"], abs=0.08)
    known = table.filter(property="filter_size", classifier="kernel").to_dicts()[0]
    assert known["log_loss"] < 0.5 * known["log_loss_chance"]


def test_hits_add_up_to_accuracies(found):
    means = found.hits.group_by("property", "classifier", "unit", "level").agg(pl.col("hit").mean())
    means = means.group_by("property", "classifier", "unit").agg(pl.col("hit").mean())
    both = means.join(found.frame(), on=("property", "classifier", "unit"))
    assert both.height == found.frame().height
    np.testing.assert_allclose(both["hit"], both["accuracy"], atol=1e-6)


def test_two_classifiers_are_compared_on_the_same_nets(found):
    rows = {row["property"]: row for row in found.compare("kernel", "shallow").to_dicts()}
    better = rows["filter_size"]
    assert better["low"] > 0
    assert better["difference"] == pytest.approx(better["first"] - better["second"])
    equal = rows["learning_rate"]
    assert equal["low"] < 0 < equal["high"]
    with pytest.raises(UsageError, match=r"no predictions of layers for the unit slice; .*kernel"):
        found.compare("layers", "kernel", "slice")


def test_a_difference_of_nothing_is_rarely_found():
    rng = np.random.default_rng(0)
    codes = np.arange(90) % 3
    wrong = 0
    for _ in range(200):
        low, high = difference_interval(rng.choice([-1.0, 0.0, 1.0], 90, p=[0.2, 0.6, 0.2]), codes)
        wrong += not low <= 0 <= high
    assert wrong <= 10


def hits_at_chance(rng, codes, fold):
    """Hits of a cross-fitted classifier, the nearest mean, on features without information."""
    x, hits = rng.standard_normal((len(codes), 5)), np.empty(len(codes))
    for part in np.unique(fold):
        train = fold != part
        means = np.stack([x[train & (codes == level)].mean(axis=0) for level in np.unique(codes)])
        nearest = np.square(x[:, None] - means).sum(axis=2).argmin(axis=1)
        hits[~train] = (nearest == codes)[~train]
    return hits


def test_cross_fitted_classifiers_rarely_differ_by_chance():
    rng = np.random.default_rng(0)
    codes, fold = np.arange(60) % 2, np.arange(60) // 2 % 5
    wrong = 0
    for _ in range(400):
        first, second = (hits_at_chance(rng, codes, fold) for _ in range(2))
        low, high = difference_interval(first - second, codes)
        wrong += not low <= 0 <= high
    assert wrong / 400 <= 0.05


@pytest.mark.parametrize(("share", "nets"), [(0.03, 60), (0.02, 100), (0.01, 300)])
def test_classifiers_that_hardly_differ_are_not_called_equal(share, nets):
    """The first is right a little more often, on few nets or none of those at hand."""
    rng = np.random.default_rng(1)
    codes, covered = np.arange(nets) % 3, 0
    for _ in range(200):
        low, high = difference_interval((rng.random(nets) < share).astype(float), codes)
        assert low < high
        covered += low <= share <= high
    assert covered / 200 > 0.95
    low, high = difference_interval(np.zeros(nets), codes)
    assert -0.1 < low < 0 < high < 0.1


def test_a_level_that_died_out_is_left_out_of_both_sides(found):
    own = found.hits.filter(property="optimizer")
    died = pl.col("level") == 0
    told = Evaluation(found.table, hits=own.with_columns(died.alias("dead")))
    for row in told.among_living().iter_rows(named=True):
        assert row["accuracy"] == pytest.approx(row["all"])
    only = Evaluation(found.table, hits=own.with_columns((pl.col("level") < 2).alias("dead")))
    assert only.among_living().is_empty()


def test_accuracies_without_the_dead(found):
    dead = pl.col("net").is_in(found.hits["net"].unique().sort().to_list()[:20])
    told = Evaluation(found.table, hits=found.hits.with_columns(dead.alias("dead")))
    row = told.among_living().filter(property="optimizer", classifier="kernel", unit="net")
    assert row["n_nets"].item() == 80
    kept = found.hits.filter(~dead, property="optimizer", classifier="kernel", unit="net")
    means = kept.group_by("level").agg(pl.col("hit").mean())
    assert row["accuracy"].item() == pytest.approx(means["hit"].mean())
    with pytest.raises(UsageError, match="only the table of this evaluation was kept"):
        Evaluation(found.table).among_living()
