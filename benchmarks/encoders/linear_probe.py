"""`LinearProbe`: linear models of the raw weights."""

from __future__ import annotations

import math
import time

import numpy as np
from probabilities import answers, log_probabilities
from sklearn.linear_model import LogisticRegression, Ridge

_PENALTIES = (1e7, 1e6, 1e5, 1e4, 1e3, 1e2)
_ASIDE = 0.15
_FARTHEST = 4
"""The most deviations from the mean, so that no net with large weights decides everything."""


class LinearProbe:
    """Multinomial logistic regression, or ridge regression of a number, on standardised weights.

    The penalty of each target is the best of six on the nets set aside; then all nets are taught
    with it. It reads one architecture. Weak penalties come last, and are left out if the time is
    over.
    """

    name = "linear-probe"
    about = "logistic and ridge regression on the raw weights"

    def fit(self, rows, targets, *, seed, seconds):
        """Learn targets; see `weightspace.bench.Encoder`."""
        stop = time.process_time() + seconds
        weights = rows.weights
        mean, spread = weights.mean(axis=0), weights.std(axis=0) + 1e-8
        table = _standardised(weights, mean, spread)
        turn = _turn(table)
        table, aside = (table @ turn).astype(np.float64), rows.set_aside(_ASIDE, seed)
        best = [(math.inf, _PENALTIES[0])] * len(targets)
        longest = 0.0
        for penalty in _PENALTIES:
            start = time.process_time()
            if start + 2 * longest > stop:  # it takes as long again to teach all nets
                break
            for k, one in enumerate(targets):
                model = _model(one, penalty).fit(table[~aside], one.values[~aside])
                best[k] = min(best[k], (_loss(model, table[aside], one, aside), penalty))
            longest = max(longest, time.process_time() - start)
        models = [
            _model(one, penalty).fit(table, one.values)
            for one, (_, penalty) in zip(targets, best, strict=True)
        ]

        def read(others):
            seen = _standardised(others.weights, mean, spread) @ turn
            return answers(models, targets, seen)

        return read


def _standardised(weights, mean, spread):
    return np.clip((weights - mean) / spread, -_FARTHEST, _FARTHEST)


def _turn(table):
    """Turns rows without loss to as few columns as there are rows; penalised models stay."""
    if len(table) > table.shape[1] // 2:
        return np.eye(table.shape[1], dtype=table.dtype)
    return np.linalg.qr(table.T)[0]


def _model(target, penalty):
    if target.levels:
        return LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=300)
    return Ridge(penalty, solver="lsqr")


def _loss(model, table, target, aside):
    """The loss on nets set aside; classes have the same weight."""
    truth = target.values[aside]
    if not target.levels:
        return float(np.mean((model.predict(table) - truth) ** 2))
    found = log_probabilities(model, table, len(target.levels))[np.arange(len(truth)), truth]
    return -float(np.average(found, weights=1 / np.bincount(truth)[truth]))
