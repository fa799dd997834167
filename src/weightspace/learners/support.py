"""Support vector machines: fitted by scikit-learn, stored as kernel sums, with probabilities.

There is a machine for each pair of classes; the score of a class is the mean of its margins over
the others. Margins are not log-odds. One scale makes them log-odds; it is fitted on nets that were
held out from the machines that score them.
"""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.columns import NEVER
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.gaussian import Gaussianiser
from weightspace.learners.kernel import NystroemMap
from weightspace.learners.temperature import temperature
from weightspace.progress import Progress, each, silent

_PARTS = 3
"""Folds of the nets; each is scored by machines that are trained on the other folds."""

_CACHE = 500
"""Megabytes of kernel values that a machine caches in training."""


def fit(
    features: Float[np.ndarray, "n F"],
    codes: Int[np.ndarray, "n q"],
    levels: tuple[int, ...],
    groups: Int[np.ndarray, " n"],
    cost: float,
    width: float,
    progress: Progress = silent,
) -> Discriminant:
    """Fit machines for each column of `codes`; all classes have the same weight.

    `groups` is the same number for rows of one net; `cost` is that of a row on the wrong
    side; `width` of the Gaussian kernel is relative to the typical distance of two rows.
    """
    gaussianiser = Gaussianiser.fit(features)
    rows = gaussianiser(features)
    gamma = 1 / (width**2 * max(2 * float(rows.var(axis=0).sum()), 1e-12))
    blank = SVC(
        C=cost,
        gamma=gamma,
        class_weight="balanced",
        decision_function_shape="ovo",
        cache_size=_CACHE,
    )
    weights, offsets = [], []
    labelings = list(zip(codes.T, levels, strict=True))
    for column, count in each(labelings, progress, "support vectors"):
        own, shift = np.zeros((len(rows), count)), np.full(count, NEVER)
        weights.append(own)
        offsets.append(shift)
        if np.ptp(column) == 0:  # one class: nothing to fit, which scikit-learn refuses
            shift[column[0]] = 0
            continue
        made = blank.fit(rows, column)
        own[np.ix_(made.support_, made.classes_)] = _class_scores(_coefficients(made))
        shift[made.classes_] = _class_scores(_signed(made, made.intercept_[None]))[0]
        scale = _scale(blank, rows, column, count, groups)
        own /= scale
        shift /= scale
    wide = np.concatenate(weights, axis=1)
    used = np.flatnonzero(wide.any(axis=1))
    used = used if len(used) else np.zeros(1, np.int64)  # a map needs a landmark
    map_ = NystroemMap(gaussianiser, rows[used], gamma)
    return Discriminant(map_, wide[used], np.concatenate(offsets), levels)


def _scale(
    blank: SVC,
    rows: Float64[np.ndarray, "n F"],
    column: Int[np.ndarray, " n"],
    count: int,
    groups: Int[np.ndarray, " n"],
) -> float:
    """The divisor of the scores; 1 if a class has too few nets to hold some out."""
    nets, first, owner = np.unique(groups, return_index=True, return_inverse=True)
    part = np.empty(len(nets), np.int64)
    # Dealt class by class, so that each fold has nets of each class if possible.
    part[np.argsort(column[first], kind="stable")] = np.arange(len(nets)) % _PARTS
    classes = np.unique(column)
    scores, truth = [], []
    for number in range(_PARTS):
        tested = part[owner] == number
        if not tested.any() or len(np.unique(column[~tested])) < len(classes):
            continue
        made = blank.fit(rows[~tested], column[~tested])
        margins = made.decision_function(rows[tested]).reshape(int(tested.sum()), -1)
        scores.append(_class_scores(_signed(made, margins)))
        truth.append(np.searchsorted(classes, column[tested]))
    if not scores:
        return 1.0
    return temperature(np.concatenate(scores), np.concatenate(truth), len(nets))


def _signed(made: SVC, margins: Float64[np.ndarray, "n pairs"]) -> Float64[np.ndarray, "n pairs"]:
    """Margins, positive for the first class; scikit-learn's differ for two classes."""
    return -margins if len(made.classes_) == 2 else margins


def _coefficients(made: SVC) -> Float64[np.ndarray, "vectors pairs"]:
    """The coefficients of the support vectors in each pair's margin."""
    classes = len(made.classes_)
    borders = np.cumsum((0, *made.n_support_))
    pairs = []
    for i in range(classes):
        for j in range(i + 1, classes):
            own = np.zeros(borders[-1])
            # Row r of the dual coefficients is for the r-th of the other classes.
            own[borders[i] : borders[i + 1]] = made.dual_coef_[j - 1, borders[i] : borders[i + 1]]
            own[borders[j] : borders[j + 1]] = made.dual_coef_[i, borders[j] : borders[j + 1]]
            pairs.append(own)
    return _signed(made, np.stack(pairs, axis=1))


def _class_scores(margins: Float64[np.ndarray, "n pairs"]) -> Float64[np.ndarray, "n levels"]:
    """From margins of the first class of each pair: each class's mean over the others."""
    classes: int = round((1 + np.sqrt(1 + 8 * margins.shape[1])) / 2)
    scores = np.zeros((len(margins), classes))
    first, second = np.triu_indices(classes, 1)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        scores[:, i] += margins[:, pair]
        scores[:, j] -= margins[:, pair]
    return scores / (classes - 1)
