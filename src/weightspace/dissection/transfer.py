"""Classifiers trained on one snapshot and tested on every other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.part import Part, ranked
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Outcomes, Reader
from weightspace.meta import CLASSIFIERS
from weightspace.meta.design.folds import each_fold
from weightspace.meta.evaluation.crossfit import right_answers
from weightspace.meta.statistics.intervals import normal_interval
from weightspace.progress import Progress

TRANSFER_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "learned": pl.Int64,
    "tested": pl.Int64,
    "learned_fraction": pl.Float64,
    "tested_fraction": pl.Float64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
    "slice_length": pl.Int64,
}


class Transfer(Part):
    """Accuracy of classifiers trained on one snapshot and tested on another, on other nets.

    Parameters
    ----------
    table : DataFrame
        A row for each property and pair of snapshots, with columns `TRANSFER_COLUMNS`: `learned`
        is the snapshot of training, `tested` that of the test.
    """

    NAME = "transfer"
    COLUMNS = TRANSFER_COLUMNS


def transfer(
    reader: Reader, place: Place, moments: dict[int, float], progress: Progress
) -> Transfer:
    """Test all pairs of `moments` (snapshot number -> fraction of training) at one place.

    Folds are by net: no snapshot of a tested net is in the training set. Intervals are normal
    approximations, because there are many pairs. The control repeats everything with labels
    permuted over nets.
    """
    numbers = list(moments)
    features = []
    for done, number in enumerate(numbers):
        progress("reading for transfer", done, len(numbers))
        features.append(reader.features([place], number)[0])
    progress("reading for transfer", len(numbers), len(numbers))
    labels = reader.labels
    owners = np.repeat(np.arange(len(labels.nets)), place.count)
    codes = reader.study.labelings().codes
    rows: list[dict[str, Any]] = []
    for learned, number in enumerate(numbers):
        progress("transfer", learned, len(numbers))
        hits = _hits(reader, features, learned, owners)
        for tested, other in enumerate(numbers):
            ends: dict[str, Any] = {"learned": number, "tested": other}
            ends |= {"learned_fraction": moments[number], "tested_fraction": moments[other]}
            ends["slice_length"] = place.length
            outcomes = Outcomes(hits[tested], codes, labels.groups)
            for i, name in enumerate(labels.properties):
                rows.append(ends | {"property": name} | outcomes.score(i, normal_interval))
    progress("transfer", len(numbers), len(numbers))
    return Transfer(ranked(rows, TRANSFER_COLUMNS, labels.properties))


def _hits(
    reader: Reader, features: Sequence[np.ndarray], learned: int, owners: np.ndarray
) -> np.ndarray:
    """Shares of right predictions by snapshot: float32 [snapshot, net, labeling, property]."""
    labelings, fold = reader.study.labelings(), reader.study.cells.fold_of(reader.seed)
    codes = labelings.targets
    hits = np.zeros((len(features), *codes.shape), np.float32)
    estimator = CLASSIFIERS[reader.classifier].estimator(reader.seed)

    def predict_fold(part: int, nets: np.ndarray) -> None:
        tested = fold[owners] == part
        trained = owners[~tested]
        fitted = estimator.fit_labelings(
            features[learned][~tested], codes[trained], labelings.target_levels, trained
        )
        for snapshot, rows in enumerate(features):
            logs = fitted.log_probabilities(rows[tested])
            hits[snapshot, nets] = right_answers(logs, codes, owners[tested], nets)

    each_fold(fold, reader.labels.groups, predict_fold)
    return labelings.by_property(hits)
