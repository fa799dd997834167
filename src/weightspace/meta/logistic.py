"""Multinomial logistic regression: learned by scikit-learn, kept as a linear rule."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from weightspace.meta.discriminant import NEVER, Discriminant
from weightspace.meta.kernel import FeatureMap


def fit(
    map: FeatureMap,
    features: np.ndarray,
    codes: np.ndarray,
    levels: tuple[int, ...],
    ridge: float,
) -> Discriminant:
    """One regression for each column of `codes` int [n, q]; classes weigh alike.

    `ridge` is the penalty beside the mean cross entropy of a row. Newton's method solves it: the
    features are few and go together, which gradients alone take hundreds of steps for.
    """
    columns = map(features)
    weights, offsets = [], []
    for column, count in zip(codes.T, levels, strict=True):
        made = LogisticRegression(
            C=1 / (ridge * len(columns)), class_weight="balanced", solver="newton-cholesky"
        ).fit(columns, column)
        slopes, starts = made.coef_, made.intercept_
        if len(made.classes_) == 2:  # of the second against the first
            slopes = np.concatenate([-slopes, slopes]) / 2
            starts = np.concatenate([-starts, starts]) / 2
        own, shift = np.zeros((columns.shape[1], count)), np.full(count, NEVER)
        own[:, made.classes_], shift[made.classes_] = slopes.T, starts
        weights.append(own)
        offsets.append(shift)
    return Discriminant(map, np.concatenate(weights, axis=1), np.concatenate(offsets), levels)
