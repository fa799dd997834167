"""Accuracy by the length of slices and by the number of slices of a net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.part import Part, ranked
from weightspace.dissection.reader import Outcomes, Reader
from weightspace.errors import UsageError
from weightspace.features import SHORTEST
from weightspace.meta import CLASSIFIERS
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.labels import require
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.progress import Progress

SLICES_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "slice_length": pl.Int64,
    "slices": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}


class Slices(Part):
    """Accuracy by the length of slices and the number of slices of a net taken together.

    Parameters
    ----------
    table : DataFrame
        A row for each property, `slice_length` (values) and number of `slices`, with columns
        `SLICES_COLUMNS`.
    """

    NAME = "slices"
    COLUMNS = SLICES_COLUMNS


LENGTHS = (SHORTEST, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
COUNTS = (1, 2, 4, 8, 16)
_TAUGHT = 8
"""The slices of each net that classifiers are trained on. Twice as many gain 0.2 points."""


def slices(
    reader: Reader,
    progress: Progress,
    lengths: Sequence[int] = LENGTHS,
    counts: Sequence[int] = COUNTS,
) -> Slices:
    """Test random slices of the last snapshot, combined by the sum of their log-probabilities.

    Each length is tested on the nets that are long enough, if these are enough for an interval;
    `n_nets` is their number. For every length, classifiers are trained on up to eight slices of
    each net.
    """
    rows: list[dict[str, Any]] = []
    sizes = np.array([layout.size for layout in reader.layouts.values()])
    for done, length in enumerate(lengths):
        progress("lengths of slices", done, len(lengths))
        room = sizes >= length
        if _enough(reader, room):
            rows += _of_length(reader, room, length, sorted(counts))
    progress("lengths of slices", len(lengths), len(lengths))
    return Slices(ranked(rows, SLICES_COLUMNS, reader.labels.properties))


def _enough(reader: Reader, room: np.ndarray) -> bool:
    try:
        require(
            {name: codes[room] for name, codes in reader.labels.codes.items()}, reader.study.folds
        )
    except UsageError:
        return False
    return bool(reader.labels.matrix[room].max(0).tolist() == reader.labels.matrix.max(0).tolist())


def _of_length(
    reader: Reader, room: np.ndarray, length: int, counts: Sequence[int]
) -> list[dict[str, Any]]:
    labels = reader.labels
    nets = [net for net, fits in zip(labels.nets, room, strict=True) if fits]
    name = CLASSIFIERS[reader.classifier].features
    found, owners = random_slices(
        reader.zoo, nets, {name: SLICE_FEATURES[name]}, Source(length),
        per_net=counts[-1], seed=reader.seed,
    )  # fmt: skip
    # The number of a row among those of its net, in the order in which they were drawn.
    order = np.argsort(owners, kind="stable")
    turn = np.empty(len(owners), np.int64)
    turn[order] = np.arange(len(owners)) - np.searchsorted(owners[order], owners[order])
    groups = labels.groups[room]
    cells = Cells.build(labels.matrix[room], groups, reader.study.folds)
    labelings = Labelings.of(labels.matrix[room], cells, reader.study.permutations)
    predicted = cross_predict(
        found[name],
        owners,
        labelings,
        cells.fold_of(reader.seed),
        groups,
        CLASSIFIERS[reader.classifier].estimator(reader.seed),
        places=turn,
        taught=turn < _TAUGHT,
        detailed=1 + labelings.permutations,
    )
    rows = []
    sums = [[logs.cumsum(axis=1) for logs in own] for own in predicted.log_probabilities]
    for count in counts:
        answers = [[total[:, count - 1].argmax(axis=1) for total in own] for own in sums]
        right = np.moveaxis(np.array(answers), 2, 0) == labelings.codes
        outcomes = Outcomes(right, labelings.codes, groups)
        for i, property in enumerate(labels.properties):
            about = {"property": property, "slice_length": length, "slices": count}
            rows.append(about | outcomes.score(i))
    return rows
