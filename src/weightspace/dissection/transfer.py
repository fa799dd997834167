"""What is learned at one moment of training, tested at every other: a map of moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.parts import TRANSFER_COLUMNS, Transfer
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Reader
from weightspace.meta import CLASSIFIERS, control_interval
from weightspace.meta.design.folds import Cells, each_fold
from weightspace.meta.evaluation.crossfit import right_answers, with_permutations
from weightspace.meta.statistics.intervals import balanced_accuracy, normal_interval
from weightspace.progress import Progress


def transfer(
    reader: Reader, place: Place, moments: dict[int, float], progress: Progress
) -> Transfer:
    """The map of `moments` (snapshot number -> fraction of training), read at one place.

    Nets are split as everywhere: who is tested at any moment taught at none. Intervals are normal
    approximations (there are many cells); the control repeats all of it with labels permuted over
    nets.
    """
    numbers = list(moments)
    features = []
    for done, number in enumerate(numbers):
        progress("reading for transfer", done, len(numbers))
        features.append(reader.features([place], number)[0])
    progress("reading for transfer", len(numbers), len(numbers))
    labels = reader.labels
    owners = np.repeat(np.arange(len(labels.nets)), place.count)
    cells = Cells.build(labels.matrix, labels.families, reader.folds)
    codes = with_permutations(labels.matrix, cells, reader.permutations)
    rows: list[dict[str, Any]] = []
    for learned, number in enumerate(numbers):
        progress("transfer", learned, len(numbers))
        hits = _hits(reader, features, learned, owners, codes, cells)
        for tested, other in enumerate(numbers):
            ends: dict[str, Any] = {"learned": number, "tested": other}
            ends |= {"learned_fraction": moments[number], "tested_fraction": moments[other]}
            rows += [ends | row for row in _scores(reader, hits[tested], codes, place.length)]
    progress("transfer", len(numbers), len(numbers))
    rank = {name: i for i, name in enumerate(labels.properties)}
    rows.sort(key=lambda row: rank[row["property"]])
    return Transfer(pl.DataFrame(rows, schema=TRANSFER_COLUMNS))


def _hits(
    reader: Reader,
    features: Sequence[np.ndarray],
    learned: int,
    owners: np.ndarray,
    codes: np.ndarray,
    cells: Cells,
) -> np.ndarray:
    """Shares of right answers at every moment: float32 [moments, nets, labelings]."""
    labels = reader.labels
    fold = cells.fold_of(reader.seed)
    levels = tuple(map(len, labels.levels.values()))
    levels *= codes.shape[1] // len(levels)
    hits = np.zeros((len(features), *codes.shape), np.float32)
    estimator = CLASSIFIERS[reader.classifier].estimator(reader.seed)

    def judge(part: int, nets: np.ndarray) -> None:
        tested = fold[owners] == part
        taught = owners[~tested]
        fitted = estimator.fit_labelings(features[learned][~tested], codes[taught], levels, taught)
        for moment, rows in enumerate(features):
            logs = fitted.log_probabilities(rows[tested])
            hits[moment, nets] = right_answers(logs, codes, owners[tested], nets)

    each_fold(fold, labels.families, judge)
    return hits


def _scores(
    reader: Reader, hits: np.ndarray, codes: np.ndarray, length: int
) -> list[dict[str, Any]]:
    """A row a property from hits and codes, both [nets, properties x (1 + permutations)]."""
    count = len(reader.labels.properties)
    rows = []
    for i, name in enumerate(reader.labels.properties):
        found = normal_interval(hits[:, i], codes[:, i])
        controls = [
            balanced_accuracy(hits[:, j], codes[:, j])
            for j in range(i + count, codes.shape[1], count)
        ]
        reach = control_interval(tuple(controls)) if controls else None
        rows.append(
            {
                "property": name,
                "accuracy": found.value,
                "low": found.low,
                "high": found.high,
                "chance": 1 / len(reader.labels.levels[name]),
                "control_low": reach and reach.low,
                "control_high": reach and reach.high,
                "n_nets": len(codes),
                "slice_length": length,
            }
        )
    return rows
