"""The answers of scikit-learn's models in the form of the benchmark."""

from __future__ import annotations

import numpy as np

_LEAST = 1e-12


def log_probabilities(model, table, levels):
    """Float64 [n, levels]; a level that was not taught is very improbable."""
    found = np.full((len(table), levels), _LEAST)
    found[:, model.classes_] = np.maximum(model.predict_proba(table), _LEAST)
    return np.log(found)


def answers(models, targets, table):
    """What each model says of its target, for each row of the table."""
    return [
        log_probabilities(model, table, len(one.levels))
        if one.levels
        else model.predict(table).astype(np.float64)
        for model, one in zip(models, targets, strict=True)
    ]
