"""Feature maps of the closed-form classifiers: the columns of the ridge, and their penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from weightspace.arrays import Float, Float64
from weightspace.learners.gaussian import Gaussianiser


class FeatureMap(Protocol):
    """Maps features to the columns in which a ridge is linear."""

    def __call__(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n D"]:
        """The columns."""

    @property
    def penalty(self) -> Float64[np.ndarray, "D D"]:
        """The quadratic form that the ridge penalises."""


@dataclass(frozen=True)
class LinearMap:
    """Normal scores of the features themselves."""

    gaussianiser: Gaussianiser

    @classmethod
    def fit(cls, features: Float[np.ndarray, "n F"]) -> LinearMap:
        """Fit the map to these rows."""
        return cls(Gaussianiser.fit(features))

    def __call__(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n F"]:
        """Normal scores."""
        return self.gaussianiser(features)

    @property
    def penalty(self) -> Float64[np.ndarray, "F F"]:
        """The identity: every feature has the same penalty."""
        return np.eye(len(self.gaussianiser.knots))


@dataclass(frozen=True)
class NystroemMap:
    """Similarities to landmark rows: a Gaussian kernel on normal scores.

    `landmarks` are normal scores of training rows; `gamma` is the inverse squared width of the
    kernel.
    """

    gaussianiser: Gaussianiser
    landmarks: Float64[np.ndarray, "D F"]
    gamma: float

    @classmethod
    def fit(
        cls,
        features: Float[np.ndarray, "n F"],
        landmarks: int,
        width: float,
        rng: np.random.Generator,
    ) -> NystroemMap:
        """Draw landmarks from the rows; `width` is relative to the typical distance of two rows."""
        gaussianiser = Gaussianiser.fit(features)
        chosen = np.sort(rng.permutation(len(features))[:landmarks])
        places = gaussianiser(features[chosen])
        # The mean squared distance of two rows is twice the sum of the variances.
        typical = 2 * float(places.var(axis=0).sum())
        return cls(gaussianiser, places, 1.0 / (width**2 * max(typical, 1e-12)))

    def __call__(self, features: Float[np.ndarray, "n F"]) -> Float64[np.ndarray, "n D"]:
        """Kernel values between 0 and 1."""
        return self.kernel(self.gaussianiser(features))

    @property
    def penalty(self) -> Float64[np.ndarray, "D D"]:
        """The kernel between the landmarks: the norm of the function space."""
        return self.kernel(self.landmarks) + 1e-8 * np.eye(len(self.landmarks))

    def kernel(self, places: Float64[np.ndarray, "n F"]) -> Float64[np.ndarray, "n D"]:
        """Kernel values of normal scores, instead of features."""
        squared = places @ self.landmarks.T
        squared *= -2
        squared += np.square(places).sum(axis=1)[:, None]
        squared += np.square(self.landmarks).sum(axis=1)
        np.maximum(squared, 0, out=squared)
        squared *= -self.gamma
        kernel: np.ndarray = np.exp(squared, out=squared)
        return kernel
