"""A closed-form classifier whose single factorisation serves any number of labelings.

It is ridge regression of scaled one-hot targets on mapped features, followed by a linear
discriminant in the few dimensions of the fitted scores. The discriminant is fitted to
leave-one-net-out scores, which the ridge gives in closed form. So its log-probabilities account for
the over-fitting of the ridge.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.columns import (
    balanced_targets,
    blocks_of_labelings,
    by_width,
    discriminate,
    log_probabilities,
)
from weightspace.learners.designs import Design, Dual, Primal
from weightspace.learners.kernel import FeatureMap, NystroemMap

_ROWS = 8192
"""Rows whose mapped features are in memory at a time."""

_CELLS = 10_000_000
"""Mapped features in memory at a time, whatever the width of a row."""

_SCORES = 1_000_000
"""Leave-one-out scores in memory at a time."""

_COLUMNS = 96
"""Target columns that are solved for at a time, however many rows there are."""


@dataclass(frozen=True)
class Discriminant:
    """Several classifiers over the same features, each linear in the mapped features.

    `weights` and `offsets` give the log-odds of all labelings next to each other; `levels` says how
    many columns belong to each.
    """

    map: FeatureMap
    weights: Float64[np.ndarray, "D columns"]
    offsets: Float64[np.ndarray, " columns"]
    levels: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        map: FeatureMap,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
        ridge: float,
    ) -> Discriminant:
        """Fit all labelings.

        `codes` are labels from 0 of q labelings with `levels` classes. `groups` is the same number
        for rows of one net. `ridge` is the penalty for one row, on the scale of the map, which was
        fitted to these features.
        """
        design: Design
        if isinstance(map, NystroemMap) and len(map.landmarks) == len(features):
            design = Dual(map.kernel(map.landmarks), groups, ridge)
        else:
            order = np.argsort(groups, kind="stable")
            codes, groups = codes[order], groups[order]
            design = Primal(map, features[order], groups, ridge)
        nets = len(np.unique(groups))
        weights, offsets = [], []
        for block in blocks_of_labelings(levels, max(_COLUMNS, _SCORES // len(features))):
            own = levels[block]
            scores, found = design.leave_out(balanced_targets(codes[:, block], own))
            shifts = np.empty(sum(own))
            for some, columns in by_width(own):
                turn, shift = discriminate(scores[:, columns], codes[:, block][:, some], nets)
                turned = found[:, columns].transpose(1, 0, 2) @ turn
                found[:, columns] = turned.transpose(1, 0, 2)
                shifts[columns] = shift
            weights.append(found)
            offsets.append(shifts - design.mean @ found)
        # The order in memory of a stored model, which answers the same to the last bit.
        joined = np.ascontiguousarray(np.concatenate(weights, axis=1))
        return cls(map, joined, np.concatenate(offsets), levels)

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling the log-probabilities of its levels, with equal priors."""
        logits = np.empty((len(features), len(self.offsets)))
        step = max(1, min(_ROWS, _CELLS // len(self.weights)))
        for start in range(0, len(features), step):
            rows = slice(start, start + step)
            np.matmul(self.map(features[rows]), self.weights, out=logits[rows])
        logits += self.offsets
        return log_probabilities(logits, self.levels)
