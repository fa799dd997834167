"""`Raw`: a linear model on the weights themselves, for nets that share one layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from weightspace.arrays import Float, Float32, Float64, Int
from weightspace.learners.columns import (
    balanced_targets,
    blocks_of_labelings,
    discriminate,
    log_probabilities,
)
from weightspace.learners.designs import inverse, leave_out, members_of
from weightspace.learners.estimators import Fitted, MetaClassifier

_WEIGHTS = 2048
"""Weights of all nets that are processed at a time."""

_COLUMNS = 96
"""Target columns that are solved for at a time."""

_FARTHEST = 5.0
"""Standard deviations at which a weight is clipped, so that few nets cannot dominate a sum."""

_FAINTEST = 1e-8
"""Added to absolute values before their logarithm is taken."""

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)
"""The penalties to choose from, as shares of the mean squared length of a row."""


@dataclass(frozen=True)
class Scale:
    """Standardises weights: `centre` and `inverse` (1 / deviation).

    These are for one kind, the weights, or two, also the logarithms of their absolute values.
    Where all nets have the same value, the inverse is 0, so that the value has no effect.
    """

    centre: Float64[np.ndarray, "kinds P"]
    inverse: Float64[np.ndarray, "kinds P"]

    @classmethod
    def of(cls, rows: Float[np.ndarray, "n P"], kinds: int = 2) -> Scale:
        """Fit the scale to training rows."""
        centre, inverse = np.zeros((2, kinds, rows.shape[1]))
        for columns in _blocks(rows.shape[1]):
            values = _kinds(rows[:, columns], kinds)
            mean, spread = values.mean(axis=1), values.std(axis=1)
            alive = spread > 1e-9 * np.abs(mean) + 1e-30
            centre[:, columns] = mean
            inverse[:, columns] = np.where(alive, 1 / np.where(alive, spread, 1), 0)
        return cls(centre, inverse)

    @property
    def used(self) -> int:
        """How many numbers differ between nets, at least 1."""
        return max(1, int(np.count_nonzero(self.inverse)))

    def __call__(
        self, rows: Float[np.ndarray, "n P"], columns: slice
    ) -> Float64[np.ndarray, "n _"]:
        """The standardised `columns` of rows, kind by kind."""
        scaled = _kinds(rows[:, columns], len(self.centre))
        scaled -= self.centre[:, None, columns]
        scaled *= self.inverse[:, None, columns]
        np.clip(scaled, -_FARTHEST, _FARTHEST, out=scaled)
        return np.concatenate(list(scaled), axis=1)

    def gram(
        self, rows: Float[np.ndarray, "n P"], others: Float[np.ndarray, "others P"]
    ) -> Float64[np.ndarray, "n others"]:
        """Mean products of standardised numbers of rows and others."""
        total = np.zeros((len(rows), len(others)))
        for columns in _blocks(rows.shape[1]):
            own = self(rows, columns).astype(np.float32)
            total += own @ (own if others is rows else self(others, columns).astype(np.float32)).T
        return total / self.used


@dataclass(frozen=True)
class Aligned:
    """A linear model: `weights` and `offsets`, both of log-odds.

    It does not need the training rows.
    """

    scale: Scale
    weights: Float32[np.ndarray, "kinds P columns"]
    offsets: Float64[np.ndarray, " columns"]
    levels: tuple[int, ...]

    def log_probabilities(
        self, features: Float[np.ndarray, "n P"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""
        logits = np.tile(self.offsets, (len(features), 1))
        for columns in _blocks(features.shape[1]):
            own = self.weights[:, columns]
            logits += self.scale(features, columns) @ own.reshape(-1, own.shape[2])
        return log_probabilities(logits, self.levels)


@dataclass(frozen=True)
class DualLinearModel:
    """The same linear model in dual form: training rows and a coefficient for each of them.

    For many labelings at once there would be more weights than rows, so the folds of an evaluation,
    which are not stored, use this form.
    """

    scale: Scale
    rows: Float[np.ndarray, "n P"]
    dual: Float64[np.ndarray, "n columns"]
    offsets: Float64[np.ndarray, " columns"]
    levels: tuple[int, ...]

    def log_probabilities(
        self, features: Float[np.ndarray, "n P"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""
        return log_probabilities(
            self.scale.gram(features, self.rows) @ self.dual + self.offsets, self.levels
        )

    def aligned(self) -> Aligned:
        """The same model as weights."""
        weights = np.empty((*self.scale.centre.shape, self.dual.shape[1]), np.float32)
        for columns in _blocks(weights.shape[1]):
            own = self.scale(self.rows, columns).T @ self.dual / self.scale.used
            weights[:, columns] = own.reshape(len(weights), -1, own.shape[1])
        return Aligned(self.scale, weights, self.offsets, self.levels)


class Raw(MetaClassifier):
    """Linear discriminant on single weights, by ridge regression in the dual.

    Each weight and, with `sizes`, the logarithm of its absolute value is standardised by the
    training rows. Each labeling uses the one of `ridges` with the least leave-one-net-out error.
    For n rows of P weights the cost is n^2 P, whatever the number of labelings. The result is
    deterministic.

    Parameters
    ----------
    ridges : tuple of float
        The penalties to choose from, as shares of the mean squared length of a row.
    sizes : bool
        Whether to use the logarithms of absolute weights too.
    """

    def __init__(self, ridges: tuple[float, ...] = RIDGES, sizes: bool = True):
        self.ridges = ridges
        self.sizes = sizes

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> DualLinearModel:
        """Fit all labelings with one decomposition; the result keeps `features`."""
        scale = Scale.of(features, 2 if self.sizes else 1)
        gram = scale.gram(features, features)
        space = _Dual(gram, groups, self.ridges)
        nets = len(np.unique(groups))
        duals, offsets = [], []
        for block in blocks_of_labelings(levels, _COLUMNS):
            own, some = levels[block], codes[:, block]
            targets = np.split(balanced_targets(some, own), np.cumsum(own)[:-1], axis=1)
            weight = [1 / np.bincount(column)[column] for column in some.T]
            for column, (scores, found) in zip(some.T, space.best(targets, weight), strict=True):
                turn, shift = discriminate(scores[:, None], column[:, None], nets)
                duals.append(found @ turn[0])
                offsets.append(shift[0] - gram.mean(axis=0) @ duals[-1])
        return DualLinearModel(
            scale, features, np.concatenate(duals, axis=1), np.concatenate(offsets), levels
        )

    def fit_kept(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Fitted:
        """Fit the same model in the form of weights, without the rows."""
        return self.fit_labelings(features, codes, levels, groups).aligned()


class _Dual:
    """Ridge regressions over a Gram matrix, with intercept and leave-group-out residuals."""

    def __init__(
        self,
        gram: Float64[np.ndarray, "n n"],
        groups: Int[np.ndarray, " n"],
        ridges: tuple[float, ...],
    ) -> None:
        means = gram.mean(axis=0)
        centred = gram - means - means[:, None] + means.mean()
        values, self._vectors = np.linalg.eigh(centred)
        values = np.maximum(values, 0)
        # Directions with rounding errors only, from repeated rows and the mean, are dropped.
        real = values > 1e-6 * max(float(values[-1]), 1e-30)
        length = max(float(values.mean()), 1e-30)
        self._inverses = [np.where(real, 1 / (values + r * length), 0) for r in ridges]
        self._members = members_of(groups)
        self._left = [self._left_out(values * inverse) for inverse in self._inverses]
        self._values = values

    def _left_out(self, shrink: Float64[np.ndarray, " n"]) -> list[Float64[np.ndarray, "_ _ _"]]:
        """(I - H_gg)^-1 of every group, [groups, size, size] for each size; H is the hat matrix."""
        out = []
        for members in self._members:
            own = self._vectors[members]
            hat = (own * shrink) @ own.transpose(0, 2, 1) + 1 / len(shrink)
            out.append(inverse(np.eye(members.shape[1]) - hat))
        return out

    def best(
        self,
        targets: list[Float64[np.ndarray, "n _"]],
        weight: list[Float64[np.ndarray, " n"]],
    ) -> list[tuple[Float64[np.ndarray, "n _"], Float64[np.ndarray, "n _"]]]:
        """Leave-group-out scores and dual coefficients, each with its own best ridge.

        The best ridge has the least squared error of rows that were left out, weighted by `weight`.
        """
        turned = [self._vectors.T @ own for own in targets]
        errors = np.full(len(targets), np.inf)
        found = [(targets[0], targets[0])] * len(targets)
        for shrink, left in zip(self._inverses, self._left, strict=True):
            for j, (truth, own) in enumerate(zip(targets, turned, strict=True)):
                dual = self._vectors @ (shrink[:, None] * own)
                residual = truth - self._vectors @ ((self._values * shrink)[:, None] * own)
                leave_out(residual, self._members, left)
                error = float((np.square(residual).sum(axis=1) * weight[j]).sum())
                if error < errors[j]:
                    errors[j], found[j] = error, (truth - residual, dual)
        return found


def _kinds(
    weights: Float[np.ndarray, "n columns"], kinds: int
) -> Float64[np.ndarray, "{kinds} n columns"]:
    """Weights, and the logarithms of their absolute values."""
    out = np.empty((kinds, *weights.shape))
    out[0] = weights
    if kinds == 2:
        np.log10(np.abs(out[0]) + _FAINTEST, out=out[1])
    return out


def _blocks(width: int) -> Iterator[slice]:
    return (slice(start, start + _WEIGHTS) for start in range(0, width, _WEIGHTS))
