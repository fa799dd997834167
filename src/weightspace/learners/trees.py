"""Decision trees as plain arrays: fitted by scikit-learn, evaluated here; and forests of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from weightspace.arrays import Bool, Float, Float32, Float64, Int, Int32, Shaped
from weightspace.progress import Progress, each, silent

_WALKS = 2**18
"""Walks of a row down a tree that are under way at once: few enough for the processor's cache."""
MISSING = np.float32(-3e38)
"""Stands for a missing number in trees: below all others, so that a split can part it off."""
DEEPEST = 64
"""The deepest tree; a stored tree that is deeper was not written by us."""


def without_missing(features: Float[np.ndarray, "n F"]) -> Float32[np.ndarray, "n F"]:
    """The features with `MISSING` in place of NaN."""
    rows = np.array(features, np.float32, order="C")
    rows[np.isnan(rows)] = MISSING
    return rows


@dataclass(frozen=True)
class Nodes:
    """One tree of scikit-learn, node by node.

    Where no `leaf` is, `left` and `right` are the numbers of later nodes; a row goes left if its
    feature `feature` is at most `threshold`. `values` are the numbers of the leaves.
    """

    leaf: Bool[np.ndarray, " nodes"]
    left: Shaped[np.ndarray, " nodes"]  # of scikit-learn, whose 64 bits NumPy calls long long
    right: Shaped[np.ndarray, " nodes"]
    feature: Shaped[np.ndarray, " nodes"]
    threshold: Float64[np.ndarray, " nodes"]
    values: Float64[np.ndarray, "nodes levels"]


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees of one forest or one boosting, tree after tree.

    `left` and `right` are absolute node numbers, larger than the node's own, or the node itself at
    a leaf. A row goes left if its feature `feature` is at most `threshold`. `leaves` are the values
    of each level in a leaf: probabilities, or what is added to log-odds. `roots` are the first
    nodes of the trees.
    """

    left: Int32[np.ndarray, " nodes"]
    right: Int32[np.ndarray, " nodes"]
    feature: Int32[np.ndarray, " nodes"]
    threshold: Float32[np.ndarray, " nodes"]
    leaves: Float32[np.ndarray, "nodes levels"]
    roots: Int32[np.ndarray, " trees"]

    @classmethod
    def of(cls, forest: ExtraTreesClassifier, levels: int) -> Trees:
        """The arrays of a fitted forest whose classes are numbers below `levels`."""
        parts = []
        for tree in (estimator.tree_ for estimator in forest.estimators_):
            chances = np.zeros((tree.node_count, levels))
            value = tree.value[:, 0, :]
            chances[:, forest.classes_.astype(int)] = value / value.sum(axis=1, keepdims=True)
            leaf = tree.children_left < 0
            parts.append(
                Nodes(
                    leaf,
                    tree.children_left,
                    tree.children_right,
                    tree.feature,
                    tree.threshold,
                    chances,
                )
            )
        return cls.joined(parts)

    @classmethod
    def joined(cls, parts: Sequence[Nodes]) -> Trees:
        """Join single trees."""
        sizes = [len(part.leaf) for part in parts]
        roots = np.cumsum([0, *sizes[:-1]])
        own = np.arange(sum(sizes))
        start = np.repeat(roots, sizes)
        leaf = np.concatenate([part.leaf for part in parts])
        left = start + np.concatenate([part.left for part in parts])
        right = start + np.concatenate([part.right for part in parts])
        feature = np.concatenate([part.feature for part in parts])
        threshold = np.concatenate([part.threshold for part in parts])
        return cls(
            np.where(leaf, own, left).astype(np.int32),
            np.where(leaf, own, right).astype(np.int32),
            np.where(leaf, 0, feature).astype(np.int32),
            _not_above(np.where(leaf, 0.0, threshold)),
            np.concatenate([part.values.astype(np.float32) for part in parts]),
            roots.astype(np.int32),
        )

    def probabilities(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n levels"]:
        """The mean over trees of the leaves' probabilities."""
        return self.sums(features) / len(self.roots)

    def sums(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n levels"]:
        """The sum over trees of the leaves' values."""
        out = np.empty((len(features), self.leaves.shape[1]))
        together = max(1, _WALKS // len(self.roots))
        for start in range(0, len(features), together):
            rows = without_missing(features[start : start + together])
            out[start : start + together] = self._walk(rows)
        return out

    def _walk(self, rows: Float32[np.ndarray, "n F"]) -> Float64[np.ndarray, "n levels"]:
        """Every row walks down every tree at once, one node at a time."""
        count, width = rows.shape
        flat = rows.ravel()
        node = np.tile(self.roots, count)
        first = np.repeat(np.arange(count) * width, len(self.roots))
        active = np.arange(len(node))
        while len(active):
            at = node[active]
            low = flat[first[active] + self.feature[at]] <= self.threshold[at]
            onward = np.where(low, self.left[at], self.right[at])
            node[active] = onward
            # At a leaf, both children are the leaf itself.
            active = active[self.left[onward] != onward]
        reached = self.leaves[node].reshape(count, len(self.roots), -1)
        total: np.ndarray = reached.sum(axis=1, dtype=np.float64)
        return total


@dataclass(frozen=True)
class Forests:
    """One forest for each labeling, over the same features."""

    forests: tuple[Trees, ...]
    levels: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        trees: int,
        leaf: int,
        seed: int,
        progress: Progress = silent,
    ) -> Forests:
        """Fit a forest for each column of `codes`; all classes have the same weight."""
        fitted = []
        labelings = list(zip(codes.T, levels, strict=True))
        for column, count in each(labelings, progress, "growing forests"):
            forest = ExtraTreesClassifier(
                trees,
                min_samples_leaf=leaf,
                class_weight="balanced",
                max_depth=DEEPEST,
                n_jobs=-1,
                random_state=seed,
            ).fit(without_missing(features), column)
            fitted.append(Trees.of(forest, count))
        return cls(tuple(fitted), levels)

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels; no level has probability 0."""
        out = []
        for forest in self.forests:
            chances = forest.probabilities(features)
            # As if one more tree gave all levels the same probability.
            more = len(forest.roots) * chances + 1 / chances.shape[1]
            out.append(np.log(more / (len(forest.roots) + 1)))
        return out


def _not_above(threshold: Float64[np.ndarray, " nodes"]) -> Float32[np.ndarray, " nodes"]:
    """The largest float32 not above each float64 threshold: equal decisions on float32 rows."""
    rounded = threshold.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > threshold, lower, rounded)
