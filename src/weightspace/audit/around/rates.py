"""`RateModel`: the learning rate of a net, read from its row as a number with an interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import Ridge

from weightspace.learners.gaussian import Gaussianiser

SHARE = 0.9
"""The share of held-out nets whose learning rate lies in the interval of a reading."""
_FACTOR = 2.0
_RIDGE = 100.0


@dataclass(frozen=True)
class Rate:
    """A reading of the learning rate.

    Attributes
    ----------
    value : float
        The best guess.
    low, high : float
        The limits within which those of 90 % of held-out nets lay, relative to their guesses.
    within : float
        The share of held-out nets whose guess was right to within a factor of 2.
    nets : int
        The number of these nets.
    """

    value: float
    low: float
    high: float
    within: float
    nets: int


class RateModel:
    """Trees and ridge regression on the logarithm of the learning rate, averaged.

    Parameters
    ----------
    rows : ndarray of float, shape (nets, F)
        A row for each net.
    rates : ndarray of float, shape (nets,)
        Their learning rates.
    fold : ndarray of int, shape (nets,)
        Their folds, for cross-fitting.
    """

    def __init__(self, rows: np.ndarray, rates: np.ndarray, fold: np.ndarray) -> None:
        logs = np.log(rates)
        guesses = np.zeros(len(logs))
        for part in np.unique(fold):
            own = fold == part
            guesses[own] = _predict(_fit(rows[~own], logs[~own]), rows[own])
        self._models = _fit(rows, logs)
        self.errors: NDArray[np.float64] = guesses - logs

    def read(self, row: np.ndarray) -> Rate:
        """Read the learning rate of the net of a row, float [F]."""
        guess = float(_predict(self._models, row[None])[0])
        n = len(self.errors)
        rank = min(1.0, np.ceil((n + 1) * SHARE) / n)
        reach = float(np.quantile(np.abs(self.errors), rank))
        within = float((np.abs(self.errors) <= np.log(_FACTOR)).mean())
        return Rate(float(np.exp(guess)), float(np.exp(guess - reach)),
                    float(np.exp(guess + reach)), within, n)  # fmt: skip


_Models = tuple[ExtraTreesRegressor, Gaussianiser, Ridge]


def _fit(rows: np.ndarray, logs: np.ndarray) -> _Models:
    trees = ExtraTreesRegressor(120, min_samples_leaf=3, max_features=0.6, random_state=0)
    scores = Gaussianiser.fit(rows)
    return trees.fit(rows, logs), scores, Ridge(alpha=_RIDGE).fit(scores(rows), logs)


def _predict(models: _Models, rows: np.ndarray) -> NDArray[np.float64]:
    trees, scores, ridge = models
    return np.asarray((trees.predict(rows) + ridge.predict(scores(rows))) / 2)
