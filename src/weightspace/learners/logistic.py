"""Multinomial logistic regression: fitted by scikit-learn, stored as a linear rule."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.columns import NEVER
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.kernel import FeatureMap


def fit(
    map: FeatureMap,
    features: Float[np.ndarray, "n F"],
    codes: Int[np.ndarray, "n q"],
    levels: tuple[int, ...],
    ridge: float,
) -> Discriminant:
    """One regression for each column of `codes`; all classes have the same weight.

    `ridge` is the penalty that is added to the mean cross entropy of a row. Newton's method solves
    it: the features are few and correlated, for which gradient methods need hundreds of steps.
    """
    columns = map(features)
    strength = 1 / (ridge * len(columns))
    weights, offsets = [], []
    for column, count in zip(codes.T, levels, strict=True):
        classes, slopes, starts = _learned(columns, column, strength)
        own, shift = np.zeros((columns.shape[1], count)), np.full(count, NEVER)
        own[:, classes], shift[classes] = slopes.T, starts
        weights.append(own)
        offsets.append(shift)
    return Discriminant(map, np.concatenate(weights, axis=1), np.concatenate(offsets), levels)


def _learned(
    columns: Float64[np.ndarray, "n D"], column: Int[np.ndarray, " n"], strength: float
) -> tuple[
    Int[np.ndarray, " classes"],
    Float64[np.ndarray, "classes D"],
    Float64[np.ndarray, " classes"],
]:
    """The classes that occur, with slopes and intercepts of their log-odds."""
    classes = np.unique(column)
    if len(classes) == 1:  # nothing to fit, which scikit-learn refuses
        return classes, np.zeros((1, columns.shape[1])), np.zeros(1)
    made = LogisticRegression(C=strength, class_weight="balanced", solver="newton-cholesky").fit(
        columns, column
    )
    slopes, starts = made.coef_, made.intercept_
    if len(classes) == 2:  # the second class against the first
        slopes = np.concatenate([-slopes, slopes]) / 2
        starts = np.concatenate([-starts, starts]) / 2
    return classes, slopes, starts
