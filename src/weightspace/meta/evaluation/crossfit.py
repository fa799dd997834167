"""Cross-fitting: each net is tested by a classifier trained without it, for many properties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace._moved import renamed
from weightspace.errors import UsageError
from weightspace.learners.columns import by_width
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import classifier as declared
from weightspace.meta.design.folds import Cells, each_fold
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.labels import require, require_groups
from weightspace.meta.statistics.scores import resampled, score

UNITS = ("slice", "net")


@dataclass(frozen=True)
class Score:
    """How well one property is read from the rows of one place.

    Parameters
    ----------
    property : str
        The name of the property.
    place : int
        The number of the place; 0 where `crossfit` was called without places.
    unit : {"slice", "net"}
        Whether single rows or the rows of a net together are tested.
    levels : int
        The number of levels.
    chance : float
        1 / levels.
    accuracy : float
        Class-balanced accuracy of the most probable level, 0..1.
    low, high : float
        Its 95 % interval: bootstrap over nets, widened as in `intervals.crossfitted`.
    n_nets, n_rows : int
        How many nets and rows were tested.
    controls : tuple of float
        The accuracies with permuted labels; empty without permutations.
    """

    property: str
    place: int
    unit: str
    levels: int
    chance: float
    accuracy: float
    low: float
    high: float
    n_nets: int
    n_rows: int
    controls: tuple[float, ...] = ()


@dataclass(frozen=True)
class CrossPredicted:
    """Predictions for every net by classifiers that were trained on other nets.

    Parameters
    ----------
    slice_hits : float32 [net, place, labeling, property]
        The share of a net's rows whose prediction is right.
    net_hits : float32 [net, place, labeling, property]
        Whether the prediction for the net is right, 0 or 1.
    net_answers : int16 [net, place, labeling, property]
        The level with the highest mean log-probability over a net's rows.
    slice_answers : list of list of int64 [net, place, level]
        By labeling and property, for how many rows of a net each level is predicted.
    rows : int64 [net, place]
        How many rows the net has; the hits of a net without rows are 0.
    log_probabilities : list of list of float64 [net, place, level]
        By labeling and property, the means over a net's rows.
    """

    slice_hits: np.ndarray
    net_hits: np.ndarray
    net_answers: np.ndarray
    slice_answers: list[list[np.ndarray]]
    rows: np.ndarray
    log_probabilities: list[list[np.ndarray]]

    def hits(self, unit: str) -> np.ndarray:
        """The hits of a unit, "slice" or "net": float32 [net, place, labeling, property]."""
        return self.slice_hits if unit == "slice" else self.net_hits


def cross_predict(
    features: np.ndarray,
    nets: np.ndarray,
    labelings: Labelings,
    fold: np.ndarray,
    groups: np.ndarray,
    estimator: MetaClassifier,
    *,
    places: np.ndarray | None = None,
    taught: np.ndarray | None = None,
    detailed: int = 0,
) -> CrossPredicted:
    """Predict the levels of every net by a classifier fitted on the nets of the other folds.

    Parameters
    ----------
    features : float32 [row, feature]
        Any number of rows for each net.
    nets : int [row]
        The net of each row.
    labelings : Labelings
        The labels of all nets.
    fold : int [net]
        The fold of each net. Nets of a fold below 0 are only trained on; the result has no rows
        for them.
    groups : int [net]
        Nets of one number must not be on both sides of a split.
    estimator : MetaClassifier
        Unfitted.
    places : int [row], optional
        Rows of different places are predicted separately.
    taught : bool [row], optional
        The rows that classifiers are trained on, by default all. All rows are predicted.
    detailed : int
        For how many labelings predictions of slices and log-probabilities are kept.

    Raises
    ------
    AssertionError
        If a fold would separate a group.
    """
    codes, levels = labelings.targets, labelings.target_levels
    count, targets = codes.shape
    if places is None:
        places = np.zeros(len(nets), np.int64)
    width = int(places.max()) + 1
    shape = (count, width)
    rows = np.bincount(nets * width + places, minlength=count * width).reshape(shape)
    rows[fold < 0] = 0
    slice_hits = np.zeros((*shape, targets), np.float32)
    net_answers = np.zeros((*shape, targets), np.int16)
    wanted = levels[: detailed * len(labelings.levels)]
    kept = [np.zeros((*shape, own)) for own in wanted]
    answers = [np.zeros((*shape, own), np.int64) for own in wanted]

    def predict_fold(part: int, test_nets: np.ndarray) -> None:
        tested = fold[nets] == part
        if not tested.any():
            return
        train = ~tested if taught is None else taught & ~tested
        fitted = estimator.fit_labelings(features[train], codes[nets[train]], levels, nets[train])
        owner, place = nets[tested], places[tested]
        key = np.searchsorted(test_nets, owner) * width + place
        size = len(test_nets) * width
        divisor = np.maximum(np.bincount(key, minlength=size), 1)
        logs = fitted.log_probabilities(features[tested])
        right = answers_of(logs) == codes[owner]
        shares = _summed(right.astype(np.float64), key, size) / divisor[:, None]
        slice_hits[test_nets] = shares.reshape(-1, width, targets)
        sums = _summed(np.concatenate(logs, axis=1), key, size)
        by_target = np.split(sums, np.cumsum(levels)[:-1], axis=1)
        net_answers[test_nets] = answers_of(by_target).reshape(-1, width, targets)
        for j in range(len(wanted)):
            kept[j][test_nets] = (by_target[j] / divisor[:, None]).reshape(-1, width, levels[j])
            np.add.at(answers[j], (owner, place, logs[j].argmax(axis=1)), 1)

    each_fold(fold, groups, predict_fold)
    net_hits = (net_answers == codes[:, None, :]) & (rows > 0)[:, :, None]
    return CrossPredicted(
        labelings.by_property(slice_hits),
        labelings.by_property(net_hits.astype(np.float32)),
        labelings.by_property(net_answers),
        _by_labeling(answers, len(labelings.levels)),
        rows,
        _by_labeling(kept, len(labelings.levels)),
    )


def _by_labeling(targets: list[np.ndarray], properties: int) -> list[list[np.ndarray]]:
    return [targets[i : i + properties] for i in range(0, len(targets), properties)]


def right_answers(
    log_probabilities: list[np.ndarray],
    codes: np.ndarray,
    owners: np.ndarray,
    nets: NDArray[np.int64],
) -> np.ndarray:
    """The share of each tested net's rows whose prediction is right: float64 [tested net, target].

    `log_probabilities` has an array [n, levels] for each target; row i belongs to the net
    `owners[i]`, int [n]. `codes`: int [N, target]. `nets`: positions in `codes` of the tested nets.
    """
    right = (answers_of(log_probabilities) == codes[owners]).astype(np.float64)
    sizes = np.bincount(owners, minlength=len(codes))[nets]
    return np.asarray(_summed(right, owners, len(codes))[nets] / sizes[:, None])


def answers_of(log_probabilities: list[np.ndarray]) -> np.ndarray:
    """The most probable level by each target: int64 [n, target]; a list of [n, levels]."""
    levels = tuple(own.shape[1] for own in log_probabilities)
    logs = np.concatenate(log_probabilities, axis=1)
    out = np.empty((len(logs), len(levels)), np.int64)
    for own, columns in by_width(levels):
        out[:, own] = logs[:, columns].argmax(axis=2)
    return out


def _summed(values: np.ndarray, key: np.ndarray, count: int) -> np.ndarray:
    """The sums of rows `values` float64 [n, k] of equal `key` int [n]: float64 [count, k]."""
    order = np.argsort(key, kind="stable")
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    out = np.zeros((count, values.shape[1]))
    out[key[order[first]]] = np.add.reduceat(values[order], first, axis=0)
    return out


@renamed(groups="places", families="net_groups")
def crossfit(
    features: np.ndarray,
    nets: np.ndarray,
    labels: Mapping[str, np.ndarray],
    *,
    places: np.ndarray | None = None,
    unit: str = "slice",
    classifier: str = "kernel",
    net_groups: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    permutations: int = 0,
    resamples: int = 1000,
) -> list[Score]:
    """Compute cross-fitted accuracies of all properties, with one factorisation for each fold.

    Folds are by net, never by row. Nets without rows are not tested.

    Parameters
    ----------
    features : float32 [row, feature]
        A row for each slice or net; any number of rows for each net.
    nets : int [row]
        Which net a row belongs to, as an index into the label arrays.
    labels : mapping of str to int [net]
        For each property the level of each net, counted from 0
        (`weightspace.meta.labels_of(zoo).codes` is such a mapping).
    places : int [row], optional
        The place of each row (a position, a snapshot), counted from 0. Classifiers are trained on
        all rows of the training nets, and there is a `Score` for each property and place. To train
        on one place alone, call with its rows only.
    unit : {"slice", "net"}
        Whether there is a prediction for each row, or one for each net from the mean
        log-probabilities of its rows.
    classifier : str
        A name in `weightspace.meta.CLASSIFIERS`; only its estimator is used here.
    net_groups : int [net], optional
        Nets of one number are never on both sides of a split (`Labels.groups`).
    folds, seed : int
        The number of folds, and the seed of the folds and the estimator.
    permutations : int
        How many accuracies with labels permuted over nets to return in `Score.controls`.
    resamples : int
        The number of bootstrap samples.

    Returns
    -------
    list of Score
        By property (as in `labels`), then place; places without rows are left out.

    Raises
    ------
    UsageError
        If there are no labels, if a property has one level, or if nets are too few for an interval.
    """
    if unit not in UNITS:
        raise UsageError("unit", f"{unit!r} is none of {', '.join(UNITS)}")
    if not labels:
        raise UsageError("labels", "none to predict", "give the levels of at least one property")
    nets = np.asarray(nets)
    present = np.unique(nets)
    codes = np.stack([np.asarray(column)[present] for column in labels.values()], axis=1)
    require({name: codes[:, i] for i, name in enumerate(labels)}, folds)
    own = np.arange(len(present)) if net_groups is None else np.asarray(net_groups)[present]
    require_groups(own, folds)
    cells = Cells.build(codes, own, folds)
    labelings = Labelings.of(codes, cells, permutations)
    predicted = cross_predict(
        features,
        np.searchsorted(present, nets),
        labelings,
        cells.fold_of(seed),
        own,
        declared(classifier).estimator(seed),
        places=places,
    )
    hits, interval = predicted.hits(unit), resampled(resamples, seed=seed)
    scores = []
    for i, name in enumerate(labels):
        for place, rows in enumerate(predicted.rows.T):
            has = rows > 0
            if not has.any():
                continue
            found = score(hits[has, place, :, i], labelings.codes[has, :, i], own[has], interval)
            scores.append(
                Score(
                    property=name,
                    place=place,
                    unit=unit,
                    levels=labelings.levels[i],
                    chance=1 / labelings.levels[i],
                    accuracy=found.accuracy,
                    low=found.low,
                    high=found.high,
                    n_nets=found.n_nets,
                    n_rows=int(rows.sum()),
                    controls=found.controls,
                )
            )
    return scores
