"""Logistic regression, support vectors, boosted trees: what is kept is what scikit-learn learned.

And support vectors' probabilities are honest about nets, not about slices.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.special import log_softmax, softmax
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.svm import SVC

from support.populations import synthetic_zoo
from weightspace.learners import support
from weightspace.learners.binning import Bins
from weightspace.learners.boosting import Boostings, _baseline, _trees
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import NystroemMap
from weightspace.meta import (
    Boosted,
    Forest,
    Kernel,
    Linear,
    Logistic,
    Raw,
    SupportVectors,
    evaluate,
)

LEARNERS = [Logistic(), SupportVectors(), Boosted(rounds=20, leaf=5)]


def problem(n=240, classes=3, seed=0, separation=1.5):
    return make_classification(
        n,
        12,
        n_informative=6,
        n_classes=classes,
        class_sep=separation,
        weights=[0.5] + [0.5 / (classes - 1)] * (classes - 1),
        random_state=seed,
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_logistic_is_the_minimum_of_the_balanced_penalised_cross_entropy(classes):
    x, y = problem(classes=classes, separation=0.7)
    fitted = Logistic(ridge=1e-2).fit(x, y).fitted_
    assert isinstance(fitted, Discriminant)
    z = Gaussianiser.fit(x)(x)
    weight = len(y) / classes / np.bincount(y)[y]
    # The slope of the mean cross entropy and, of the weights, of 0.005 x their square.
    wrong = (softmax(z @ fitted.weights + fitted.offsets, axis=1) - np.eye(classes)[y]) * (
        weight[:, None] / len(y)
    )
    np.testing.assert_allclose(wrong.sum(axis=0), 0, atol=1e-4)
    # Of two classes scikit-learn penalises the difference, here split evenly between both.
    penalty = 1e-2 * fitted.weights * (2 if classes == 2 else 1)
    np.testing.assert_allclose(z.T @ wrong + penalty, 0, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_support_vectors_are_scikit_learns(classes):
    x, y = problem(700, classes)
    fresh, x, y = x[400:], x[:400], y[:400]
    model = SupportVectors(cost=2.0, width=0.7).fit(x, y)
    fitted = model.fitted_
    assert isinstance(fitted, Discriminant)
    assert isinstance(fitted.map, NystroemMap)
    z = fitted.map.gaussianiser(x)
    made = SVC(
        C=2.0, gamma=fitted.map.gamma, class_weight="balanced", decision_function_shape="ovo"
    ).fit(z, y)
    assert len(fitted.map.landmarks) == len(made.support_)
    margins = made.decision_function(fitted.map.gaussianiser(fresh)).reshape(len(fresh), -1)
    scores = np.zeros((len(fresh), classes))
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    for (i, j), margin in zip(pairs, margins.T, strict=True):
        margin = -margin if classes == 2 else margin
        scores[:, i] += margin / (classes - 1)
        scores[:, j] -= margin / (classes - 1)
    logs = fitted.log_probabilities(fresh)[0]
    # One positive scale, the same for all rows and classes, is all that lies between them.
    apart, own = scores - scores[:, :1], logs - logs[:, :1]
    scale = (apart * own).sum() / (apart**2).sum()
    assert scale > 0
    np.testing.assert_allclose(own, scale * apart, atol=1e-7 * scale)
    answers = made.predict(fitted.map.gaussianiser(fresh))
    assert (logs.argmax(axis=1) == answers).mean() > (0.999 if classes == 2 else 0.9)


def nets_without_meaning(rng, nets=60, per_net=8):
    """Slices that tell of their net and of nothing else."""
    owner = np.repeat(np.arange(nets), per_net)
    x = rng.normal(size=(nets, 6))[owner] + 0.05 * rng.normal(size=(len(owner), 6))
    return x, (rng.integers(0, 3, nets))[owner], owner


def test_slices_of_a_net_do_not_vouch_for_each_other():
    """Known by its sisters, every slice is read rightly; that says nothing of another net."""
    rng = np.random.default_rng(0)
    x, y, owner = nets_without_meaning(rng)
    fresh, truth, _ = nets_without_meaning(rng)

    def loss(groups):
        logs = np.log(SupportVectors(cost=10.0).fit(x, y, groups=groups).predict_proba(fresh))
        return -logs[np.arange(len(truth)), truth].mean()

    assert loss(owner) < np.log(3) + 0.05
    assert loss(None) > np.log(3) + 0.4


def test_every_net_is_on_one_side_of_the_scale(monkeypatch):
    """Nor do some slices of a net teach a machine that judges others of it."""
    x, y, owner = nets_without_meaning(np.random.default_rng(0), nets=17)
    taught = []

    class Watched(SVC):
        def fit(self, X, y):
            taught.append({tuple(row) for row in X})
            return super().fit(X, y)

        def decision_function(self, X):
            judged = {tuple(row) for row in X}
            of = {net_of[row] for row in judged}
            assert of.isdisjoint({net_of[row] for row in taught[-1]})
            return super().decision_function(X)

    z = Gaussianiser.fit(x)(x)
    net_of = {tuple(row): net for row, net in zip(z, owner, strict=True)}
    monkeypatch.setattr(support, "SVC", Watched)
    support.fit(x, y[:, None], (3,), owner, 1.0, 0.7)
    assert len(taught) == 4
    assert len(taught[0]) == len(x)
    assert sum(len(x) - len(rows) for rows in taught[1:]) == len(x)


@pytest.mark.parametrize("classes", [2, 3])
def test_walking_our_trees_is_scikit_learns_boosting(classes):
    x, y = problem(400, classes)
    x = x.astype(np.float32)
    bins = Bins.of(x, 63)
    made = HistGradientBoostingClassifier(
        max_iter=25, max_leaf_nodes=15, min_samples_leaf=5, early_stopping=False
    ).fit(bins.numbers(x), y)
    own = Boostings((_trees(made, classes, bins),), (_baseline(made, classes),), (classes,))
    fresh = np.random.default_rng(3).normal(size=(500, 12)).astype(np.float32) * 2
    # Rows that lie on a border itself, as a number, go the same way.
    borders = made._predictors[0][0].nodes
    inner = borders[borders["is_leaf"] == 0]
    edge = np.repeat(x[:1], len(inner), axis=0)
    lies = bins.thresholds(inner["feature_idx"], inner["num_threshold"])
    edge[np.arange(len(inner)), inner["feature_idx"]] = lies.astype(np.float32)
    for rows in (x, fresh, edge):
        theirs = made.predict_proba(bins.numbers(rows))
        np.testing.assert_allclose(np.exp(own.log_probabilities(rows)[0]), theirs, atol=1e-6)


def test_bins_have_equal_counts_or_one_number_each():
    rng = np.random.default_rng(4)
    x = np.stack([rng.normal(size=1000), rng.integers(0, 5, 1000)], axis=1).astype(np.float32)
    many, few = Bins.of(x, 8).numbers(x).astype(int).T
    assert np.bincount(many).tolist() == [125] * 8
    np.testing.assert_array_equal(few, x[:, 1])
    rare = np.array([[0]] * 998 + [[1], [2]], np.float32)  # which quantiles would not part
    np.testing.assert_array_equal(Bins.of(rare, 8).numbers(rare), rare)
    skewed = np.where(x[:, :1] < 1, 0, x[:, :1])
    assert len(np.unique(Bins.of(skewed, 8).numbers(skewed))) <= 3


def test_every_row_teaches_every_round():
    """Early stopping would judge slices by trees that sister slices have taught."""
    x, y = problem(400)
    fitted = Boosted(rounds=30, leaf=5).fit(x, y).fitted_
    assert isinstance(fitted, Boostings)
    assert len(fitted.trees[0].roots) == 30 * 3


@pytest.mark.parametrize("estimator", LEARNERS, ids=lambda e: type(e).__name__)
def test_a_level_that_nobody_taught_is_never_the_answer(estimator):
    x, y = problem(300, 3)
    codes = np.array([0, 2, 3])[y]
    (logs,) = estimator.fit_labelings(x, codes[:, None], (5,), np.arange(300)).log_probabilities(x)
    assert set(logs.argmax(axis=1)) == {0, 2, 3}
    (alone,) = estimator.fit_labelings(x, y[:, None], (3,), np.arange(300)).log_probabilities(x)
    np.testing.assert_allclose(log_softmax(logs[:, [0, 2, 3]], axis=1), alone, atol=1e-9)
    assert (np.exp(logs[:, [1, 4]]) == 0).all()


@pytest.mark.parametrize(
    "estimator",
    [*LEARNERS, Linear(), Kernel(landmarks=60), Forest(trees=10), Raw()],
    ids=lambda e: type(e).__name__,
)
def test_where_all_are_of_one_class_that_is_the_answer(estimator):
    """As where one level of two is left out; the labelings beside it are learned as ever."""
    x, y = problem(240, 3)
    nets = np.arange(240) // 2
    one = np.full(240, 1)
    answers = estimator.fit_labelings(x, np.stack([one, y], axis=1), (2, 3), nets)
    known, others = answers.log_probabilities(x)
    assert (known.argmax(axis=1) == 1).all()
    assert np.isfinite(known).all()
    alone = estimator.fit_labelings(x, y[:, None], (3,), nets).log_probabilities(x)[0]
    np.testing.assert_allclose(others, alone, atol=1e-9)
    (idle,) = estimator.fit_labelings(x, one[:, None] - 1, (3,), nets).log_probabilities(x)
    assert (idle.argmax(axis=1) == 0).all()


def test_wide_kernels_are_evaluated_in_small_blocks(monkeypatch):
    from weightspace.learners import discriminant

    x, y = problem()
    fitted = SupportVectors().fit(x, y).fitted_
    (whole,) = fitted.log_probabilities(x)
    held = []
    mapped = NystroemMap.__call__

    def watched(self, features):
        out = mapped(self, features)
        held.append(out.size)
        return out

    monkeypatch.setattr(NystroemMap, "__call__", watched)
    monkeypatch.setattr(discriminant, "_CELLS", 2000)
    np.testing.assert_allclose(fitted.log_probabilities(x)[0], whole, atol=1e-12)
    assert max(held) <= 2000


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory):
    zoo = synthetic_zoo(tmp_path_factory.mktemp("learners") / "zoo", nets=100)
    return evaluate(
        zoo,
        properties=["initialization", "activation"],
        classifiers=["logistic", "svm", "boosted-statistics"],
        slices_per_net=4,
        seeds=(0,),
        permutations=5,
    )


def test_they_are_evaluated_beside_the_others(evaluation):
    frame = evaluation.frame()
    assert set(frame["classifier"]) == {"shallow", "logistic", "svm", "boosted-statistics"}
    slow = frame.filter(~pl.col("classifier").is_in(["shallow", "logistic"]))
    assert slow["control"].is_null().all()
    assert frame.filter(classifier="logistic")["control"].is_not_null().all()
    nets = frame.filter(unit="net")
    known = nets.filter(property="initialization")
    assert (known["low"] > known["chance"]).all()
    # What is not in the weights is at chance, whoever looks.
    unknown = nets.filter(property="activation")
    assert ((unknown["low"] < unknown["chance"]) & (unknown["chance"] < unknown["high"])).all()


def test_their_probabilities_are_worth_something(evaluation):
    table = evaluation.calibration.filter(property="initialization")
    assert table.height == 4
    assert (table["log_loss"] < 0.9 * table["log_loss_chance"]).all()
    (svm,) = table.filter(classifier="svm")["temperature"]
    # The scale that it learned from nets held out leaves little to correct.
    assert 0.3 < svm < 2
