"""`KernelRidge`: predicts numbers, not levels, from features, in closed form."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from weightspace.arrays import Float64
from weightspace.learners.kernel import NystroemMap

_ROWS = 8192
"""Rows whose mapped features are in memory at a time."""


class KernelRidge(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Gaussian kernel ridge regression on normal scores of the features, with landmarks.

    It is `Kernel` for numbers instead of classes.

    Parameters
    ----------
    landmarks : int
        The number of rows that span the function space.
    width : float
        The width of the kernel, relative to the typical distance of two rows.
    ridge : float
        The penalty of the function's norm.
    seed : int
        The seed of the random landmarks.

    Examples
    --------
    >>> X = np.linspace(0, 1, 50)[:, None]
    >>> bool(KernelRidge().fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9)
    True
    """

    def __init__(
        self, landmarks: int = 600, width: float = 1.0, ridge: float = 1e-3, seed: int = 0
    ):
        self.landmarks = landmarks
        self.width = width
        self.ridge = ridge
        self.seed = seed

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the regression, with one factorisation for all targets.

        Parameters
        ----------
        X : array-like, shape (n, F)
            Features; missing ones are NaN.
        y : array-like, shape (n,) or (n, targets)
            Numbers.

        Returns
        -------
        self
        """
        X, y = validate_data(
            self,
            X,
            y,
            dtype=np.float64,
            multi_output=True,
            ensure_min_samples=2,
            ensure_all_finite="allow-nan",
        )
        rng = np.random.default_rng([self.seed, 0x1A4D])
        self.map_ = NystroemMap.fit(X, self.landmarks, self.width, rng)
        y = np.asarray(y, np.float64)
        self.centre_ = y.mean(axis=0)
        targets = (y - self.centre_).reshape(len(y), -1)
        penalty = self.map_.penalty
        gram, total = np.zeros_like(penalty), np.zeros(len(penalty))
        moment = np.zeros((len(penalty), targets.shape[1]))
        for start in range(0, len(X), _ROWS):
            block = self.map_(X[start : start + _ROWS])
            gram += block.T @ block
            total += block.sum(axis=0)
            moment += block.T @ targets[start : start + _ROWS]
        self.mean_ = total / len(X)
        gram = gram / len(X) - np.outer(self.mean_, self.mean_) + self.ridge * penalty
        # Repeated rows can give a tiny negative eigenvalue by rounding.
        gram[np.diag_indices_from(gram)] += 1e-10 * np.trace(gram) / len(gram)
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, moment / len(X), check_finite=False)
        self.weights_ = weights.reshape(-1, *y.shape[1:])
        return self

    def predict(self, X: Any) -> Float64[np.ndarray, " n *targets"]:
        """Predict the numbers of each row.

        Parameters
        ----------
        X : array-like, shape (n, F)
            Features.

        Returns
        -------
        ndarray of float64, shape (n,) or (n, targets)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite="allow-nan")
        blocks = [
            (self.map_(X[start : start + _ROWS]) - self.mean_) @ self.weights_
            for start in range(0, len(X), _ROWS)
        ]
        return np.asarray(np.concatenate(blocks) + self.centre_)
