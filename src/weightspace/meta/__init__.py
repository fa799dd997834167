"""Meta-classifiers: how much of a net's recipe can be read from its weights.

In: a zoo (or features and labels). Out: an `Evaluation` of accuracies with intervals, chance and a
control with permuted labels; or a `Model`, which predicts the recipe of one vector with calibrated
probabilities and says how unlike the training nets the vector is. Promises: a net is tested by
classifiers whose training set holds neither the net nor another net of its seed; all classes have
the same weight in an accuracy; too few nets are refused with the numbers; a stored model holds
arrays and JSON, and loading it executes nothing.
"""

from weightspace.learners.estimators import (
    Boosted,
    Forest,
    Kernel,
    Linear,
    Logistic,
    SupportVectors,
)
from weightspace.learners.raw import Raw
from weightspace.learners.registry import BASELINE, CLASSIFIERS, DEFAULT, Classifier
from weightspace.learners.ridge import KernelRidge
from weightspace.meta.design.labels import Labels, labels_of
from weightspace.meta.design.study import Study
from weightspace.meta.evaluation.crossfit import Score, crossfit
from weightspace.meta.evaluation.protocol import evaluate
from weightspace.meta.evaluation.regressed import Regression
from weightspace.meta.evaluation.regression import regress
from weightspace.meta.evaluation.result import Evaluation
from weightspace.meta.model.fitting import fit
from weightspace.meta.model.model import Answer, Model, Reading
from weightspace.meta.statistics.intervals import Interval, bootstrap, control_interval

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
