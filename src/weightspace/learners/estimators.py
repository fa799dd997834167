"""The meta-classifiers behind scikit-learn's contract, from `Linear` to `Boosted`.

Each can also learn many labelings of the same rows at once (`fit_labelings`), which is what the
protocol calls: the closed-form ones then factorise once, whatever the number of properties.
All treat classes as equally likely beforehand, however many rows each has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from weightspace.learners import logistic, support
from weightspace.learners.boosting import Boostings
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.kernel import FeatureMap, LinearMap, NystroemMap
from weightspace.learners.trees import Forests
from weightspace.progress import Progress, silent


class Fitted(Protocol):
    """Classifiers of several labelings over the same features."""

    @property
    def levels(self) -> tuple[int, ...]:
        """Classes of each labeling."""

    def log_probabilities(self, features: np.ndarray) -> list[np.ndarray]:
        """Per labeling, float64 [n, levels]."""


class MetaClassifier(ClassifierMixin, BaseEstimator, ABC):
    """The part of the contract that all meta-classifiers share.

    `draw`, where it is set and the estimator reads values, gives it a fresh slice of each of the
    groups int [b] at every call, from a random stream: float32 [b, L]. `progress` is told of
    training that takes long.
    """

    progress: Progress = staticmethod(silent)
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Learn from X [n, F] and y [n]; rows with equal `groups` [n] stem from one net."""
        X, y = validate_data(self, X, y, dtype=np.float64, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y holds one class only; a classifier needs at least 2 classes")
        owners = np.arange(len(X)) if groups is None else np.unique(groups, return_inverse=True)[1]
        if len(owners) != len(X):
            raise ValueError(f"groups has {len(owners)} entries for {len(X)} rows")
        self.fitted_ = self.fit_kept(X, codes[:, None], (len(self.classes_),), owners)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities [n, classes], classes taken as equally likely beforehand."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return np.exp(self.fitted_.log_probabilities(X)[0])

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row of X [n, F]."""
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    @abstractmethod
    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Fitted:
        """Learn `codes` int [n, q], q labelings with `levels` [q] classes, from features [n, F]."""

    def fit_kept(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Fitted:
        """`fit_labelings` for what is kept: it may not hold on to `features`."""
        return self.fit_labelings(features, codes, levels, groups)


class _ClosedForm(MetaClassifier):
    """Ridge and discriminant over a feature map."""

    ridge: float

    @abstractmethod
    def _map(self, features: np.ndarray) -> FeatureMap: ...

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Discriminant:
        """One factorisation for all labelings; see `Discriminant.fit`."""
        ridge = self._ridge(len(np.unique(groups)))
        return Discriminant.fit(self._map(features), features, codes, levels, groups, ridge)

    def _ridge(self, nets: int) -> float:
        return self.ridge


class Linear(_ClosedForm):
    """Linear discriminant on normal scores of the features: the shallow baseline.

    `ridge`: penalty relative to the variance of a feature. Deterministic.
    """

    def __init__(self, ridge: float = 1e-3):
        self.ridge = ridge

    def _map(self, features: np.ndarray) -> FeatureMap:
        return LinearMap.fit(features)


class Kernel(_ClosedForm):
    """Gaussian kernel ridge on normal scores of the features, on landmarks, in closed form.

    `landmarks`: rows that span the function space; `width` of the kernel relative to the typical
    distance of two rows; `ridge`: penalty of the function's norm, shared by the training nets (the
    more there are, the finer the function may be); `seed` draws the landmarks.
    """

    def __init__(
        self, landmarks: int = 1200, width: float = 1.0, ridge: float = 0.08, seed: int = 0
    ):
        self.landmarks = landmarks
        self.width = width
        self.ridge = ridge
        self.seed = seed

    def _map(self, features: np.ndarray) -> FeatureMap:
        rng = np.random.default_rng([self.seed, 0x1A4D])
        return NystroemMap.fit(features, self.landmarks, self.width, rng)

    def _ridge(self, nets: int) -> float:
        return self.ridge / nets


class Forest(MetaClassifier):
    """Extremely randomised trees, one forest a labeling.

    `trees` a forest, `leaf` the fewest rows of a leaf, `seed` of the randomness. Fitted forests
    are plain arrays, so that a model can be stored and read without executing anything.
    """

    def __init__(self, trees: int = 200, leaf: int = 2, seed: int = 0):
        self.trees = trees
        self.leaf = leaf
        self.seed = seed

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Forests:
        """One forest a labeling."""
        return Forests.fit(features, codes, levels, self.trees, self.leaf, self.seed, self.progress)


class Logistic(MetaClassifier):
    """Multinomial logistic regression on normal scores of the features.

    `ridge`: penalty beside the mean cross entropy of a row. Deterministic.
    """

    def __init__(self, ridge: float = 1e-4):
        self.ridge = ridge

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Discriminant:
        """One regression a labeling."""
        return logistic.fit(LinearMap.fit(features), features, codes, levels, self.ridge)


class SupportVectors(MetaClassifier):
    """Support vectors with a Gaussian kernel on normal scores of the features.

    `cost` of a row on the wrong side; `width` of the kernel relative to the typical distance of
    two rows. The scale of its probabilities is learned from thirds of the nets, each judged by what
    the others taught. Deterministic.
    """

    def __init__(self, cost: float = 1.0, width: float = 0.7):
        self.cost = cost
        self.width = width

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Discriminant:
        """Machines for each labeling; all share one kernel."""
        return support.fit(features, codes, levels, groups, self.cost, self.width, self.progress)


class Boosted(MetaClassifier):
    """Gradient-boosted trees on histograms of the features, for each labeling its own.

    `rounds` of boosting at the learning rate `rate`, in each a tree a class of at most `leaves`
    leaves with at least `leaf` rows each. Deterministic.
    """

    def __init__(self, rounds: int = 60, rate: float = 0.1, leaves: int = 15, leaf: int = 20):
        self.rounds = rounds
        self.rate = rate
        self.leaves = leaves
        self.leaf = leaf

    def fit_labelings(
        self, features: np.ndarray, codes: np.ndarray, levels: tuple[int, ...], groups: np.ndarray
    ) -> Boostings:
        """Trees for each labeling."""
        return Boostings.fit(features, codes, levels, **self.get_params(), progress=self.progress)
