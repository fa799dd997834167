"""The meta-classifiers with scikit-learn's contract, from `Linear` to `Boosted`.

Each can also fit many labelings of the same rows at once (`fit_labelings`), which `evaluate` does:
the closed-form ones then factorise once, whatever the number of properties. All of them give
classes equal priors, however many rows each class has.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from weightspace.arrays import Float, Float32, Float64, Int, Shaped
from weightspace.learners import logistic, support
from weightspace.learners.boosting import Boostings
from weightspace.learners.discriminant import Discriminant
from weightspace.learners.kernel import FeatureMap, LinearMap, NystroemMap
from weightspace.learners.trees import Forests
from weightspace.progress import Progress, silent


class Fitted(Protocol):
    """Classifiers of several labelings over the same features.

    Anything with these two members can be evaluated. To be saved in a model as well, it is a
    dataclass of arrays and numbers, without references to the training rows, whose type has an
    entry in `KINDS` of `weightspace.meta.model.packing`.
    """

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of classes of each labeling."""

    def log_probabilities(
        self, features: Float[np.ndarray, "n F"]
    ) -> list[Float64[np.ndarray, "n _"]]:
        """For each labeling, with a column for each of its levels."""


class MetaClassifier(ClassifierMixin, BaseEstimator, ABC):
    """The base class of all meta-classifiers.

    Attributes
    ----------
    takes_missing : bool
        Whether features may be missing (NaN).
    draw : callable, optional
        Gives fresh training slices, if set, to an estimator that reads slices:
        `draw(groups, rng)` gives one of the net of each of these groups.
    progress : callable
        Called as `progress(task, done, total)` during long training.
    """

    progress: Progress = staticmethod(silent)
    draw: (
        Callable[[Int[np.ndarray, " n"], np.random.Generator], Float32[np.ndarray, "n length"]]
        | None
    ) = None
    takes_missing: bool = False
    """Whether features may be missing (NaN)."""

    @property
    def _finite(self) -> bool | str:
        return "allow-nan" if self.takes_missing else True

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn should know of the estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.takes_missing
        return tags

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Fit the classifier.

        Parameters
        ----------
        X : array-like, shape (n, F)
            Features. Missing ones are NaN, if the classifier takes them.
        y : array-like, shape (n,)
            Labels of at least two classes.
        groups : array-like, shape (n,), optional
            The net of each row. By default each row is a net of its own.

        Returns
        -------
        self
        """
        X, y = validate_data(
            self, X, y, dtype=np.float64, ensure_min_samples=2, ensure_all_finite=self._finite
        )
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("y holds one class only; a classifier needs at least 2 classes")
        owners = np.arange(len(X)) if groups is None else np.unique(groups, return_inverse=True)[1]
        if len(owners) != len(X):
            raise ValueError(f"groups has {len(owners)} entries for {len(X)} rows")
        self.fitted_ = self.fit_kept(X, codes[:, None], (len(self.classes_),), owners)
        return self

    def predict_proba(self, X: Any) -> Float64[np.ndarray, "n levels"]:
        """Predict class probabilities, with equal priors.

        Parameters
        ----------
        X : array-like, shape (n, F)
            Features.

        Returns
        -------
        ndarray of float64, shape (n, classes)
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False, ensure_all_finite=self._finite)
        chances: np.ndarray = np.exp(self.fitted_.log_probabilities(X)[0])
        return chances

    def predict(self, X: Any) -> Shaped[np.ndarray, " n"]:
        """Predict the most probable class of each row.

        Parameters
        ----------
        X : array-like, shape (n, F)
            Features.

        Returns
        -------
        ndarray, shape (n,)
        """
        check_is_fitted(self)
        most_probable: np.ndarray = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return most_probable

    @abstractmethod
    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Fitted:
        """Fit several labelings of the same rows at once.

        Parameters
        ----------
        features : ndarray, shape (n, F)
            Features.
        codes : ndarray of int, shape (n, q)
            One column of labels, from 0, for each labeling.
        levels : tuple of int, length q
            The number of classes of each labeling.
        groups : ndarray of int, shape (n,)
            The same number for rows of one net.

        Returns
        -------
        Fitted
        """

    def fit_kept(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Fitted:
        """As `fit_labelings`, for results that are stored: they do not refer to `features`.

        Parameters
        ----------
        features, codes, levels, groups
            As for `fit_labelings`.

        Returns
        -------
        Fitted
        """
        return self.fit_labelings(features, codes, levels, groups)


class _ClosedForm(MetaClassifier):
    """Ridge regression and a discriminant over a feature map."""

    ridge: float
    takes_missing = True

    @abstractmethod
    def _map(self, features: Float[np.ndarray, "n F"]) -> FeatureMap: ...

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Discriminant:
        """Fit all labelings with one factorisation; see `Discriminant.fit`."""
        ridge = self._ridge(len(np.unique(groups)))
        return Discriminant.fit(self._map(features), features, codes, levels, groups, ridge)

    def _ridge(self, nets: int) -> float:
        return self.ridge


class Linear(_ClosedForm):
    """Linear discriminant on normal scores of the features: the shallow baseline.

    The result is deterministic.

    Parameters
    ----------
    ridge : float
        The penalty, relative to the variance of a feature.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat([0, 1], 50)
    >>> X = rng.normal(size=(100, 3)) + 4 * y[:, None]
    >>> bool(Linear().fit(X, y).score(X, y) > 0.9)
    True
    """

    def __init__(self, ridge: float = 1e-3):
        self.ridge = ridge

    def _map(self, features: Float[np.ndarray, "n F"]) -> FeatureMap:
        return LinearMap.fit(features)


class Kernel(_ClosedForm):
    """Gaussian kernel ridge regression on normal scores of the features, with landmarks.

    It is fitted in closed form.

    Parameters
    ----------
    landmarks : int
        The number of rows that span the function space.
    width : float
        The width of the kernel, relative to the typical distance of two rows.
    ridge : float
        The penalty of the function's norm. It is divided by the number of training nets, so that
        more nets allow a more detailed function.
    seed : int
        The seed of the random landmarks.
    """

    def __init__(
        self, landmarks: int = 1200, width: float = 1.0, ridge: float = 0.08, seed: int = 0
    ):
        self.landmarks = landmarks
        self.width = width
        self.ridge = ridge
        self.seed = seed

    def _map(self, features: Float[np.ndarray, "n F"]) -> FeatureMap:
        rng = np.random.default_rng([self.seed, 0x1A4D])
        return NystroemMap.fit(features, self.landmarks, self.width, rng)

    def _ridge(self, nets: int) -> float:
        return self.ridge / nets


class Forest(MetaClassifier):
    """Extremely randomised trees (Geurts et al. 2006), one forest for each labeling.

    A fitted forest consists of plain arrays, so that a model can be stored and read without
    executing code.

    Parameters
    ----------
    trees : int
        Trees of a forest.
    leaf : int
        The fewest training rows in a leaf.
    seed : int
        The seed of the random splits.
    """

    takes_missing = True

    def __init__(self, trees: int = 200, leaf: int = 2, seed: int = 0):
        self.trees = trees
        self.leaf = leaf
        self.seed = seed

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Forests:
        """Fit one forest for each labeling."""
        return Forests.fit(features, codes, levels, self.trees, self.leaf, self.seed, self.progress)


class Logistic(MetaClassifier):
    """Multinomial logistic regression on normal scores of the features.

    The result is deterministic.

    Parameters
    ----------
    ridge : float
        The penalty, which is added to the mean cross entropy of a row.
    """

    takes_missing = True

    def __init__(self, ridge: float = 1e-4):
        self.ridge = ridge

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Discriminant:
        """Fit one regression for each labeling."""
        return logistic.fit(LinearMap.fit(features), features, codes, levels, self.ridge)


class SupportVectors(MetaClassifier):
    """A support vector machine with a Gaussian kernel on normal scores of the features.

    The scale of its probabilities is fitted by cross-validation over thirds of the nets. The result
    is deterministic.

    Parameters
    ----------
    cost : float
        The cost of a row on the wrong side of the margin.
    width : float
        The width of the kernel, relative to the typical distance of two rows.
    """

    takes_missing = True

    def __init__(self, cost: float = 1.0, width: float = 0.7):
        self.cost = cost
        self.width = width

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Discriminant:
        """Fit machines for each labeling; all share one kernel."""
        return support.fit(features, codes, levels, groups, self.cost, self.width, self.progress)


class Boosted(MetaClassifier):
    """Gradient-boosted trees on histograms of the features, separately for each labeling.

    The result is deterministic.

    Parameters
    ----------
    rounds : int
        Boosting rounds; each adds one tree for each class.
    rate : float
        The learning rate.
    leaves : int
        The most leaves of a tree.
    leaf : int
        The fewest training rows in a leaf.
    """

    takes_missing = True

    def __init__(self, rounds: int = 60, rate: float = 0.1, leaves: int = 15, leaf: int = 20):
        self.rounds = rounds
        self.rate = rate
        self.leaves = leaves
        self.leaf = leaf

    def fit_labelings(
        self,
        features: Float[np.ndarray, "n F"],
        codes: Int[np.ndarray, "n q"],
        levels: tuple[int, ...],
        groups: Int[np.ndarray, " n"],
    ) -> Boostings:
        """Fit trees for each labeling."""
        return Boostings.fit(features, codes, levels, **self.get_params(), progress=self.progress)
