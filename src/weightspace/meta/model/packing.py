"""Fitted classifiers as arrays and numbers, and back, with checks.

Everything that prediction relies on is checked here. `Unsound` is raised for arrays with which
prediction would crash, hang or overflow. To store another type, add an entry to `KINDS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.errors import UsageError
from weightspace.learners.boosting import Boostings
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.estimators import Fitted
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import FeatureMap, LinearMap, NystroemMap
from weightspace.learners.raw import Aligned, Scale
from weightspace.learners.together import AllFitted
from weightspace.learners.trees import DEEPEST, Forests, Trees

# Within these bounds no sum or product in prediction overflows float64.
_FLOAT32 = float(np.finfo(np.float32).max)
_MOST_SCORE = 100.0
_MOST_WEIGHT = 1e30
_MOST_GAMMA = 1e30

Packed = tuple[dict[str, np.ndarray], dict[str, float]]
"""The arrays and the numbers of something fitted."""


class Unsound(Exception):
    """The content of the files is no valid model."""


def demand(holds: bool, otherwise: str) -> None:
    """Raise `Unsound` with the text `otherwise` unless `holds` is true."""
    if not holds:
        raise Unsound(otherwise)


class Arrays:
    """The arrays of one reader; each is returned only if it has the requested shape and type."""

    def __init__(self, arrays: dict[str, np.ndarray], place: str) -> None:
        self._arrays, self._prefix = arrays, f"{place}."

    def within(self, place: int) -> Arrays:
        """The arrays of one of several classifiers that answer together."""
        return Arrays(self._arrays, f"{self._prefix}{place}")

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


@dataclass(frozen=True)
class Kind:
    """One kind of fitted classifiers that a model file can hold.

    Parameters
    ----------
    name : str
        Its name in model.json.
    holds : callable
        Whether something fitted is of this kind.
    pack : callable
        Takes something fitted; returns its arrays and numbers.
    unpack : callable
        Takes the numbers, the arrays, the number of features and the classes of each property;
        returns something fitted. It checks all that prediction relies on.
    """

    name: str
    holds: Callable[[Fitted], bool]
    pack: Callable[[Any], Packed]
    unpack: Callable[[dict[str, Any], Arrays, int, tuple[int, ...]], Fitted]


def pack(classifier: str, fitted: Fitted) -> tuple[str, dict[str, np.ndarray], dict[str, float]]:
    """The kind, the arrays and the numbers of what the classifier of this name has fitted.

    The kind of classifiers that answer together is that of each, joined by +. UsageError if
    `KINDS` has no entry for it.
    """
    if isinstance(fitted, AllFitted):
        names: list[str] = []
        arrays: dict[str, np.ndarray] = {}
        numbers: dict[str, float] = {}
        for j, one in enumerate(fitted.each):
            name, own, said = pack(classifier, one)
            names.append(name)
            arrays |= {f"{j}.{key}": array for key, array in own.items()}
            numbers |= {f"{j}.{key}": value for key, value in said.items()}
        return "+".join(names), arrays, numbers
    kind = next((kind for kind in KINDS if kind.holds(fitted)), None)
    if kind is None:
        raise UsageError(
            f"classifier {classifier}",
            f"no model file can hold its {type(fitted).__name__}",
            "add an entry to KINDS in weightspace/meta/model/packing.py, or fit another classifier",
        )
    return kind.name, *kind.pack(fitted)


def unpack(
    name: str, numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Fitted:
    """Rebuild what `pack` returned, for `columns` features and properties of `levels` classes."""
    if "+" in name:
        return AllFitted(
            tuple(
                unpack(one, _of_part(numbers, j), arrays.within(j), columns, levels)
                for j, one in enumerate(name.split("+"))
            )
        )
    kind = next((kind for kind in KINDS if kind.name == name), None)
    if kind is None:
        raise Unsound(f"kind {name!r} is unknown")
    return kind.unpack(numbers, arrays, columns, levels)


def _of_part(numbers: dict[str, Any], place: int) -> dict[str, Any]:
    start = f"{place}."
    return {k.removeprefix(start): n for k, n in numbers.items() if k.startswith(start)}


def _named(word: str, every: Sequence[Trees]) -> dict[str, np.ndarray]:
    return {
        f"{word}{j}.{name}": array
        for j, trees in enumerate(every)
        for name, array in vars(trees).items()
    }


def _pack_discriminant(fitted: Discriminant) -> Packed:
    mapped: Any = fitted.map
    arrays = {"weights": fitted.weights, "offsets": fitted.offsets}
    arrays |= {"knots": mapped.gaussianiser.knots, "scores": mapped.gaussianiser.scores}
    if isinstance(mapped, LinearMap):
        return arrays, {}
    return arrays | {"landmarks": mapped.landmarks}, {"gamma": mapped.gamma}


def _gaussianiser(arrays: Arrays, columns: int) -> Gaussianiser:
    knots = arrays.get("knots", columns, None)
    demand(bool((np.diff(knots, axis=1) >= 0).all()), "knots are not ascending")
    return Gaussianiser(knots, arrays.get("scores", *knots.shape, most=_MOST_SCORE))


def _linear(
    numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Discriminant:
    return _discriminant(LinearMap(_gaussianiser(arrays, columns)), columns, arrays, levels)


def _kernel(
    numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Discriminant:
    gaussianiser = _gaussianiser(arrays, columns)
    landmarks = arrays.get("landmarks", None, columns, most=_MOST_SCORE)
    gamma = number(numbers["gamma"], 0, _MOST_GAMMA, "gamma")
    mapped = NystroemMap(gaussianiser, landmarks, gamma)
    return _discriminant(mapped, len(landmarks), arrays, levels)


def _discriminant(
    mapped: FeatureMap, width: int, arrays: Arrays, levels: tuple[int, ...]
) -> Discriminant:
    weights = arrays.get("weights", width, sum(levels), most=_MOST_WEIGHT)
    offsets = arrays.get("offsets", sum(levels), most=_MOST_WEIGHT)
    return Discriminant(mapped, weights, offsets, levels)


def _pack_forests(fitted: Forests) -> Packed:
    return _named("forest", fitted.forests), {}


def _forests(
    numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Forests:
    forests = [_trees(arrays, f"forest{j}.", columns, n) for j, n in enumerate(levels)]
    for trees in forests:
        sound = (trees.leaves >= 0) & (trees.leaves <= 1)
        demand(bool(sound.all()), "a leaf holds no probability")
    return Forests(tuple(forests), levels)


def _pack_boostings(fitted: Boostings) -> Packed:
    baselines = {f"boosting{j}.baseline": row for j, row in enumerate(fitted.baselines)}
    return _named("boosting", fitted.trees) | baselines, {}


def _boostings(
    numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Boostings:
    boosted = [_trees(arrays, f"boosting{j}.", columns, n) for j, n in enumerate(levels)]
    starts = [
        arrays.get(f"boosting{j}.baseline", n, most=_MOST_WEIGHT) for j, n in enumerate(levels)
    ]
    return Boostings(tuple(boosted), tuple(starts), levels)


def _pack_aligned(fitted: Aligned) -> Packed:
    arrays = {"centre": fitted.scale.centre, "inverse": fitted.scale.inverse}
    return arrays | {"weights": fitted.weights, "offsets": fitted.offsets}, {}


def _aligned(
    numbers: dict[str, Any], arrays: Arrays, columns: int, levels: tuple[int, ...]
) -> Aligned:
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


def _of(kind: type[Fitted], map_: type[FeatureMap] | None = None) -> Callable[[Fitted], bool]:
    """Whether something fitted is of this type and, if given, has a feature map of that type."""
    return lambda fitted: (
        isinstance(fitted, kind)
        and (map_ is None or isinstance(getattr(fitted, "map", None), map_))
    )


KINDS = (
    Kind("linear", _of(Discriminant, LinearMap), _pack_discriminant, _linear),
    Kind("kernel", _of(Discriminant, NystroemMap), _pack_discriminant, _kernel),
    Kind("forests", _of(Forests), _pack_forests, _forests),
    Kind("boostings", _of(Boostings), _pack_boostings, _boostings),
    Kind("aligned", _of(Aligned), _pack_aligned, _aligned),
)
"""What model files can hold. A name is never removed: files of earlier releases have it."""
