"""What carries a property: groups of features, and accuracy from altered slices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from weightspace.dissection.part import Part, ranked
from weightspace.dissection.reader import Outcomes, Reader
from weightspace.meta import CLASSIFIERS
from weightspace.meta.design.folds import each_fold
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.evaluation.crossfit import right_answers
from weightspace.meta.model.reader import FEATURE_NAMES
from weightspace.progress import Progress

Values = NDArray[np.float32]

WHAT_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "kind": pl.String,
    "name": pl.String,
    "features": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "drop": pl.Float64,
    "drop_low": pl.Float64,
    "drop_high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}


class What(Part):
    """Which features carry a property.

    Parameters
    ----------
    table : DataFrame
        A row for each property, `kind` and `name`, with columns `WHAT_COLUMNS`. For the kinds
        "slice" and "net", `name` is a group of features of slices or of whole nets; `accuracy` is
        that of a classifier of this group alone; `drop` is the loss of a classifier of all groups
        when this group is swapped between test nets. For the kind "tampering", `name` says how
        slices were altered; `accuracy` is that on altered slices, `drop` the loss. Intervals of
        losses are paired over nets.
    """

    NAME = "what"
    COLUMNS = WHAT_COLUMNS


_SWAPS = 3

_SLICES = (
    (r"block|window", "change along the slice"),
    (r".*_q[\d.]+$", "quantiles"),
    (
        r"log_scale"
        r"|(weight|tamed|size|difference)_(mean|variance|spread|log_spread|skewness|kurtosis)",
        "moments",
    ),
    (r"near_|positive|sign_changes|repeated", "special values"),
    (r"correlation|fold", "correlation of neighbours"),
    (r"envelope", "correlation of sizes"),
    (r"power", "spectrum"),
)
_PLACES = r"(conv|fc)_(first|rest|last)_(weight|bias|shift|scale|running_mean|running_var)"
_OTHER_GROUPS = {
    "slope": "change over the depth",
    "inputs": "statistics of the inputs",
    "has": "which tensors there are",
}
_ROLES = {
    "weight": "weights",
    "bias": "biases",
    "shift": "norm",
    "scale": "norm",
    "running_mean": "running statistics",
    "running_var": "running statistics",
}


def group_of(name: str, features: str) -> str:
    """The group of a feature: what it measures in a slice, or which tensors of a net it reads."""
    if features == "layers":
        found = re.match(_PLACES, name)
        if not found:
            return _OTHER_GROUPS.get(name.partition("_")[0], name.partition("_")[0])
        part, place, role = found.groups()
        return f"{'middle' if place == 'rest' else place} {part}, {_ROLES[role]}"
    if features == "pooled":
        name = name.partition("_")[2]  # without how it is summed up over slices
    fitting = (group for pattern, group in _SLICES if re.match(pattern, name))
    return next(fitting, name.split("_")[0])


def _shuffled(values: Values, rng: np.random.Generator) -> Values:
    return rng.permuted(values, axis=1)


def _signs(values: Values, rng: np.random.Generator) -> Values:
    return np.sign(values)


def _unscaled(values: Values, rng: np.random.Generator) -> Values:
    spread = values.std(axis=1, keepdims=True)
    scale: Values = np.where(spread > 0, spread, np.float32(1))
    return values / scale


def _ranks(values: Values, rng: np.random.Generator) -> Values:
    order = values.argsort(axis=1, kind="stable").argsort(axis=1)
    ranks: np.ndarray = order / values.shape[1] - 0.5
    return ranks.astype(np.float32)


def _half(values: Values, rng: np.random.Generator) -> Values:
    out = values.copy()
    out[:, values.shape[1] // 2 :] = 0
    return out


TAMPERINGS: dict[str, Callable[[Values, np.random.Generator], Values]] = {
    "as it is": lambda values, rng: values,
    "shuffled": _shuffled,
    "scale removed": _unscaled,
    "ranks only": _ranks,
    "signs only": _signs,
    "second half hidden": _half,
}
"""How slices, float32 [n, L], are altered before their features are computed. The alterations
remove the order, the scale, the distribution (ranks keep the order of sizes), everything but signs,
and the second half."""


def what(reader: Reader, length: int, per_net: int, progress: Progress) -> What:
    """Test the importance of groups of features, and altered slices, at the last snapshot.

    For each group of features of the slice classifier ("slice") and of `layers` ("net"),
    `accuracy` is that of a classifier trained on the group alone. `drop` is the fall in accuracy of
    a classifier trained on all groups when the group is swapped between test nets: all rows of a
    net get the group's features of another net; the mean of three swaps is taken. Features overlap,
    so a group with a small drop may still encode the property. For "tampering", classifiers are
    trained and tested on altered slices.
    """
    rows: list[dict[str, Any]] = []
    read = SLICE_FEATURES[CLASSIFIERS[reader.classifier].features]
    tampered, owners = random_slices(
        reader.zoo,
        reader.labels.nets,
        {name: partial(_tampered, read, name, reader.seed) for name in TAMPERINGS},
        Source(length),
        per_net=per_net,
        seed=reader.seed,
        progress=progress,
    )
    whole = tampered["as it is"]
    untouched: np.ndarray | None = None
    for done, (name, features) in enumerate(tampered.items()):
        progress("tampering", done, len(tampered))
        found = _outcomes(reader, reader.classifier, features, owners)
        untouched = found.true_hits if untouched is None else untouched
        about: dict[str, Any] = {"kind": "tampering", "name": name, "features": features.shape[1]}
        rows += _rows(reader, found, untouched - found.true_hits, about)
    progress("tampering", len(tampered), len(tampered))
    rows += _groups(reader, "slice", reader.classifier, whole, owners, progress)
    layers, nets = net_rows(reader.zoo, reader.labels.nets, Source(length), progress)
    rows += _groups(reader, "net", "layers", layers, nets, progress)
    return What(ranked(rows, WHAT_COLUMNS, reader.labels.properties))


def _tampered(
    read: Callable[[np.ndarray], np.ndarray], name: str, seed: int, values: np.ndarray
) -> np.ndarray:
    return read(TAMPERINGS[name](values, np.random.default_rng([seed, 0x7A3])))


def _outcomes(
    reader: Reader, classifier: str, features: np.ndarray, owners: np.ndarray
) -> Outcomes:
    """Cross-fit a classifier on these features."""
    permutations = reader.study.permutations if CLASSIFIERS[classifier].controlled else 0
    return reader.hits(classifier, features, owners, reader.study.cells, permutations)


def _rows(
    reader: Reader, found: Outcomes, lost: np.ndarray, about: dict[str, Any]
) -> list[dict[str, Any]]:
    """A row for each property with its loss; `lost` is float64 [net, property]."""
    return [
        {"property": name} | found.score(i) | about | found.loss(i, lost[:, i])
        for i, name in enumerate(reader.labels.properties)
    ]


def _groups(
    reader: Reader,
    kind: str,
    classifier: str,
    features: np.ndarray,
    owners: np.ndarray,
    progress: Progress,
) -> list[dict[str, Any]]:
    """The rows of every group of features of a classifier."""
    source = CLASSIFIERS[classifier].features
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(FEATURE_NAMES[source]):
        groups.setdefault(group_of(name, source), []).append(column)
    groups = {name: c for name, c in groups.items() if _vary(features[:, c])}
    lost = _lost(reader, classifier, features, owners, list(groups.values()))
    rows = []
    for done, (name, columns) in enumerate(groups.items()):
        progress(f"groups of features ({kind})", done, len(groups))
        found = _outcomes(reader, classifier, features[:, columns], owners)
        about: dict[str, Any] = {"kind": kind, "name": name, "features": len(columns)}
        rows += _rows(reader, found, lost[done], about)
    progress(f"groups of features ({kind})", len(groups), len(groups))
    return rows


def _vary(features: np.ndarray) -> bool:
    """Whether nets differ in any of these features; a missing one differs from any number."""
    missing = np.isnan(features)
    known = np.where(missing, np.float32(0), features)
    partly = missing.any(axis=0) & ~missing.all(axis=0)
    return bool(partly.any() or np.ptp(known, axis=0).any())


def _lost(
    reader: Reader,
    classifier: str,
    features: np.ndarray,
    owners: np.ndarray,
    groups: Sequence[Sequence[int]],
) -> np.ndarray:
    """The loss of right predictions when a group is swapped: float64 [groups, N, properties]."""
    labels = reader.labels
    codes = labels.matrix
    fold = reader.study.cells.fold_of(reader.seed)
    levels = tuple(map(len, labels.levels.values()))
    lost = np.zeros((len(groups), *codes.shape))
    estimator = CLASSIFIERS[classifier].estimator(reader.seed)

    def predict_fold(part: int, nets: np.ndarray) -> None:
        tested = fold[owners] == part
        trained = owners[~tested]
        fitted = estimator.fit_labelings(features[~tested], codes[trained], levels, trained)

        def right(rows: np.ndarray) -> np.ndarray:
            return right_answers(fitted.log_probabilities(rows), codes, owners[tested], nets)

        rows = features[tested]
        whole = right(rows)
        sources = list(_others(owners[tested], np.random.default_rng([reader.seed, part, 0x5A4])))
        for place, columns in enumerate(groups):
            for source_rows in sources:
                swapped = rows.copy()
                swapped[:, columns] = rows[source_rows][:, columns]
                lost[place, nets] += (whole - right(swapped)) / len(sources)

    each_fold(fold, labels.groups, predict_fold)
    return lost


def _others(owners: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield `_SWAPS` arrays int [n] that map each row to a row of another net.

    All rows of a net are mapped to rows of one other net. `owners` int [n] are the nets of the
    rows. Nets are arranged in a random ring. Each is mapped to its predecessor, then to the second
    and the third net before it, so that the other net differs each time.
    """
    _, owner, sizes = np.unique(owners, return_inverse=True, return_counts=True)
    by_net = np.argsort(owner, kind="stable")
    first = np.cumsum(sizes) - sizes
    turn = np.empty(len(owners), np.int64)
    turn[by_net] = np.arange(len(owners)) - np.repeat(first, sizes)
    ring = rng.permutation(len(sizes))
    for shift in range(1, 1 + _SWAPS):
        before = np.empty(len(sizes), np.int64)
        before[ring] = np.roll(ring, shift)
        other = before[owner]
        yield by_net[first[other] + turn % sizes[other]]
