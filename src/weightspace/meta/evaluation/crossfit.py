"""Cross-fitting: each net is tested by a classifier trained without it, many properties at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weightspace._moved import renamed
from weightspace.errors import UsageError
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import classifier as declared
from weightspace.meta.design.folds import Cells, each_fold
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.labels import require, require_groups
from weightspace.meta.statistics.scores import resampled, score

UNITS = ("slice", "net")


@dataclass(frozen=True)
class Score:
    """How well one property is read off the rows of one place.

    `accuracy` is class-balanced arg-max accuracy, `low` and `high` its 95 % interval (bootstrap
    over nets, widened as in `intervals.crossfitted`), `chance` is 1 / levels. `controls` holds
    the accuracies under permuted labels (empty when none were asked for). `n_nets` and `n_rows`
    were tested.
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
class Judged:
    """The answers about every net of classifiers that were trained on other nets.

    Parameters
    ----------
    slice_hits : float32 [net, place, labeling, property]
        The share of a net's rows that are answered rightly.
    net_hits : float32 [net, place, labeling, property]
        Whether the net's answer is right, 0 or 1.
    net_answers : int16 [net, place, labeling, property]
        The level with the highest mean log-probability over a net's rows.
    slice_answers : list of list of int64 [net, place, level]
        By labeling and property, how many rows of a net are answered with each level.
    rows : int64 [net, place]
        How many rows the net has; hits of none are 0.
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
        """The hits of a unit, float32 [net, place, labeling, property]."""
        return self.slice_hits if unit == "slice" else self.net_hits


def judge(
    features: np.ndarray,
    nets: np.ndarray,
    labelings: Labelings,
    fold: np.ndarray,
    groups: np.ndarray,
    estimator: MetaClassifier,
    *,
    places: np.ndarray | None = None,
    detailed: int = 0,
) -> Judged:
    """Test every net by a classifier that was fitted on the nets of the other folds.

    Parameters
    ----------
    features : float32 [row, feature]
        Any number of rows a net.
    nets : int [row]
        The net of each row.
    labelings : Labelings
        The labels of all nets.
    fold : int [net]
        Nets of a fold below 0 are only trained on, and have no rows in what is returned.
    groups : int [net]
        Nets of one number must not stand on both sides of a split.
    estimator : MetaClassifier
        Unfitted.
    places : int [row], optional
        Rows of different places are answered separately.
    detailed : int
        Of how many labelings answers of slices and log-probabilities are kept.

    Raises
    ------
    AssertionError
        Where a fold would part a group.
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

    def judge_fold(part: int, test_nets: np.ndarray) -> None:
        tested = fold[nets] == part
        if not tested.any():
            return
        fitted = estimator.fit_labelings(
            features[~tested], codes[nets[~tested]], levels, nets[~tested]
        )
        owner, place = nets[tested], places[tested]
        key = np.searchsorted(test_nets, owner) * width + place
        size = len(test_nets) * width
        divisor = np.maximum(np.bincount(key, minlength=size), 1)
        for j, logs in enumerate(fitted.log_probabilities(features[tested])):
            answer = logs.argmax(axis=1)
            right = np.bincount(key, weights=answer == codes[owner, j], minlength=size)
            slice_hits[test_nets, :, j] = (right / divisor).reshape(-1, width)
            sums = np.stack([np.bincount(key, weights=c, minlength=size) for c in logs.T], axis=1)
            net_answers[test_nets, :, j] = sums.argmax(axis=1).reshape(-1, width)
            if j < len(wanted):
                kept[j][test_nets] = (sums / divisor[:, None]).reshape(-1, width, levels[j])
                np.add.at(answers[j], (owner, place, answer), 1)

    each_fold(fold, groups, judge_fold)
    net_hits = (net_answers == codes[:, None, :]) & (rows > 0)[:, :, None]
    return Judged(
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
    """Share of a net's rows that are answered rightly: float64 [tested net, target].

    Log-probabilities [n, levels] of each target, for rows of the nets `owners` int [n]; `codes`
    int [N, target]; `nets` are the places in `codes` of those that are tested.
    """
    sizes = np.bincount(owners, minlength=len(codes))[nets]
    right = [
        np.bincount(owners, logs.argmax(axis=1) == codes[owners, j], len(codes))[nets]
        for j, logs in enumerate(log_probabilities)
    ]
    return np.stack(right, axis=1) / sizes[:, None]


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
    """Cross-fitted accuracies of all properties, one factorisation a fold for all of them.

    Nets are split, never rows; nets without rows are not tested.

    Parameters
    ----------
    features : float32 [row, feature]
        One row a slice (or a net), any number of rows a net.
    nets : int [row]
        Which net a row belongs to, as an index into the label arrays.
    labels : mapping of str to int [net]
        For each property the level of each net, counted from 0
        (`weightspace.meta.labels_of(zoo).codes` is such a mapping).
    places : int [row], optional
        Train on all rows of the training nets, and report the rows of each place (a position, a
        snapshot) by themselves: one `Score` a property x place. Places count from 0; to train on
        one place alone, call with its rows only.
    unit : {"slice", "net"}
        Whether each row gives an answer, or the log-probabilities of a net's rows are averaged.
    classifier : str
        A name in `weightspace.meta.CLASSIFIERS`; only its estimator is used here.
    net_groups : int [net], optional
        Nets of one number never stand on both sides of a split (`Labels.groups`).
    folds, seed : int
        The number of folds, and the seed of the folds and the estimator.
    permutations : int
        How many accuracies with labels permuted over nets to give in `Score.controls`.
    resamples : int
        Draws of the bootstrap.

    Returns
    -------
    list of Score
        By property (as in `labels`), then place; places without rows are left out.

    Raises
    ------
    UsageError
        Where there are no labels, a property has one level, or nets are too few for an interval.
    """
    if unit not in UNITS:
        raise UsageError(f"unit: {unit!r} is none of {', '.join(UNITS)}")
    if not labels:
        raise UsageError("labels: none to predict; give the levels of at least one property")
    nets = np.asarray(nets)
    present = np.unique(nets)
    codes = np.stack([np.asarray(column)[present] for column in labels.values()], axis=1)
    require({name: codes[:, i] for i, name in enumerate(labels)}, folds)
    own = np.arange(len(present)) if net_groups is None else np.asarray(net_groups)[present]
    require_groups(own, folds)
    cells = Cells.build(codes, own, folds)
    labelings = Labelings.of(codes, cells, permutations)
    judged = judge(
        features,
        np.searchsorted(present, nets),
        labelings,
        cells.fold_of(seed),
        own,
        declared(classifier).estimator(seed),
        places=places,
    )
    hits, interval = judged.hits(unit), resampled(resamples, seed=seed)
    scores = []
    for i, name in enumerate(labels):
        for place, rows in enumerate(judged.rows.T):
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
