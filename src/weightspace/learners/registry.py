"""The meta-classifiers by name: which features each reads, and which estimator it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module

from sklearn.base import RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor, VotingRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from weightspace.errors import UsageError
from weightspace.learners.estimators import (
    Boosted,
    Forest,
    Kernel,
    Linear,
    Logistic,
    MetaClassifier,
    SupportVectors,
)
from weightspace.learners.raw import Raw
from weightspace.learners.ridge import KernelRidge
from weightspace.learners.together import Together
from weightspace.learners.trees import without_missing


def _by_kernel(seed: int) -> RegressorMixin:
    return KernelRidge(seed=seed)


def _by_trees(seed: int) -> RegressorMixin:
    made = HistGradientBoostingRegressor(early_stopping=False, random_state=seed)
    return make_pipeline(FunctionTransformer(without_missing), made)


def _by_both(seed: int) -> RegressorMixin:
    return VotingRegressor([("kernel", _by_kernel(seed)), ("trees", _by_trees(seed))])


@dataclass(frozen=True)
class Classifier:
    """The entry of a meta-classifier in the registry.

    Parameters
    ----------
    name : str
        The name.
    features : str
        The features of slices "statistics", "local" or "values" (slices as they are), or one of
        `WHOLE`, of whole nets: "layers", "weights" (as they are), "tokens" (layer by layer),
        "pooled" (slices jointly). A classifier of whole nets has results at `level="net"` only.
    estimator : callable
        `estimator(seed)` makes an estimator that is not fitted.
    controlled : bool
        Whether it is cheap enough to be repeated with permuted labels.
    about : str
        What it is and reads, in one line.
    regression : callable
        `regression(seed)` makes a regression of its kind that predicts numbers.
    """

    name: str
    features: str
    estimator: Callable[[int], MetaClassifier]
    controlled: bool
    about: str
    regression: Callable[[int], RegressorMixin] = _by_kernel

    @property
    def whole(self) -> bool:
        """Whether it reads whole nets, not slices."""
        return self.features in WHOLE


def _network(name: str) -> Callable[[int], MetaClassifier]:
    """Make an estimator of the sub-package `neural`, which loads torch only when it is called."""

    def make(seed: int) -> MetaClassifier:
        made: MetaClassifier = getattr(import_module("weightspace.learners.neural"), name)(
            seed=seed
        )
        return made

    return make


WHOLE = ("layers", "weights", "tokens", "pooled")
"""The kinds of features of whole nets."""

BASELINE = "shallow"
"""The name of the baseline, which is always evaluated."""
DEFAULT = "kernel"
"""The name of the classifier of slices that `fit` uses by default."""
STANDARD = (BASELINE, DEFAULT, "layers")
"""What `evaluate` runs by default: those that are cheap enough for permuted labels."""
ALIGNED = "raw"
"""What `evaluate` also runs if all nets share one layout."""

_SLICE = "distribution, order and changes along a slice"
_LAYERS = "statistics of every layer of a whole net"

CLASSIFIERS: dict[str, Classifier] = {
    c.name: c
    for c in (
        Classifier(
            BASELINE,
            "statistics",
            lambda seed: Linear(),
            True,
            "a linear model of moments and quantiles of a slice: the baseline",
        ),
        Classifier(
            DEFAULT,
            "local",
            lambda seed: Kernel(seed=seed),
            True,
            f"kernel ridge regression on {_SLICE}",
        ),
        Classifier(
            "forest",
            "local",
            lambda seed: Forest(seed=seed),
            False,
            f"extremely randomised trees on {_SLICE}",
        ),
        Classifier(
            "logistic",
            "statistics",
            lambda seed: Logistic(),
            True,
            "logistic regression on moments and quantiles of a slice",
        ),
        Classifier(
            "svm",
            "statistics",
            lambda seed: SupportVectors(),
            False,
            "support vectors on moments and quantiles of a slice",
        ),
        Classifier(
            "boosted-statistics",
            "statistics",
            lambda seed: Boosted(),
            False,
            "gradient-boosted trees on moments and quantiles of a slice",
            _by_trees,
        ),
        Classifier(
            "boosted",
            "local",
            lambda seed: Boosted(),
            False,
            f"gradient-boosted trees on {_SLICE}",
            _by_trees,
        ),
        Classifier(
            "boosted-layers",
            "layers",
            lambda seed: Boosted(),
            False,
            f"gradient-boosted trees on {_LAYERS}",
            _by_trees,
        ),
        Classifier(
            "pooled",
            "pooled",
            lambda seed: Kernel(landmarks=1500, width=2.0, ridge=0.01, seed=seed),
            True,
            "kernel ridge regression on slices of a whole net jointly",
        ),
        Classifier(
            "layers",
            "layers",
            lambda seed: Kernel(landmarks=1500, width=2.0, ridge=0.01, seed=seed),
            True,
            f"kernel ridge regression on {_LAYERS}",
        ),
        Classifier(
            "ensemble",
            "layers",
            lambda seed: Together(
                (Kernel(landmarks=1500, width=2.0, ridge=0.01, seed=seed), Boosted(leaves=7))
            ),
            False,
            f"the mean of kernel regression and boosted trees on {_LAYERS}",
            _by_both,
        ),
        Classifier(
            ALIGNED,
            "weights",
            lambda seed: Raw(),
            True,
            "a linear model of every weight and its size, of nets of one layout",
        ),
        Classifier(
            "paper",
            "values",
            _network("Paper"),
            False,
            "the network of Eilertsen et al. (2020) on a slice as it is",
        ),
        Classifier(
            "patches",
            "values",
            _network("Patches"),
            False,
            "a small network on a slice as it is",
        ),
        Classifier(
            "sequence",
            "tokens",
            _network("Sequence"),
            False,
            "a small network on statistics of a net's layers, in order",
        ),
    )
}
"""The entries by name. `shallow` is always evaluated, too."""


def classifier(name: str) -> Classifier:
    """The entry of this name; UsageError lists the known names."""
    if name not in CLASSIFIERS:
        raise UsageError(name, "no such classifier", f"known are {', '.join(CLASSIFIERS)}")
    return CLASSIFIERS[name]


def classifiers(names: Iterable[str] | None) -> list[Classifier]:
    """The entries with these names, the baseline first; those in `STANDARD` by default."""
    wanted = STANDARD if names is None else tuple(names)
    return [classifier(name) for name in dict.fromkeys((BASELINE, *wanted))]
