"""Forests as plain arrays: learned by scikit-learn, walked here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

_ROWS = 4096
DEEPEST = 64
"""Levels of a tree at most; a stored tree that is deeper is no tree of ours."""


@dataclass(frozen=True)
class Trees:
    """The nodes of all trees of one forest, one after the other.

    `left`, `right` int32 [nodes] are absolute node numbers, larger than the node's own, or the
    node itself at a leaf; a row goes left where its feature `feature` int32 [nodes] is not above
    `threshold` float32 [nodes]. `leaves` float32 [nodes, levels] are the probabilities at a leaf;
    `roots` int32 [trees] are the trees' first nodes.
    """

    left: np.ndarray
    right: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    leaves: np.ndarray
    roots: np.ndarray

    @classmethod
    def of(cls, forest: ExtraTreesClassifier, levels: int) -> Trees:
        """The arrays of a fitted forest whose classes are numbers below `levels`."""
        parts: list[tuple[np.ndarray, ...]] = []
        roots = []
        offset = 0
        for tree in (estimator.tree_ for estimator in forest.estimators_):
            own = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            chances = np.zeros((tree.node_count, levels), np.float32)
            value = tree.value[:, 0, :]
            chances[:, forest.classes_.astype(int)] = value / value.sum(axis=1, keepdims=True)
            parts.append(
                (
                    np.where(leaf, own, tree.children_left) + offset,
                    np.where(leaf, own, tree.children_right) + offset,
                    np.where(leaf, 0, tree.feature),
                    _not_above(np.where(leaf, 0.0, tree.threshold)),
                    chances,
                )
            )
            roots.append(offset)
            offset += tree.node_count
        left, right, feature, threshold, leaves = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        whole = np.int32
        return cls(
            left.astype(whole),
            right.astype(whole),
            feature.astype(whole),
            threshold,
            leaves,
            np.array(roots, whole),
        )

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Mean over trees of the leaves' probabilities: float64 [n, levels]."""
        out = np.empty((len(features), self.leaves.shape[1]))
        for start in range(0, len(features), _ROWS):
            rows = np.ascontiguousarray(features[start : start + _ROWS], dtype=np.float32)
            out[start : start + _ROWS] = self._walk(rows)
        return out

    def _walk(self, rows: np.ndarray) -> np.ndarray:
        total = np.zeros((len(rows), self.leaves.shape[1]))
        width = rows.shape[1]
        flat = rows.ravel()
        for root in self.roots:
            node = np.full(len(rows), root, np.int64)
            active = np.arange(len(rows))
            while len(active):
                at = node[active]
                low = flat[active * width + self.feature[at]] <= self.threshold[at]
                onward = np.where(low, self.left[at], self.right[at])
                node[active] = onward
                # At a leaf both children are the leaf itself.
                active = active[self.left[onward] != onward]
            total += self.leaves[node]
        return total / len(self.roots)


@dataclass(frozen=True)
class Forests:
    """One forest a labeling, over the same features."""

    forests: tuple[Trees, ...]
    levels: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        features: np.ndarray,
        codes: np.ndarray,
        levels: tuple[int, ...],
        trees: int,
        leaf: int,
        seed: int,
    ) -> Forests:
        """Grow a forest for each column of `codes` int [n, q]; classes weigh alike."""
        fitted = []
        for column, count in zip(codes.T, levels, strict=True):
            forest = ExtraTreesClassifier(
                trees,
                min_samples_leaf=leaf,
                class_weight="balanced",
                max_depth=DEEPEST,
                n_jobs=-1,
                random_state=seed,
            ).fit(np.asarray(features, np.float32), column)
            fitted.append(Trees.of(forest, count))
        return cls(tuple(fitted), levels)

    def log_probabilities(self, features: np.ndarray) -> list[np.ndarray]:
        """Per labeling, float64 [n, levels]; no level is ever held impossible."""
        out = []
        for forest in self.forests:
            chances = forest.probabilities(features)
            # As if one more tree had spread its vote evenly.
            more = len(forest.roots) * chances + 1 / chances.shape[1]
            out.append(np.log(more / (len(forest.roots) + 1)))
        return out


def _not_above(threshold: np.ndarray) -> np.ndarray:
    """The largest float32 not above each float64 threshold: equal decisions on float32 rows."""
    rounded = threshold.astype(np.float32)
    lower = np.nextafter(rounded, np.float32(-np.inf))
    return np.where(rounded.astype(np.float64) > threshold, lower, rounded)
