"""`Together`: several classifiers of the same rows, whose log-probabilities are averaged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.estimators import Fitted, MetaClassifier

_FAINTEST = -8.0
"""The least log-probability of one classifier: none can rule out a level alone."""


@dataclass(frozen=True)
class AllFitted:
    """Fitted classifiers of the same labelings."""

    each: tuple[Fitted, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of classes of each labeling."""
        return self.each[0].levels

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""
        found = [one.log_probabilities(features) for one in self.each]
        return [
            np.asarray(
                log_softmax(np.mean([np.maximum(logs, _FAINTEST) for logs in same], axis=0), axis=1)
            )
            for same in zip(*found, strict=True)
        ]


class Together(MetaClassifier):
    """Classifiers of different kinds, whose log-probabilities are averaged.

    Nothing is chosen among them, so that their accuracy by cross-fitting is not too high.

    Parameters
    ----------
    each : sequence of MetaClassifier
        The classifiers.

    Examples
    --------
    >>> from weightspace.learners.estimators import Kernel, Linear
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 50)
    >>> X = rng.normal(size=(100, 3)) + 4 * y[:, None]
    >>> bool(Together((Linear(), Kernel())).fit(X, y).score(X, y) > 0.9)
    True
    """

    takes_missing = True

    def __init__(self, each: Sequence[MetaClassifier]):
        self.each = each

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> AllFitted:
        """Fit each classifier."""
        return AllFitted(
            tuple(one.fit_labelings(features, codes, levels, groups) for one in self.each)
        )
