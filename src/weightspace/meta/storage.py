"""A model on disk: model.json and arrays.safetensors, read with suspicion.

Nothing is executed. Every shape, bound and number that prediction relies on is checked on
loading, so that a damaged or hostile file raises DataError and cannot crash, hang or mislead.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from weightspace.errors import DataError
from weightspace.features import SHORTEST
from weightspace.meta.discriminant import Discriminant
from weightspace.meta.estimators import Fitted
from weightspace.meta.gaussian import Gaussianiser
from weightspace.meta.kernel import FeatureMap, LinearMap, NystroemMap
from weightspace.meta.raw import Aligned, Scale
from weightspace.meta.reader import FEATURE_NAMES, Ability, Range, Reader, View
from weightspace.meta.registry import CLASSIFIERS
from weightspace.meta.trees import DEEPEST, Forests, Trees

if TYPE_CHECKING:
    from weightspace.meta.model import Model

FORMAT = "weightspace-model"
VERSION = 1
_FILES = ("model.json", "arrays.safetensors")
_REMEDY = "fit the model again, or restore it from a copy"
_MOST_SLICES = 10_000
# Bounds within which no sum or product of prediction leaves the range of float64.
_FLOAT32 = float(np.finfo(np.float32).max)
_MOST_SCORE = 100.0
_MOST_WEIGHT = 1e30
_MOST_GAMMA = 1e30


def save(model: Model, directory: Path) -> Path:
    """Write a model into a folder; the JSON last, so that a half-written model has none."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    readers = []
    for i, reader in enumerate(model.readers):
        kind, own, numbers = _pack(reader.fitted)
        own |= {"range.low": reader.range.low, "range.high": reader.range.high}
        arrays |= {f"{i}.{name}": np.ascontiguousarray(array) for name, array in own.items()}
        readers.append(
            {
                "kind": kind,
                "numbers": numbers,
                "view": _view(reader.view),
                "columns": _columns(reader.view),
                "novelty_limit": reader.range.limit,
                "abilities": [vars(a) | {"levels": list(a.levels)} for a in reader.abilities],
            }
        )
    plain = {"format": FORMAT, "version": VERSION, "facts": model.facts, "readers": readers}
    (directory / _FILES[0]).unlink(missing_ok=True)
    save_file(arrays, directory / _FILES[1])
    text = json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False)
    (directory / _FILES[0]).write_text(text + "\n", encoding="utf-8")
    return directory


def load(directory: Path) -> Model:
    """Read a model from a folder; DataError where it is none, damaged or of a newer format."""
    from weightspace.meta.model import Model

    plain = _json(directory / _FILES[0])
    try:
        arrays = load_file(directory / _FILES[1])
    except FileNotFoundError:
        raise DataError(f"{directory / _FILES[1]}: no such file; {_REMEDY}") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{directory / _FILES[1]}: not safetensors ({error}); {_REMEDY}") from None
    try:
        readers = tuple(_reader(row, _Arrays(arrays, i)) for i, row in enumerate(plain["readers"]))
        _demand(len(readers) > 0, "it has no classifier")
        names = [[a.property for a in reader.abilities] for reader in readers]
        _demand(all(own == names[0] for own in names), "its classifiers differ in properties")
        facts = plain["facts"]
        _demand(isinstance(facts, dict), "its facts are no mapping")
    except (_Unsound, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(f"{directory}: no sound model ({error}); {_REMEDY}") from None
    return Model(readers, facts)


class _Unsound(Exception):
    """What the files say cannot be a model."""


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Unsound(otherwise)


def _json(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; give the folder of a fitted model") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not readable as JSON ({error}); {_REMEDY}") from None
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        raise DataError(f"{path}: describes no model of weightspace; give the folder of one")
    if plain.get("version") != VERSION:
        raise DataError(
            f"{path}: is of format version {plain.get('version')!r}, this release reads {VERSION}; "
            "fit the model again or use the release that wrote it"
        )
    return plain


def _view(view: View) -> dict[str, Any]:
    """Its fields, those on an alignment only where it has one."""
    plain = dict(vars(view))
    if not view.values:
        del plain["alignment"], plain["values"]
    return plain


def _columns(view: View) -> str:
    """What names the columns that a classifier was fitted on; other columns, other meaning."""
    if view.features == "weights":
        return view.alignment
    names = "\n".join(FEATURE_NAMES[view.features])
    return hashlib.blake2b(names.encode(), digest_size=8).hexdigest()


class _Arrays:
    """The arrays of one reader, handed out only in the shape and type that was asked for."""

    def __init__(self, arrays: dict[str, np.ndarray], reader: int) -> None:
        self._arrays, self._prefix = arrays, f"{reader}."

    def get(
        self, name: str, *shape: int | None, kind: str = "float64", most: float = _FLOAT32
    ) -> np.ndarray:
        _demand(self._prefix + name in self._arrays, f"array {name} is missing")
        array = self._arrays[self._prefix + name]
        _demand(array.dtype == kind, f"array {name} is {array.dtype}, not {kind}")
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        _demand(fits and array.size > 0, f"array {name} has the shape {list(array.shape)}")
        _demand(bool(np.isfinite(array).all()), f"array {name} is not finite")
        _demand(bool((abs(array) <= most).all()), f"array {name} holds values beyond {most:g}")
        return array


def _number(value: Any, low: float, high: float, what: str) -> float:
    _demand(isinstance(value, int | float) and not isinstance(value, bool), f"{what} is no number")
    _demand(math.isfinite(value) and low <= value <= high, f"{what} is {value!r}")
    return float(value)


def _reader(row: dict[str, Any], arrays: _Arrays) -> Reader:
    view = View(**row["view"])
    _demand(view.classifier in CLASSIFIERS, f"classifier {view.classifier!r} is unknown")
    for what, value, low, high in (
        ("slice_length", view.slice_length, SHORTEST, 2**40),
        ("slices", view.slices, 1, _MOST_SLICES),
    ):
        _demand(type(value) is int, f"{what} is no whole number")
        _number(value, low, high, what)
    _demand(view.part in ("all", "conv", "fc"), f"part {view.part!r} is unknown")
    _demand(type(view.running_stats) is bool, "running_stats is neither true nor false")
    _demand(view.features in (*FEATURE_NAMES, "weights"), f"no model can hold {view.classifier}")
    _demand(type(view.alignment) is str and type(view.values) is int, "its alignment is none")
    _demand((view.values > 0) == (view.features == "weights"), f"values are {view.values}")
    _demand(
        row["columns"] == _columns(view),
        f"it was fitted on other {view.features} features than this release computes",
    )
    abilities = tuple(_ability(ability) for ability in row["abilities"])
    _demand(len(abilities) > 0, "it reads no property")
    _demand(len({a.property for a in abilities}) == len(abilities), "a property stands twice")
    columns = view.values or len(FEATURE_NAMES[view.features])
    levels = tuple(len(ability.levels) for ability in abilities)
    fitted = _unpack(row["kind"], row["numbers"], arrays, columns, levels)
    limit = _number(row["novelty_limit"], 0, 1, "novelty_limit")
    bounds = (arrays.get("range.low", columns), arrays.get("range.high", columns))
    return Reader(view, fitted, abilities, Range(*bounds, limit))


def _ability(row: dict[str, Any]) -> Ability:
    name, levels = row["property"], row["levels"]
    _demand(isinstance(name, str) and bool(name), "a property has no name")
    _demand(name.isprintable(), f"the property {name!r} is not printable")
    _demand(
        isinstance(levels, list) and len(levels) > 1 and all(isinstance(v, str) for v in levels),
        f"{name} has no levels",
    )
    _demand(len(set(levels)) == len(levels), f"a level of {name} stands twice")
    _demand(all(level.isprintable() for level in levels), f"a level of {name} is not printable")
    shares = {
        k: _number(row[k], 0, 1, f"{name} {k}") for k in ("accuracy", "low", "high", "chance")
    }
    return Ability(
        property=name,
        levels=tuple(levels),
        temperature=_number(row["temperature"], 1e-3, 1e3, f"{name} temperature"),
        **shares,
    )


def _pack(fitted: Fitted) -> tuple[str, dict[str, np.ndarray], dict[str, float]]:
    """Kind, arrays and numbers of fitted classifiers."""
    if isinstance(fitted, Forests):
        return (
            "forests",
            {
                f"forest{j}.{name}": array
                for j, trees in enumerate(fitted.forests)
                for name, array in vars(trees).items()
            },
            {},
        )
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


def _unpack(
    kind: str, numbers: dict[str, Any], arrays: _Arrays, columns: int, levels: tuple[int, ...]
) -> Fitted:
    if kind == "forests":
        return Forests(
            tuple(_trees(arrays, j, columns, count) for j, count in enumerate(levels)), levels
        )
    if kind == "aligned":
        return _aligned(arrays, columns, levels)
    _demand(kind in ("linear", "kernel"), f"kind {kind!r} is unknown")
    knots = arrays.get("knots", columns, None)
    _demand(bool((np.diff(knots, axis=1) >= 0).all()), "knots are not ascending")
    gaussianiser = Gaussianiser(knots, arrays.get("scores", *knots.shape, most=_MOST_SCORE))
    mapped: FeatureMap
    if kind == "linear":
        width, mapped = columns, LinearMap(gaussianiser)
    else:
        landmarks = arrays.get("landmarks", None, columns, most=_MOST_SCORE)
        gamma = _number(numbers["gamma"], 0, _MOST_GAMMA, "gamma")
        width, mapped = len(landmarks), NystroemMap(gaussianiser, landmarks, gamma)
    weights = arrays.get("weights", width, sum(levels), most=_MOST_WEIGHT)
    offsets = arrays.get("offsets", sum(levels), most=_MOST_WEIGHT)
    return Discriminant(mapped, weights, offsets, levels)


def _aligned(arrays: _Arrays, columns: int, levels: tuple[int, ...]) -> Aligned:
    inverse = arrays.get("inverse", None, columns, most=_MOST_WEIGHT)
    kinds = len(inverse)
    _demand(kinds in (1, 2), f"each weight is looked at in {kinds} ways")
    _demand(bool((inverse >= 0).all()), "a weight has a negative deviation")
    return Aligned(
        Scale(arrays.get("centre", kinds, columns), inverse),
        arrays.get("weights", kinds, columns, sum(levels), kind="float32", most=_MOST_WEIGHT),
        arrays.get("offsets", sum(levels), most=_MOST_WEIGHT),
        levels,
    )


def _trees(arrays: _Arrays, forest: int, columns: int, levels: int) -> Trees:
    name = f"forest{forest}."
    left = arrays.get(f"{name}left", None, kind="int32")
    nodes = len(left)
    trees = Trees(
        left,
        arrays.get(f"{name}right", nodes, kind="int32"),
        arrays.get(f"{name}feature", nodes, kind="int32"),
        arrays.get(f"{name}threshold", nodes, kind="float32"),
        arrays.get(f"{name}leaves", nodes, levels, kind="float32"),
        arrays.get(f"{name}roots", None, kind="int32"),
    )
    own = np.arange(nodes)
    leaf = (trees.left == own) & (trees.right == own)
    inner = (trees.left > own) & (trees.right > own)
    within = (trees.left < nodes) & (trees.right < nodes)
    _demand(bool(((leaf | inner) & within).all()), "a tree's node leads back or out")
    _demand(bool(((trees.feature >= 0) & (trees.feature < columns)).all()), "a tree asks for more")
    _demand(bool(((trees.roots >= 0) & (trees.roots < nodes)).all()), "a tree has no root")
    _demand(bool(((trees.leaves >= 0) & (trees.leaves <= 1)).all()), "a leaf holds no probability")
    _demand(len(np.unique(trees.roots)) == len(trees.roots), "a tree stands twice")
    front = trees.roots
    for _ in range(DEEPEST):
        front = front[~leaf[front]]
        if not len(front):
            break
        front = np.unique(np.concatenate([trees.left[front], trees.right[front]]))
    _demand(bool(leaf[front].all()) if len(front) else True, f"a tree is deeper than {DEEPEST}")
    return trees
