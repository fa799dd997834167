"""Ridge regressions of many targets on one set of rows, with leave-one-net-out scores.

`Primal` factorises the covariance of the mapped features, `Dual` the kernel of the rows. Both give
the same regression; the dual takes a quarter of the time where every row is a landmark.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpotrf, dtrtri

from weightspace.arrays import Float, Float64, Int
from weightspace.learners.kernel import FeatureMap

_ROWS = 8192
"""Rows whose mapped features are computed at a time."""

_KEPT = 2**28
"""Bytes of mapped features that are kept, instead of being computed again where they are needed."""

Members = list[Int[np.ndarray, "groups size"]]
"""For each size of a group of rows, the rows of all groups of this size."""


class Design(Protocol):
    """Training rows that are ready for any number of targets."""

    mean: Float64[np.ndarray, " D"]
    """The mean of each mapped feature over the training rows."""

    def leave_out(
        self, targets: Float64[np.ndarray, "n columns"]
    ) -> tuple[Float64[np.ndarray, "n columns"], Float64[np.ndarray, "D columns"]]:
        """Scores of each group by the ridge without it, and the full fit's weights.

        Targets have mean 0. With H the ridge's hat matrix, leaving out group g turns its residuals
        r into (I - H_gg)^-1 r, exactly.
        """


class Dual:
    """Rows that are all landmarks: the kernel is inverted, and nothing else is large.

    With K the kernel, C the centring and M = C K C + n ridge I, the weights are M^-1 y and the
    residuals n ridge M^-1 y; I - H = n ridge M^-1 - 1/n.
    """

    def __init__(
        self, kernel: Float64[np.ndarray, "n n"], groups: Int[np.ndarray, " n"], ridge: float
    ) -> None:
        count = len(kernel)
        self.mean = kernel.mean(axis=0)
        centred = kernel - self.mean - self.mean[:, None] + self.mean.mean()
        # Repeated rows without a ridge would leave nothing to invert.
        self._scale = count * max(ridge, 1e-10)
        centred[np.diag_indices(count)] += self._scale
        # Both routines work on columns, so that no array is copied.
        factor, failed = dpotrf(centred.T, lower=True, clean=True, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError("the kernel of the rows is not positive definite")
        self._half, _ = dtrtri(factor, lower=True, overwrite_c=True)
        self._members = members_of(groups)
        self._left = []
        for members in self._members:
            half = self._half.T[members]
            inner = half @ half.transpose(0, 2, 1)
            self._left.append(inverse(self._scale * inner - 1 / count))

    def leave_out(
        self, targets: Float64[np.ndarray, "n columns"]
    ) -> tuple[Float64[np.ndarray, "n columns"], Float64[np.ndarray, "n columns"]]:
        """See `Design`."""
        weights = self._half.T @ (self._half @ targets)
        residuals = self._scale * weights
        leave_out(residuals, self._members, self._left)
        return targets - residuals, weights


class Primal:
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
        self._n = len(features)
        penalty = map.penalty
        small = penalty.itemsize * len(penalty) * self._n <= _KEPT
        self._kept = [map(features[rows]) for rows, _ in self._chunks] if small else None
        total = np.zeros(len(penalty))
        gram = np.zeros_like(penalty, order="F")
        for _, _, block in self._blocks():
            total += block.sum(axis=0)
            # One triangle is enough for the factor.
            gram = dsyrk(1.0, block.T, beta=1.0, c=gram, lower=True, overwrite_c=True)
        self.mean = total / self._n
        covariance = gram / self._n - np.outer(self.mean, self.mean) + ridge * penalty
        # Repeated rows can give a tiny negative eigenvalue by rounding.
        covariance[np.diag_indices_from(covariance)] += 1e-10 * np.trace(covariance) / len(penalty)
        self._factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        self._left = [self._left_of(members, block) for _, members, block in self._blocks()]

    def _blocks(self) -> Iterator[tuple[slice, Members, Float64[np.ndarray, "rows D"]]]:
        for i, (rows, members) in enumerate(self._chunks):
            kept = self._kept[i] if self._kept is not None else self._map(self._features[rows])
            yield rows, members, kept

    def leave_out(
        self, targets: Float64[np.ndarray, "n columns"]
    ) -> tuple[Float64[np.ndarray, "n columns"], Float64[np.ndarray, "D columns"]]:
        """See `Design`. Rows are in the order of their groups."""
        moment = np.zeros((len(self.mean), targets.shape[1]))
        for rows, _, block in self._blocks():
            moment += block.T @ targets[rows]
        weights = cho_solve(self._factor, moment / self._n, check_finite=False)
        scores = np.empty_like(targets)
        for (rows, members, block), left in zip(self._blocks(), self._left, strict=True):
            residuals = targets[rows] - (block @ weights - self.mean @ weights)
            leave_out(residuals, members, left)
            scores[rows] = targets[rows] - residuals
        return scores, weights

    def _left_of(
        self, members: Members, block: Float64[np.ndarray, "rows D"]
    ) -> list[Float64[np.ndarray, "_ _ _"]]:
        """(I - H_gg)^-1 of every group of a chunk, [groups, size, size] for each size."""
        half = solve_triangular(
            self._factor[0], (block - self.mean).T, lower=True, check_finite=False
        ).T
        found = []
        for rows in members:
            root = half[rows]
            hat = (root @ root.transpose(0, 2, 1) + 1) / self._n
            found.append(inverse(np.eye(rows.shape[1]) - hat))
        return found


def inverse(rest: Float64[np.ndarray, "groups size size"]) -> Float64[np.ndarray, "_ _ _"]:
    """The inverses of I - H_gg."""
    # A group that is fitted exactly has no residual, so nothing is scaled.
    return np.asarray(np.linalg.inv(rest + 1e-9 * np.eye(rest.shape[1])))


def leave_out(
    residuals: Float64[np.ndarray, "n columns"],
    members: Members,
    inverses: list[Float64[np.ndarray, "_ _ _"]],
) -> None:
    """Turn the residuals of a fit of all rows into those of fits without each group, in place."""
    for rows, inverse in zip(members, inverses, strict=True):
        residuals[rows] = inverse @ residuals[rows]


def members_of(groups: Int[np.ndarray, " n"]) -> Members:
    """The rows of the groups of each size; `groups` is the same number for rows of one group."""
    order = np.argsort(groups, kind="stable")
    borders = np.concatenate([[0], np.flatnonzero(np.diff(groups[order])) + 1, [len(groups)]])
    sizes = np.diff(borders)
    return [
        order[borders[:-1][sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)
    ]


def _chunks(groups: Int[np.ndarray, " n"]) -> list[tuple[slice, Members]]:
    """Cut sorted rows into chunks between groups."""
    borders = np.concatenate([[0], np.flatnonzero(np.diff(groups)) + 1, [len(groups)]])
    chunks = []
    first = 0
    while first < len(borders) - 1:
        last = int(np.searchsorted(borders, borders[first] + _ROWS, side="right")) - 1
        last = max(last, first + 1)
        rows = slice(int(borders[first]), int(borders[last]))
        chunks.append((rows, members_of(groups[rows])))
        first = last
    return chunks
