"""`Range`: the range of a population's features, to recognise vectors that are unlike it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_INNER = (0.005, 0.995)
ALARMS = 0.01
"""The share of a population's own vectors that shall be called outside."""
_COLUMNS = 4096
_MOST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Range:
    """The range of the population's features.

    `low` and `high` float64 [F] bound the middle 99 % of the training rows that have the feature.
    A share `alarms` of the population's own vectors has a larger share of features outside than
    `limit`: 1 %, or with fewer than 99 vectors one in n + 1.
    """

    low: np.ndarray
    high: np.ndarray
    limit: float
    alarms: float = ALARMS

    @classmethod
    def fit(
        cls, features: np.ndarray, owners: np.ndarray, snapshots: np.ndarray, fold: np.ndarray
    ) -> Range:
        """From rows [n, F] of nets `owners` [n] and their `snapshots` [n]; nets have a `fold` [N].

        The limit is computed from single vectors (one net at one snapshot), because it will be
        applied to single vectors. Each is compared with the bounds of the nets of other folds. The
        limit is one of their numbers, chosen so that a further vector of the population, which is
        as likely to take any place among them, exceeds it with the probability `alarms` at most.
        """
        vectors, vector = np.unique(np.stack([owners, snapshots]), axis=1, return_inverse=True)
        outside = np.empty(vectors.shape[1])
        for part in np.unique(fold):
            tested = fold[owners] == part
            bounds = cls(*_bounds(features[~tested]), 0.0)
            for own in np.flatnonzero(fold[vectors[0]] == part):
                outside[own] = bounds.outside(features[vector == own])
        count = len(outside)
        place = min(count, int(np.ceil((count + 1) * (1 - ALARMS))))
        limit = float(np.sort(outside)[place - 1])
        return cls(*_bounds(features), limit, (count + 1 - place) / (count + 1))

    def outside(self, rows: np.ndarray) -> float:
        """The fraction of the features of rows [r, F] outside the bounds; missing ones are not."""
        beyond = (rows < self.low) | (rows > self.high)
        return float(beyond.sum() / max(1, rows.size - int(np.isnan(rows).sum())))


def _bounds(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bounds of each column; a feature that no row has is unbounded."""
    low, high = np.empty((2, features.shape[1]))
    for start in range(0, len(low), _COLUMNS):
        own = slice(start, start + _COLUMNS)
        low[own], high[own] = np.quantile(features[:, own].astype(np.float64), _INNER, axis=0)
    for column in np.flatnonzero(np.isnan(low)):
        known = features[~np.isnan(features[:, column]), column].astype(np.float64)
        low[column], high[column] = np.quantile(known, _INNER) if len(known) else (-_MOST, _MOST)
    return low, high
