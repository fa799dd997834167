"""Fitted classifiers as arrays and numbers, and back, with checks.

Everything that prediction relies on is checked here. `Unsound` is raised for arrays with which
prediction would crash, hang or overflow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from weightspace.learners.boosting import Boostings
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.estimators import Fitted
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import FeatureMap, LinearMap, NystroemMap
from weightspace.learners.raw import Aligned, Scale
from weightspace.learners.trees import DEEPEST, Forests, Trees

# Within these bounds no sum or product in prediction overflows float64.
_FLOAT32 = float(np.finfo(np.float32).max)
_MOST_SCORE = 100.0
_MOST_WEIGHT = 1e30
_MOST_GAMMA = 1e30


class Unsound(Exception):
    """The content of the files is no valid model."""


def demand(holds: bool, otherwise: str) -> None:
    """Raise `Unsound` with the text `otherwise` unless `holds` is true."""
    if not holds:
        raise Unsound(otherwise)


class Arrays:
    """The arrays of one reader; each is returned only if it has the requested shape and type."""

    def __init__(self, arrays: dict[str, np.ndarray], reader: int) -> None:
        self._arrays, self._prefix = arrays, f"{reader}."

    def get(
        self, name: str, *shape: int | None, kind: str = "float64", most: float = _FLOAT32
    ) -> np.ndarray:
        """The array, finite and within `most`; None in `shape` stands for any length from 1."""
        demand(self._prefix + name in self._arrays, f"array {name} is missing")
        array = self._arrays[self._prefix + name]
        demand(array.dtype == kind, f"array {name} is {array.dtype}, not {kind}")
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        demand(fits and array.size > 0, f"array {name} has the shape {list(array.shape)}")
        demand(bool(np.isfinite(array).all()), f"array {name} is not finite")
        demand(bool((abs(array) <= most).all()), f"array {name} holds values beyond {most:g}")
        return array


def number(value: Any, low: float, high: float, what: str) -> float:
    """The value as a float; `Unsound`, naming `what`, if it is no number from `low` to `high`."""
    demand(isinstance(value, int | float) and not isinstance(value, bool), f"{what} is no number")
    demand(math.isfinite(value) and low <= value <= high, f"{what} is {value!r}")
    return float(value)


def pack(fitted: Fitted) -> tuple[str, dict[str, np.ndarray], dict[str, float]]:
    """The kind, the arrays and the numbers of fitted classifiers."""
    if isinstance(fitted, Forests):
        return "forests", _named("forest", fitted.forests), {}
    if isinstance(fitted, Boostings):
        baselines = {f"boosting{j}.baseline": row for j, row in enumerate(fitted.baselines)}
        return "boostings", _named("boosting", fitted.trees) | baselines, {}
    if isinstance(fitted, Aligned):
        arrays = {"centre": fitted.scale.centre, "inverse": fitted.scale.inverse}
        return "aligned", arrays | {"weights": fitted.weights, "offsets": fitted.offsets}, {}
    assert isinstance(fitted, Discriminant)
    arrays = {"weights": fitted.weights, "offsets": fitted.offsets}
    kind = fitted.map
    assert isinstance(kind, LinearMap | NystroemMap)
    arrays |= {"knots": kind.gaussianiser.knots, "scores": kind.gaussianiser.scores}
    if isinstance(kind, LinearMap):
        return "linear", arrays, {}
    return "kernel", arrays | {"landmarks": kind.landmarks}, {"gamma": kind.gamma}


def _named(word: str, every: Sequence[Trees]) -> dict[str, np.ndarray]:
    return {
        f"{word}{j}.{name}": array
        for j, trees in enumerate(every)
        for name, array in vars(trees).items()
    }


def unpack(
    kind: str, numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Fitted:
    """Rebuild what `pack` returned, for `columns` features and properties of `levels` classes."""
    if kind == "forests":
        forests = [_trees(arrays, f"forest{j}.", columns, n) for j, n in enumerate(levels)]
        for trees in forests:
            sound = (trees.leaves >= 0) & (trees.leaves <= 1)
            demand(bool(sound.all()), "a leaf holds no probability")
        return Forests(tuple(forests), levels)
    if kind == "boostings":
        boosted = [_trees(arrays, f"boosting{j}.", columns, n) for j, n in enumerate(levels)]
        starts = [
            arrays.get(f"boosting{j}.baseline", n, most=_MOST_WEIGHT) for j, n in enumerate(levels)
        ]
        return Boostings(tuple(boosted), tuple(starts), levels)
    if kind == "aligned":
        return _aligned(arrays, columns, levels)
    return _discriminant(kind, numbers, arrays, columns, levels)


def _discriminant(
    kind: str, numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Discriminant:
    demand(kind in ("linear", "kernel"), f"kind {kind!r} is unknown")
    knots = arrays.get("knots", columns, None)
    demand(bool((np.diff(knots, axis=1) >= 0).all()), "knots are not ascending")
    gaussianiser = Gaussianiser(knots, arrays.get("scores", *knots.shape, most=_MOST_SCORE))
    mapped: FeatureMap
    if kind == "linear":
        width, mapped = columns, LinearMap(gaussianiser)
    else:
        landmarks = arrays.get("landmarks", None, columns, most=_MOST_SCORE)
        gamma = number(numbers["gamma"], 0, _MOST_GAMMA, "gamma")
        width, mapped = len(landmarks), NystroemMap(gaussianiser, landmarks, gamma)
    weights = arrays.get("weights", width, sum(levels), most=_MOST_WEIGHT)
    offsets = arrays.get("offsets", sum(levels), most=_MOST_WEIGHT)
    return Discriminant(mapped, weights, offsets, levels)


def _aligned(arrays: Arrays, columns: int, levels: tuple[int, ...]) -> Aligned:
    inverse = arrays.get("inverse", None, columns, most=_MOST_WEIGHT)
    kinds = len(inverse)
    demand(kinds in (1, 2), f"each weight is read in {kinds} ways")
    demand(bool((inverse >= 0).all()), "a weight has a negative deviation")
    return Aligned(
        Scale(arrays.get("centre", kinds, columns), inverse),
        arrays.get("weights", kinds, columns, sum(levels), kind="float32", most=_MOST_WEIGHT),
        arrays.get("offsets", sum(levels), most=_MOST_WEIGHT),
        levels,
    )


def _trees(arrays: Arrays, name: str, columns: int, levels: int) -> Trees:
    left = arrays.get(f"{name}left", None, kind="int32")
    nodes = len(left)
    trees = Trees(
        left,
        arrays.get(f"{name}right", nodes, kind="int32"),
        arrays.get(f"{name}feature", nodes, kind="int32"),
        arrays.get(f"{name}threshold", nodes, kind="float32"),
        arrays.get(f"{name}leaves", nodes, levels, kind="float32", most=_MOST_WEIGHT),
        arrays.get(f"{name}roots", None, kind="int32"),
    )
    own = np.arange(nodes)
    leaf = (trees.left == own) & (trees.right == own)
    inner = (trees.left > own) & (trees.right > own)
    within = (trees.left < nodes) & (trees.right < nodes)
    demand(bool(((leaf | inner) & within).all()), "a tree's node leads back or out of the tree")
    features = bool(((trees.feature >= 0) & (trees.feature < columns)).all())
    demand(features, "a tree reads a feature that does not exist")
    demand(bool(((trees.roots >= 0) & (trees.roots < nodes)).all()), "a tree has no root")
    demand(len(np.unique(trees.roots)) == len(trees.roots), "a tree occurs twice")
    front = trees.roots
    for _ in range(DEEPEST):
        front = front[~leaf[front]]
        if not len(front):
            break
        front = np.unique(np.concatenate([trees.left[front], trees.right[front]]))
    demand(bool(leaf[front].all()) if len(front) else True, f"a tree is deeper than {DEEPEST}")
    return trees
