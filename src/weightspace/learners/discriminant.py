"""A closed-form classifier whose single factorisation serves any number of labelings.

It is ridge regression of scaled one-hot targets on mapped features, followed by a linear
discriminant in the few dimensions of the fitted scores. The discriminant is fitted to
leave-one-net-out scores, which the ridge gives in closed form. So its log-probabilities account for
the over-fitting of the ridge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.special import log_softmax

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.kernel import FeatureMap

_ROWS = 8192
"""Rows whose mapped features are in memory at a time."""

_CELLS = 10_000_000
"""Mapped features in memory at a time, whatever the width of a row."""

_COLUMNS = 96
"""Target columns whose leave-one-out scores are in memory at a time."""


_PULL = 2.0
"""Standard errors by which class means are moved apart."""

NEVER = -1e6
"""The log-odds of a class without training rows, which is never predicted."""


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
        for rows of one net. `ridge` is the penalty for one row, on the scale of the map.
        """
        order = np.argsort(groups, kind="stable")
        design = _Design(map, features[order], groups[order], ridge)
        codes = codes[order]
        nets = len(np.unique(groups))
        weights, offsets = [], []
        for block in blocks_of_columns(levels):
            targets = [balanced_targets(codes[:, j], levels[j]) for j in block]
            scores, coefficients = design.leave_out(np.concatenate(targets, axis=1))
            start = 0
            for j in block:
                columns = slice(start, start + levels[j])
                turn, shift = discriminate(scores[:, columns], codes[:, j], levels[j], nets)
                weights.append(coefficients[:, columns] @ turn)
                offsets.append(shift - design.mean @ weights[-1])
                start += levels[j]
        return cls(map, np.concatenate(weights, axis=1), np.concatenate(offsets), levels)

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling the log-probabilities of its levels, with equal priors."""
        out = [np.empty((len(features), count)) for count in self.levels]
        borders = np.cumsum((0, *self.levels))
        step = max(1, min(_ROWS, _CELLS // len(self.weights)))
        for start in range(0, len(features), step):
            rows = slice(start, start + step)
            logits = self.map(features[rows]) @ self.weights + self.offsets
            for j, whole in enumerate(out):
                whole[rows] = log_softmax(logits[:, borders[j] : borders[j + 1]], axis=1)
        return out


class _Design:
    """The mapped training rows, centred, and the factor of their penalised covariance."""

    def __init__(
        self,
        map: FeatureMap,
        features: Float[np.ndarray, "n F"],
        groups: Int[np.ndarray, " n"],
        ridge: float,
    ) -> None:
        self._map, self._features = map, features
        self._chunks = _chunks(groups)
        self._kept = [map(features[rows]) for rows, _ in self._chunks] if self._small else None
        self._n = len(features)
        penalty = map.penalty
        total = np.zeros(len(penalty))
        gram = np.zeros_like(penalty)
        for _, _, block in self._blocks():
            total += block.sum(axis=0)
            gram += block.T @ block
        self.mean = total / self._n
        covariance = gram / self._n - np.outer(self.mean, self.mean) + ridge * penalty
        # Repeated rows can give a tiny negative eigenvalue by rounding.
        covariance[np.diag_indices_from(covariance)] += 1e-10 * np.trace(covariance) / len(penalty)
        self._factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        self._left = [self._left_of(sizes, block) for _, sizes, block in self._blocks()]

    @property
    def _small(self) -> bool:
        return len(self._features) <= 2 * _ROWS

    def _blocks(
        self,
    ) -> Iterator[
        tuple[slice, list[tuple[int, Int[np.ndarray, " rows"]]], Float64[np.ndarray, "rows D"]]
    ]:
        for i, (rows, sizes) in enumerate(self._chunks):
            kept = self._kept[i] if self._kept is not None else self._map(self._features[rows])
            yield rows, sizes, kept

    def leave_out(
        self, targets: Float64[np.ndarray, "n columns"]
    ) -> tuple[Float64[np.ndarray, "n columns"], Float64[np.ndarray, "D columns"]]:
        """Scores of each group by the ridge without it, and the full fit's weights.

        With H the ridge's hat matrix, leaving out group g turns its residuals r into (I - H_gg)^-1
        r, exactly.
        """
        moment = np.zeros((len(self.mean), targets.shape[1]))
        for rows, _, block in self._blocks():
            moment += block.T @ targets[rows]
        weights = cho_solve(self._factor, moment / self._n, check_finite=False)
        scores = np.empty_like(targets)
        for (rows, sizes, block), left in zip(self._blocks(), self._left, strict=True):
            residual = targets[rows] - (block @ weights - self.mean @ weights)
            for (size, members), inverse in zip(sizes, left, strict=True):
                own = residual[members].reshape(-1, size, targets.shape[1])
                residual[members] = (inverse @ own).reshape(-1, targets.shape[1])
            scores[rows] = targets[rows] - residual
        return scores, weights

    def _left_of(
        self,
        sizes: list[tuple[int, Int[np.ndarray, " _"]]],
        block: Float64[np.ndarray, "rows D"],
    ) -> list[Float64[np.ndarray, "_ _ _"]]:
        """(I - H_gg)^-1 of every group of a chunk, [groups, size, size] for each size."""
        half = solve_triangular(
            self._factor[0], (block - self.mean).T, lower=True, check_finite=False
        ).T
        inverses = []
        for size, members in sizes:
            root = half[members].reshape(-1, size, half.shape[1])
            hat = (root @ root.transpose(0, 2, 1) + 1) / self._n
            # A group that is fitted exactly has no residual, so nothing is scaled.
            inverses.append(np.linalg.inv((1 + 1e-9) * np.eye(size) - hat))
        return inverses


def _chunks(
    groups: Int[np.ndarray, " n"],
) -> list[tuple[slice, list[tuple[int, Int[np.ndarray, " _"]]]]]:
    """Cut sorted rows into chunks between groups; give the rows of groups of equal size."""
    borders = np.concatenate([[0], np.flatnonzero(np.diff(groups)) + 1, [len(groups)]])
    chunks = []
    first = 0
    while first < len(borders) - 1:
        last = int(np.searchsorted(borders, borders[first] + _ROWS, side="right")) - 1
        last = max(last, first + 1)
        start = borders[first]
        sizes = np.diff(borders[first : last + 1])
        members = [
            (
                int(size),
                (borders[first:last][sizes == size][:, None] - start + np.arange(size)).ravel(),
            )
            for size in np.unique(sizes)
        ]
        chunks.append((slice(int(start), int(borders[last])), members))
        first = last
    return chunks


def blocks_of_columns(levels: tuple[int, ...]) -> Iterator[list[int]]:
    """Consecutive labelings that together have as many columns as fit in memory."""
    block: list[int] = []
    for j, count in enumerate(levels):
        if block and sum(levels[i] for i in block) + count > _COLUMNS:
            yield block
            block = []
        block.append(j)
    yield block


def balanced_targets(
    codes: Int[np.ndarray, " n"], levels: int
) -> Float64[np.ndarray, "n {levels}"]:
    """One-hot columns divided by their class's share, minus 1: mean 0, and equal class weights."""
    counts = np.bincount(codes, minlength=levels)
    share: NDArray[np.float64] = np.maximum(counts / len(codes), 1e-12)
    one_hot: NDArray[np.bool_] = codes[:, None] == np.arange(levels)
    return one_hot / share - 1.0


def discriminate(
    scores: Float64[np.ndarray, "n {levels}"],
    codes: Int[np.ndarray, " n"],
    levels: int,
    nets: int,
) -> tuple[Float64[np.ndarray, "{levels} {levels}"], Float64[np.ndarray, " {levels}"]]:
    """Linear discriminant of leave-one-out scores: turn and shift.

    Turn and shift give log-odds. Classes have equal priors and share one covariance, the mean of
    theirs. Each class mean is moved away from the others along its own score, by the standard error
    of means of so many nets. Otherwise, if the scores contain little information, the discriminant
    could follow a random reversal of the means.
    """
    member = (codes[:, None] == np.arange(levels)).astype(float)
    counts = member.sum(axis=0)
    means = (member.T @ scores) / np.maximum(counts, 1)[:, None]
    centred = scores - means[codes]
    weight = 1 / counts[codes]
    covariance = (centred * weight[:, None]).T @ centred / levels
    error = np.sqrt(np.trace(covariance) / max(nets, 1))
    means += _PULL * error * (np.eye(levels) - 1 / levels)
    # Scores have levels - 1 dimensions; the small ridge makes the covariance invertible.
    covariance += (1e-3 * np.trace(covariance) / levels + 1e-9) * np.eye(levels)
    turn = np.linalg.solve(covariance, means.T)
    shift = -0.5 * np.einsum("cd,dc->c", means, turn)
    shift[counts == 0] = NEVER
    return turn, shift
