"""Cross-fitting: every net is judged by a classifier that never saw it, many properties at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from weightspace.errors import UsageError
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import classifier as declared
from weightspace.meta.design.folds import Cells, each_fold
from weightspace.meta.design.labels import require, require_families
from weightspace.meta.statistics.intervals import balanced_accuracy, crossfitted

UNITS = ("slice", "net")


@dataclass(frozen=True)
class Score:
    """How well one property is read off one group of rows.

    `accuracy` is class-balanced arg-max accuracy, `low` and `high` its 95 % interval (bootstrap
    over nets, widened as in `intervals.crossfitted`), `chance` is 1 / levels. `controls` holds
    the accuracies under permuted labels (empty when none were asked for). `n_nets` and `n_rows`
    were judged.
    """

    property: str
    group: int
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
    """What became of every net when others taught the classifier; several labelings side by side.

    All arrays are [N, groups, labelings] or, `rows`, [N, groups]. `slice_hits`: share of a net's
    rows that are answered rightly; `net_answers`: the net's level by averaged log-probabilities;
    `net_hits`: whether that is right; `rows`: how many rows the net has (hits of none are 0).
    `log_probabilities`: of the first labelings as many as were asked for, the averages
    [N, groups, levels].
    """

    slice_hits: np.ndarray
    net_hits: np.ndarray
    net_answers: np.ndarray
    slice_answers: list[np.ndarray]
    rows: np.ndarray
    log_probabilities: list[np.ndarray]

    def hits(self, unit: str) -> np.ndarray:
        """The hits of a unit, float [N, groups, labelings]."""
        return self.slice_hits if unit == "slice" else self.net_hits


def judge(
    features: np.ndarray,
    nets: np.ndarray,
    codes: np.ndarray,
    levels: tuple[int, ...],
    fold: np.ndarray,
    families: np.ndarray,
    estimator: MetaClassifier,
    *,
    groups: np.ndarray | None = None,
    detailed: int = 0,
) -> Judged:
    """Every net judged by a classifier fitted on the nets of the other folds.

    Nets of a fold below 0 only teach, and have no rows in what is returned.

    `features` float32 [n, F], `nets` int [n] the rows' nets; `codes` int [N, q] labels of the nets
    under q labelings with `levels` [q] classes, `fold` int [N], `families` int [N] nets that must
    not be parted; `groups` int [n] of rows that are read off separately. Answers of slices
    (counts [N, groups, levels]) and log-probabilities are kept for the first `detailed` labelings.
    """
    count, labelings = codes.shape
    if groups is None:
        groups = np.zeros(len(nets), np.int64)
    width = int(groups.max()) + 1
    shape = (count, width)
    rows = np.bincount(nets * width + groups, minlength=count * width).reshape(shape)
    rows[fold < 0] = 0
    slice_hits = np.zeros((*shape, labelings), np.float32)
    net_answers = np.zeros((*shape, labelings), np.int16)
    kept = [np.zeros((*shape, levels[j])) for j in range(detailed)]
    answers = [np.zeros((*shape, levels[j]), np.int64) for j in range(detailed)]

    def judge_fold(part: int, test_nets: np.ndarray) -> None:
        tested = fold[nets] == part
        if not tested.any():
            return
        fitted = estimator.fit_labelings(
            features[~tested], codes[nets[~tested]], levels, nets[~tested]
        )
        owner, place = nets[tested], groups[tested]
        key = np.searchsorted(test_nets, owner) * width + place
        size = len(test_nets) * width
        divisor = np.maximum(np.bincount(key, minlength=size), 1)
        for j, logs in enumerate(fitted.log_probabilities(features[tested])):
            answer = logs.argmax(axis=1)
            right = np.bincount(key, weights=answer == codes[owner, j], minlength=size)
            slice_hits[test_nets, :, j] = (right / divisor).reshape(-1, width)
            sums = np.stack([np.bincount(key, weights=c, minlength=size) for c in logs.T], axis=1)
            net_answers[test_nets, :, j] = sums.argmax(axis=1).reshape(-1, width)
            if j < detailed:
                kept[j][test_nets] = (sums / divisor[:, None]).reshape(-1, width, levels[j])
                np.add.at(answers[j], (owner, place, answer), 1)

    each_fold(fold, families, judge_fold)
    net_hits = (net_answers == codes[:, None, :]) & (rows > 0)[:, :, None]
    return Judged(slice_hits, net_hits.astype(np.float32), net_answers, answers, rows, kept)


def right_answers(
    log_probabilities: list[np.ndarray], codes: np.ndarray, owners: np.ndarray, nets: np.ndarray
) -> np.ndarray:
    """Share of a net's rows that are answered rightly: float64 [judged nets, labelings].

    Log-probabilities [n, levels] of each labeling, for rows of the nets `owners` int [n]; `codes`
    int [N, labelings]; `nets` are the places in `codes` of those that are judged.
    """
    sizes = np.bincount(owners, minlength=len(codes))[nets]
    right = [
        np.bincount(owners, logs.argmax(axis=1) == codes[owners, j], len(codes))[nets]
        for j, logs in enumerate(log_probabilities)
    ]
    return np.stack(right, axis=1) / sizes[:, None]


def with_permutations(codes: np.ndarray, cells: Cells, permutations: int) -> np.ndarray:
    """The labels [N, p], then each permutation's: int [N, p x (1 + permutations)]."""
    permuted = [codes[cells.permutation(index)] for index in range(permutations)]
    return np.concatenate([codes, *permuted], axis=1)


def crossfit(
    features: np.ndarray,
    nets: np.ndarray,
    labels: Mapping[str, np.ndarray],
    *,
    groups: np.ndarray | None = None,
    unit: str = "slice",
    classifier: str = "kernel",
    families: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    permutations: int = 0,
    resamples: int = 1000,
) -> list[Score]:
    """Cross-fitted accuracies of all properties, one factorisation a fold for all of them.

    `features` float32 [n, F]: one row a slice (or a net), any number of rows a net.
    `nets` int [n]: which net a row belongs to, as an index into the label arrays (0..N-1).
    `labels`: property -> int [N], the level of each net, counted from 0
        (`weightspace.meta.labels_of(zoo).codes` is such a mapping).
    `groups` int [n] or None: train on all rows of the training nets, report each group of rows
        (a position, a snapshot) by itself: one `Score` a property x group. Groups count from 0;
        to train on one position alone, call with its rows only.
    `unit`: "slice" (each row one answer) or "net" (the log-probabilities of a net's rows of the
        group averaged, then arg-max).
    `classifier`: name in `weightspace.meta.CLASSIFIERS`; only its estimator is used here.
    `families` int [N] or None: nets with one number never stand on both sides of a split
        (`Labels.families`).
    `permutations`: how many accuracies with labels permuted over nets to give in
        `Score.controls`.

    Returns scores ordered by property (as in `labels`), then group; groups without rows are left
    out. Nets are split, never rows; nets without rows are not judged. Raises UsageError where
    there are no labels, a property has one level, or too few nets for an interval.
    """
    if unit not in UNITS:
        raise UsageError(f"unit: {unit!r} is none of {', '.join(UNITS)}")
    if not labels:
        raise UsageError("labels: none to predict; give the levels of at least one property")
    nets = np.asarray(nets)
    present = np.unique(nets)
    codes = np.stack([np.asarray(column)[present] for column in labels.values()], axis=1)
    require({name: codes[:, i] for i, name in enumerate(labels)}, folds)
    owners = np.arange(len(present)) if families is None else np.asarray(families)[present]
    require_families(owners, folds)
    cells = Cells.build(codes, owners, folds)
    wide = with_permutations(codes, cells, permutations)
    levels = tuple(int(column.max()) + 1 for column in codes.T) * (1 + permutations)
    judged = judge(
        features,
        np.searchsorted(present, nets),
        wide,
        levels,
        cells.fold_of(seed),
        owners,
        declared(classifier).estimator(seed),
        groups=groups,
    )
    hits = judged.hits(unit)
    scores = []
    for i, name in enumerate(labels):
        for group in range(hits.shape[1]):
            has = judged.rows[:, group] > 0
            if not has.any():
                continue
            own = hits[has, group]
            truth = codes[has, i]
            found = crossfitted(
                own[:, i], truth, families=owners[has], resamples=resamples, seed=seed
            )
            controls = tuple(
                balanced_accuracy(own[:, i + r * len(labels)], wide[has, i + r * len(labels)])
                for r in range(1, 1 + permutations)
            )
            scores.append(
                Score(
                    name,
                    group,
                    unit,
                    levels[i],
                    1 / levels[i],
                    found.value,
                    found.low,
                    found.high,
                    int(has.sum()),
                    int(judged.rows[:, group].sum()),
                    controls,
                )
            )
    return scores
