"""Missing features: neither a value like any other, nor an error, nor lost."""

from __future__ import annotations

import numpy as np
import pytest

from weightspace.learners.estimators import Boosted, Forest, Kernel, Linear
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.raw import Raw
from weightspace.learners.ridge import KernelRidge


def halves(n=300, seed=0):
    """Two kinds of nets: one has feature 1, which tells the level; of the other, feature 0 does."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    has = rng.random(n) < 0.5
    X = rng.normal(size=(n, 4))
    X[:, 0] += np.where(has, 0, 4 * y)
    X[:, 1] = np.where(has, 50 + 4 * y + X[:, 1], np.nan)
    X[:, 3] = has
    return X, y, has


def test_scores_are_those_of_the_rows_that_have_the_feature():
    X, _, has = halves()
    map_ = Gaussianiser.fit(X)
    scores = map_(X)
    assert np.all(scores[~has, 1] == 0)
    alone = Gaussianiser.fit(X[has])(X[has])
    np.testing.assert_allclose(scores[has, 1], alone[:, 1], atol=0.15)
    assert np.all(Gaussianiser.fit(np.full((20, 2), np.nan))(np.full((3, 2), np.nan)) == 0)


@pytest.mark.parametrize("estimator", [Kernel(), Linear(), Boosted(), Forest(trees=50)], ids=str)
def test_levels_are_told_among_nets_with_and_without_a_feature(estimator):
    X, y, _ = halves()
    test, truth, has = halves(seed=1)
    fitted = estimator.fit(X, y)
    right = fitted.predict(test) == truth
    assert right[has].mean() > 0.8
    assert right[~has].mean() > 0.8


def test_what_cannot_take_missing_features_says_so():
    X, y, _ = halves()
    with pytest.raises(ValueError, match="NaN"):
        Raw().fit(X, y)


def test_numbers_are_predicted_with_missing_features():
    X, y, _ = halves()
    assert KernelRidge().fit(X, y).score(*halves(seed=1)[:2]) > 0.5
