"""Gradient-boosted trees as plain arrays: fitted by scikit-learn, evaluated like forests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from weightspace.arrays import Float, Float64, Int, Shaped
from weightspace.learners.binning import Bins
from weightspace.learners.columns import NEVER
from weightspace.learners.trees import DEEPEST, Nodes, Trees, without_missing
from weightspace.progress import Progress, each, silent

_BINS = 63
"""Bins in a feature's histogram: a quarter of the default, in a quarter of the time."""


@dataclass(frozen=True)
class Boostings:
    """The boosted trees of several labelings over the same features.

    The log-odds of a labeling are its baseline plus the sum over its trees of
    the values in the leaves that a row reaches.
    """

    trees: tuple[Trees, ...]
    baselines: tuple[Float64[np.ndarray, " _"], ...]
    levels: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        *,
        rounds: int,
        rate: float,
        leaves: int,
        leaf: int,
        progress: Progress = silent,
    ) -> Boostings:
        """Boost trees for each column of `codes`; all classes have the same weight.

        All rows are used in all rounds. scikit-learn's early stopping would validate on slices of
        nets whose other slices are training rows. Features are binned here, once for all columns:
        with weights of rows, scikit-learn takes most of its time to find bins, for each column.
        """
        trees, baselines = [], []
        rows = without_missing(features)
        bins = Bins.of(rows, _BINS)
        rows = bins.numbers(rows)
        labelings = list(zip(codes.T, levels, strict=True))
        for column, count in each(labelings, progress, "boosting"):
            made = HistGradientBoostingClassifier(
                learning_rate=rate,
                max_iter=rounds,
                max_leaf_nodes=leaves,
                max_depth=DEEPEST,
                min_samples_leaf=leaf,
                max_bins=_BINS,
                early_stopping=False,
                class_weight="balanced",
                random_state=0,
            )
            # Folds are fitted in parallel, one on each core, so more threads would slow them down.
            with threadpool_limits(1, "openmp"):
                made.fit(rows, column)
            trees.append(_trees(made, count, bins))
            baselines.append(_baseline(made, count))
        return cls(tuple(trees), tuple(baselines), levels)

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""
        return [
            log_softmax(baseline + trees.sums(features), axis=1)
            for trees, baseline in zip(self.trees, self.baselines, strict=True)
        ]


def _columns(
    made: HistGradientBoostingClassifier, count: int
) -> Float64[np.ndarray, "trees_of_a_round {count}"]:
    """What a tree's value adds to each level's log-odds."""
    every: NDArray[np.float64] = np.eye(count)[made.classes_]
    if len(every) == 2:  # one tree in each round: the second class against the first
        return (every[1:] - every[:1]) / 2
    return every


def _baseline(made: HistGradientBoostingClassifier, count: int) -> Float64[np.ndarray, " {count}"]:
    absent = ~np.isin(np.arange(count), made.classes_)
    start: np.ndarray = made._baseline_prediction[0] @ _columns(made, count)
    return np.where(absent, NEVER, start)


def _trees(made: HistGradientBoostingClassifier, count: int, bins: Bins) -> Trees:
    columns = _columns(made, count)
    return Trees.joined(
        [
            _nodes(tree.nodes, column, bins)
            for trees in made._predictors
            for tree, column in zip(trees, columns, strict=True)
        ]
    )


def _nodes(found: Shaped[np.ndarray, " nodes"], column: NDArray[np.float64], bins: Bins) -> Nodes:
    leaf = found["is_leaf"] != 0
    threshold = np.zeros(len(found))
    threshold[~leaf] = bins.thresholds(found["feature_idx"][~leaf], found["num_threshold"][~leaf])
    return Nodes(
        leaf,
        found["left"].astype(np.int64),
        found["right"].astype(np.int64),
        found["feature_idx"],
        threshold,
        found["value"][:, None] * column,
    )
