"""The estimators keep scikit-learn's contract and equal slow, obvious versions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from weightspace.learners import designs, discriminant
from weightspace.learners.columns import balanced_targets
from weightspace.learners.designs import Dual, Primal
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import LinearMap, NystroemMap
from weightspace.learners.trees import DEEPEST, Trees
from weightspace.meta import Boosted, Forest, Kernel, Linear, Logistic, SupportVectors

SMALL = [
    Linear(),
    Kernel(landmarks=60),
    Forest(trees=25),
    Logistic(),
    SupportVectors(),
    Boosted(rounds=25, leaves=4, leaf=5),
]
GRIDS = {
    "Linear": {"ridge": [1e-3, 1e-1]},
    "Kernel": {"ridge": [1e-3, 1e-1]},
    "Logistic": {"ridge": [1e-3, 1e-1]},
    "Forest": {"trees": [5, 20]},
    "SupportVectors": {"cost": [0.1, 1.0]},
    "Boosted": {"rounds": [5, 20]},
}
"""What to search; other estimators are searched over nothing."""


# No check is expected to fail. Two skip themselves here: they need pandas and SCIPY_ARRAY_API.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@parametrize_with_checks(SMALL)
def test_the_contract_of_scikit_learn(estimator, check):
    assert issubclass(SkipTestWarning, UserWarning)
    check(estimator)


def problem(n=240, classes=3, seed=0):
    return make_classification(
        n, 12, n_informative=6, n_classes=classes, class_sep=1.5, random_state=seed
    )


@pytest.mark.parametrize("estimator", SMALL, ids=lambda e: type(e).__name__)
def test_they_go_into_pipelines_and_searches(estimator):
    x, y = problem()
    pipeline = make_pipeline(StandardScaler(), clone(estimator))
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.6
    grid = GRIDS.get(type(estimator).__name__, {})
    assert GridSearchCV(clone(estimator), grid, cv=2).fit(x, y).best_score_ > 0.6


@pytest.mark.parametrize("estimator", SMALL, ids=lambda e: type(e).__name__)
def test_classes_are_equally_likely_beforehand(estimator):
    rng = np.random.default_rng(0)
    y = np.array(["rare"] * 30 + ["usual"] * 270)
    x = rng.normal(size=(300, 3)) + (y == "rare")[:, None] * 1.2
    answers = clone(estimator).fit(x, y).predict(rng.normal(size=(400, 3)) + 1.2)
    assert (answers == "rare").mean() > 0.6


@pytest.mark.parametrize("estimator", SMALL, ids=lambda e: type(e).__name__)
def test_many_labelings_at_once_are_each_one_alone(estimator):
    x, y = problem()
    other = np.random.default_rng(1).integers(0, 2, len(y))
    groups = np.arange(len(x)) // 4
    both = estimator.fit_labelings(x, np.stack([y, other], 1), (3, 2), groups)
    for j, (codes, levels) in enumerate(((y, 3), (other, 2))):
        alone = estimator.fit_labelings(x, codes[:, None], (levels,), groups)
        np.testing.assert_allclose(
            both.log_probabilities(x)[j], alone.log_probabilities(x)[0], atol=1e-7
        )


def test_columns_beyond_one_block_change_nothing(monkeypatch):
    x, y = problem()
    codes = np.stack([np.roll(y, i) for i in range(4)], axis=1)
    groups = np.arange(len(x)) // 4
    whole = Kernel(landmarks=50).fit_labelings(x, codes, (3,) * 4, groups)
    monkeypatch.setattr(discriminant, "_COLUMNS", 6)
    monkeypatch.setattr(discriminant, "_SCORES", 1)
    monkeypatch.setattr(designs, "_ROWS", 50)
    parts = Kernel(landmarks=50).fit_labelings(x, codes, (3,) * 4, groups)
    for a, b in zip(whole.log_probabilities(x), parts.log_probabilities(x), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


@pytest.mark.parametrize("kind", ["linear", "kernel", "every row"])
def test_leaving_a_net_out_in_closed_form_is_fitting_without_it(kind):
    x, y = problem(60)
    groups = np.sort(np.random.default_rng(0).integers(0, 14, len(x)))
    landmarks = 20 if kind == "kernel" else len(x)
    made = (
        LinearMap.fit(x)
        if kind == "linear"
        else NystroemMap.fit(x, landmarks, 1.0, np.random.default_rng(0))
    )
    targets = balanced_targets(y[:, None], (3,))
    if kind == "every row":
        groups = np.random.default_rng(1).permutation(groups)  # the dual takes any order
        design = Dual(made.kernel(made.landmarks), groups, 1e-2)
    else:
        design = Primal(made, x, groups, 1e-2)
    scores, _ = design.leave_out(targets)
    columns, n = made(x), len(x)
    for group in np.unique(groups):
        kept = groups != group
        # Slow: the same penalty for all n rows, an intercept that is not penalised.
        wide = np.c_[np.ones(n), columns]
        penalty = np.zeros((wide.shape[1],) * 2)
        penalty[1:, 1:] = 1e-2 * n * made.penalty
        gram = wide[kept].T @ wide[kept] + penalty
        weights = np.linalg.solve(gram, wide[kept].T @ targets[kept])
        np.testing.assert_allclose(scores[~kept], wide[~kept] @ weights, atol=1e-5)


def test_a_kernel_without_a_ridge_is_fitted_to_repeated_rows():
    x, y = problem()
    twice, labels = np.repeat(x, 2, axis=0), np.repeat(y, 2)
    assert Kernel(ridge=0.0).fit(twice, labels).score(twice, labels) == 1


def test_linear_is_a_linear_rule_on_normal_scores():
    x, y = problem()
    fitted = Linear().fit(x, y).fitted_
    assert isinstance(fitted, Discriminant)
    logits = Gaussianiser.fit(x)(x) @ fitted.weights + fitted.offsets
    np.testing.assert_allclose(softmax(logits, axis=1), Linear().fit(x, y).predict_proba(x))


def test_normal_scores_are_ranks_and_stay_in_the_box():
    rng = np.random.default_rng(0)
    x = np.c_[rng.standard_t(1, size=500), rng.integers(0, 3, 500), np.zeros(500)]
    made = Gaussianiser.fit(x)
    z = made(x)
    assert (np.diff(z[np.argsort(x[:, 0]), 0]) >= 0).all()
    assert abs(z[:, 0].mean()) < 0.05
    assert z[:, 0].std() == pytest.approx(1, abs=0.1)
    assert len(np.unique(z[:, 1].round(9))) == 3
    assert np.allclose(z[:, 2], 0, atol=1e-12)
    np.testing.assert_array_equal(made(x * 1e9)[:, 0][x[:, 0] > 0], z[:, 0].max())


def test_walking_our_trees_is_scikit_learns_forest():
    x, y = problem()
    x = x.astype(np.float32)
    forest = ExtraTreesClassifier(30, max_depth=DEEPEST, random_state=0).fit(x, y)
    own = Trees.of(forest, 3)
    fresh = np.random.default_rng(3).normal(size=(500, 12)).astype(np.float32) * 2
    for rows in (x, fresh):
        np.testing.assert_allclose(own.probabilities(rows), forest.predict_proba(rows), atol=1e-6)


def test_a_seed_is_a_result():
    x, y = problem()
    for kind in (Kernel(landmarks=40, seed=3), Forest(trees=10, seed=3)):
        one, two = (clone(kind).fit(x, y).predict_proba(x) for _ in range(2))
        np.testing.assert_array_equal(one, two)
        other = clone(kind).set_params(seed=4).fit(x, y).predict_proba(x)
        assert not np.array_equal(one, other)


def test_one_class_is_no_problem_to_solve():
    with pytest.raises(ValueError, match="one class only"):
        Kernel().fit(np.zeros((5, 2)), np.zeros(5))
