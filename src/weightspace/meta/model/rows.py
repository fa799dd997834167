"""`fit_rows`: a model of rows that a caller made, for one population of one architecture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from weightspace.learners.estimators import Fitted, MetaClassifier
from weightspace.meta.design.study import Study
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.model.answer import Reading, reading
from weightspace.meta.model.caution import told_of_left_out
from weightspace.meta.model.reader import Ability, abilities, calibrated
from weightspace.progress import Progress, silent


@dataclass(frozen=True)
class RowModel:
    """Classifiers of every property, with what held-out nets tell of their answers.

    Parameters
    ----------
    fitted : Fitted
        The classifiers.
    abilities : tuple of Ability
        How well each property is read.
    """

    fitted: Fitted
    abilities: tuple[Ability, ...]

    def read(self, row: np.ndarray) -> dict[str, Reading]:
        """Read a net.

        Parameters
        ----------
        row : ndarray of float, shape (F,)
            The row of the net.

        Returns
        -------
        dict of str to Reading
            By property.
        """
        chances = calibrated(self.fitted, self.abilities, row[None])
        return {
            ability.property: reading(ability, own, row)
            for ability, own in zip(self.abilities, chances, strict=True)
        }


def fit_rows(
    study: Study,
    rows: np.ndarray,
    estimator: MetaClassifier,
    *,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress = silent,
) -> RowModel:
    """Fit classifiers of rows that the caller made.

    Parameters
    ----------
    study : Study
        Which nets take part, and the folds.
    rows : ndarray of float, shape (nets, F)
        A row for each net of `study.labels.nets`.
    estimator : MetaClassifier
        Unfitted.
    seed : int
        The seed of the folds.
    resamples : int
        The resamples of the bootstrap of intervals.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    RowModel

    Raises
    ------
    UsageError
        If there are too few nets for an interval.
    """
    labels = study.labels
    labels.require(study.folds)
    owners = np.arange(len(rows))
    labelings, fold = study.labelings(0), study.cells.fold_of(seed)
    predicted = cross_predict(rows, owners, labelings, fold, labels.groups, estimator, detailed=1)
    fitted = estimator.fit_kept(rows, labels.matrix, labelings.levels, owners)
    told = {}
    # Threads within such small matrices cost more than they save.
    with threadpool_limits(1, "blas"):
        for done, (name, codes) in enumerate(labels.codes.items()):
            progress("leaving levels out", done, len(labels.codes))
            told[name] = told_of_left_out(
                rows, codes, len(labels.levels[name]), owners, fold, estimator
            )
    progress("leaving levels out", len(labels.codes), len(labels.codes))
    return RowModel(fitted, abilities(labels, predicted, fold, rows, told, resamples))
