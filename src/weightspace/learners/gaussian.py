"""Put every feature on one bounded scale: its rank among the training rows, as a normal score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from weightspace.arrays import Float, Float64
from weightspace.features import native
from weightspace.features.statistics import quantiles

KNOTS = 100


@dataclass(frozen=True)
class Gaussianiser:
    """A monotone map of each feature, linear between quantiles of the training rows.

    `knots` ascend; `scores` are the normal scores at the knots. Equal
    knots share one score. Values outside the outer knots get the outer scores, so that features of
    a foreign net stay within the range of the training rows. A constant feature becomes 0, and so
    does a missing one (NaN): 0 is the middle of the training rows that have the feature.
    """

    knots: Float64[np.ndarray, "F knots"]
    scores: Float64[np.ndarray, "F knots"]

    @classmethod
    def fit(cls, features: Float[np.ndarray, "n F"]) -> Gaussianiser:
        """Fit the map to these rows; each feature to those that have it."""
        count = min(KNOTS, len(features))
        share = np.linspace(0, 1, count)
        knots = quantiles(np.sort(features.T, axis=1), share)
        for column in np.flatnonzero(np.isnan(features).any(axis=0)):
            own = np.sort(features[~np.isnan(features[:, column]), column])
            knots[column] = quantiles(own[None], share)[0] if len(own) else 0.0
        # Half a rank from both ends keeps the outer scores finite, and smaller in small samples.
        rank = 0.5 / max(len(features), 2 * count)
        score = ndtri(rank + share * (1 - 2 * rank))
        knots = np.ascontiguousarray(knots)
        return cls(knots, _tied_means(knots, score))

    def __call__(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n F"]:
        """Normal scores of the features."""
        found = native.library()
        if found is None:
            out = np.empty(features.shape)
            for column, (knots, scores) in enumerate(zip(self.knots, self.scores, strict=True)):
                out[:, column] = np.interp(features[:, column], knots, scores)
        else:
            values = np.ascontiguousarray(features, np.float64)
            out = native.interpolated(found, values, self.knots, self.scores)
        out[np.isnan(features)] = 0.0
        return out


def _tied_means(
    knots: Float64[np.ndarray, "F knots"], score: Float64[np.ndarray, " knots"]
) -> Float64[np.ndarray, "F knots"]:
    """The scores at the knots of each row; equal neighbours share their mean."""
    new = np.ones(knots.shape, bool)
    new[:, 1:] = knots[:, 1:] != knots[:, :-1]
    group = np.cumsum(new).reshape(knots.shape) - 1
    scores = np.broadcast_to(score, knots.shape)
    means = np.bincount(group.ravel(), weights=scores.ravel()) / np.bincount(group.ravel())
    return np.asarray(means[group])
