"""Meta-classifiers: how much of a net's recipe can be read from its weights.

In: a zoo (or features and labels). Out: an `Evaluation` of accuracies with intervals, chance and a
control with permuted labels; or a `Model`, which predicts the recipe of one vector with calibrated
probabilities and says how unlike the training nets the vector is. Promises: a net is tested by
classifiers whose training set holds neither the net nor another net of its seed; all classes have
the same weight in an accuracy; too few nets are refused with the numbers; a stored model holds
arrays and JSON, and loading it executes nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weightspace.learners.estimators import Boosted as Boosted
    from weightspace.learners.estimators import Forest as Forest
    from weightspace.learners.estimators import Kernel as Kernel
    from weightspace.learners.estimators import Linear as Linear
    from weightspace.learners.estimators import Logistic as Logistic
    from weightspace.learners.estimators import SupportVectors as SupportVectors
    from weightspace.learners.raw import Raw as Raw
    from weightspace.learners.registry import BASELINE as BASELINE
    from weightspace.learners.registry import CLASSIFIERS as CLASSIFIERS
    from weightspace.learners.registry import DEFAULT as DEFAULT
    from weightspace.learners.registry import Classifier as Classifier
    from weightspace.learners.ridge import KernelRidge as KernelRidge
    from weightspace.meta.design.labels import Labels as Labels
    from weightspace.meta.design.labels import labels_of as labels_of
    from weightspace.meta.design.study import Study as Study
    from weightspace.meta.evaluation.crossfit import Score as Score
    from weightspace.meta.evaluation.crossfit import crossfit as crossfit
    from weightspace.meta.evaluation.protocol import evaluate as evaluate
    from weightspace.meta.evaluation.regressed import Regression as Regression
    from weightspace.meta.evaluation.regression import regress as regress
    from weightspace.meta.evaluation.result import Evaluation as Evaluation
    from weightspace.meta.model.answer import Answer as Answer
    from weightspace.meta.model.answer import Reading as Reading
    from weightspace.meta.model.fitting import fit as fit
    from weightspace.meta.model.model import Model as Model
    from weightspace.meta.statistics.intervals import Interval as Interval
    from weightspace.meta.statistics.intervals import bootstrap as bootstrap
    from weightspace.meta.statistics.intervals import control_interval as control_interval

# Loaded when first used: a prediction needs no more than the model.
_HOMES = {
    "weightspace.learners.estimators": (
        "Boosted",
        "Forest",
        "Kernel",
        "Linear",
        "Logistic",
        "SupportVectors",
    ),
    "weightspace.learners.raw": ("Raw",),
    "weightspace.learners.registry": (
        "BASELINE",
        "CLASSIFIERS",
        "DEFAULT",
        "Classifier",
    ),
    "weightspace.learners.ridge": ("KernelRidge",),
    "weightspace.meta.design.labels": (
        "Labels",
        "labels_of",
    ),
    "weightspace.meta.design.study": ("Study",),
    "weightspace.meta.evaluation.crossfit": (
        "Score",
        "crossfit",
    ),
    "weightspace.meta.evaluation.protocol": ("evaluate",),
    "weightspace.meta.evaluation.regressed": ("Regression",),
    "weightspace.meta.evaluation.regression": ("regress",),
    "weightspace.meta.evaluation.result": ("Evaluation",),
    "weightspace.meta.model.answer": (
        "Answer",
        "Reading",
    ),
    "weightspace.meta.model.fitting": ("fit",),
    "weightspace.meta.model.model": ("Model",),
    "weightspace.meta.statistics.intervals": (
        "Interval",
        "bootstrap",
        "control_interval",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BASELINE",
    "CLASSIFIERS",
    "DEFAULT",
    "Answer",
    "Boosted",
    "Classifier",
    "Evaluation",
    "Forest",
    "Interval",
    "Kernel",
    "KernelRidge",
    "Labels",
    "Linear",
    "Logistic",
    "Model",
    "Raw",
    "Reading",
    "Regression",
    "Score",
    "Study",
    "SupportVectors",
    "bootstrap",
    "control_interval",
    "crossfit",
    "evaluate",
    "fit",
    "labels_of",
    "regress",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'weightspace.meta' has no attribute {name!r}")
