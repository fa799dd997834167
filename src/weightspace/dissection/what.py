"""What carries a property: groups of features, and what is left when slices are tampered with."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from weightspace.dissection.reader import Reader, ranked
from weightspace.dissection.result import WHAT_COLUMNS, What
from weightspace.meta import CLASSIFIERS
from weightspace.meta.crossfit import crossfit, right_answers
from weightspace.meta.folds import Cells, each_fold
from weightspace.meta.layerrows import net_rows
from weightspace.meta.pairs import difference_interval
from weightspace.meta.reader import FEATURE_NAMES
from weightspace.meta.slices import SLICE_FEATURES, Source, random_slices
from weightspace.progress import Progress

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
_ROLES = {
    "weight": "weights",
    "bias": "biases",
    "shift": "norm",
    "scale": "norm",
    "running_mean": "running statistics",
    "running_var": "running statistics",
}


def group_of(name: str, features: str) -> str:
    """The group of a feature: what it measures in a slice, or which tensors of a net it is of."""
    if features == "layers":
        found = re.match(_PLACES, name)
        if not found:
            return "change over the depth" if name.startswith("slope") else name.split("_")[0]
        part, place, role = found.groups()
        return f"{'middle' if place == 'rest' else place} {part}, {_ROLES[role]}"
    fitting = (group for pattern, group in _SLICES if re.match(pattern, name))
    return next(fitting, name.split("_")[0])


def _shuffled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permuted(values, axis=1)


def _signs(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sign(values)


def _unscaled(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    spread = values.std(axis=1, keepdims=True)
    return values / np.where(spread > 0, spread, np.float32(1))


def _ranks(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = values.argsort(axis=1, kind="stable").argsort(axis=1)
    return (order / values.shape[1] - 0.5).astype(np.float32)


def _half(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = values.copy()
    out[:, values.shape[1] // 2 :] = 0
    return out


TAMPERINGS: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "as it is": lambda values, rng: values,
    "shuffled": _shuffled,
    "scale removed": _unscaled,
    "ranks only": _ranks,
    "signs only": _signs,
    "second half hidden": _half,
}
"""What is done to a slice, float32 [n, L], before its features are taken: without its order, its
scale, its distribution (ranks keep the order, and which value is larger), all but signs, half."""


def what(reader: Reader, length: int, per_net: int, progress: Progress) -> What:
    """Importance of groups of features, and accuracy after tampering, at the last snapshot.

    Of each group of features of the slice classifier ("slice") and of `layers` ("net"): `accuracy`
    of a classifier that learned from the group alone; `drop`, by how much the accuracy of one that
    learned from all falls when, at the test, the group is swapped between nets. Features overlap,
    so a small drop does not say that a group knows nothing. Then ("tampering") the accuracy of
    classifiers that learned from and are tested on slices that were tampered with, and the drop.
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
    untouched: list[dict[str, Any]] = []
    for done, (name, features) in enumerate(tampered.items()):
        progress("tampering", done, len(tampered))
        found = _alone(reader, features, owners, reader.classifier)
        untouched = untouched or found
        for row, first in zip(found, untouched, strict=True):
            row["drop"] = first["accuracy"] - row["accuracy"]
            rows.append(row | {"kind": "tampering", "name": name, "features": features.shape[1]})
    progress("tampering", len(tampered), len(tampered))
    rows += _groups(reader, "slice", reader.classifier, whole, owners, progress)
    layers, nets = net_rows(reader.zoo, reader.labels.nets, Source(length), progress)
    rows += _groups(reader, "net", "layers", layers, nets, progress)
    return What(ranked(rows, WHAT_COLUMNS, reader.labels.properties))


def _tampered(
    read: Callable[[np.ndarray], np.ndarray], name: str, seed: int, values: np.ndarray
) -> np.ndarray:
    return read(TAMPERINGS[name](values, np.random.default_rng([seed, 0x7A3])))


def _alone(
    reader: Reader, features: np.ndarray, owners: np.ndarray, classifier: str
) -> list[dict[str, Any]]:
    """A row a property: accuracy, interval, chance, nets; cross-fitted on these features."""
    scores = crossfit(
        features,
        owners,
        reader.labels.codes,
        classifier=classifier,
        families=reader.labels.families,
        folds=reader.folds,
        seed=reader.seed,
        resamples=400,
    )
    kept = ("property", "accuracy", "low", "high", "chance", "n_nets")
    return [{name: getattr(score, name) for name in kept} for score in scores]


def _groups(
    reader: Reader,
    kind: str,
    classifier: str,
    features: np.ndarray,
    owners: np.ndarray,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Rows of every group of features of a classifier."""
    source = CLASSIFIERS[classifier].features
    groups: dict[str, list[int]] = {}
    for column, name in enumerate(FEATURE_NAMES[source]):
        groups.setdefault(group_of(name, source), []).append(column)
    groups = {name: c for name, c in groups.items() if np.ptp(features[:, c], axis=0).any()}
    drops = _drops(reader, classifier, features, owners, list(groups.values()))
    rows = []
    for done, (name, columns) in enumerate(groups.items()):
        progress(f"groups of features ({kind})", done, len(groups))
        found = _alone(reader, features[:, columns], owners, classifier)
        for row, (drop, low, high) in zip(found, drops[done], strict=True):
            about: dict[str, Any] = {"kind": kind, "name": name, "features": len(columns)}
            rows.append(row | about | {"drop": drop, "drop_low": low, "drop_high": high})
    progress(f"groups of features ({kind})", len(groups), len(groups))
    return rows


def _drops(
    reader: Reader,
    classifier: str,
    features: np.ndarray,
    owners: np.ndarray,
    groups: Sequence[Sequence[int]],
) -> list[list[tuple[float, float, float]]]:
    """Per group and property: by how much accuracy falls when the group is swapped, with bounds."""
    labels = reader.labels
    codes = labels.matrix
    cells = Cells.build(codes, labels.families, reader.folds)
    fold = cells.fold_of(reader.seed)
    levels = tuple(map(len, labels.levels.values()))
    hits = np.zeros((1 + len(groups), *codes.shape))
    estimator = CLASSIFIERS[classifier].estimator(reader.seed)

    def judge(part: int, nets: np.ndarray) -> None:
        tested = fold[owners] == part
        taught = owners[~tested]
        fitted = estimator.fit_labelings(features[~tested], codes[taught], levels, taught)
        rows = features[tested]
        rng = np.random.default_rng([reader.seed, part, 0x5A4])
        for place, columns in enumerate([[], *groups]):
            swapped = rows.copy()
            swapped[:, columns] = rows[rng.permutation(len(rows))][:, columns]
            logs = fitted.log_probabilities(swapped)
            hits[place, nets] = right_answers(logs, codes, owners[tested], nets)

    each_fold(fold, labels.families, judge)
    found = []
    for swapped in hits[1:]:
        own = []
        for j in range(codes.shape[1]):
            difference = hits[0, :, j] - swapped[:, j]
            means = [difference[codes[:, j] == level].mean() for level in range(levels[j])]
            own.append((float(np.mean(means)), *difference_interval(difference, codes[:, j])))
        found.append(own)
    return found
