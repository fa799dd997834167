"""How long a slice, and how many of one net: accuracy as both grow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weightspace.dissection.parts import SLICES_COLUMNS, Slices
from weightspace.dissection.reader import Reader, figures, ranked
from weightspace.errors import UsageError
from weightspace.features import SHORTEST
from weightspace.meta import CLASSIFIERS
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.labels import require
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.evaluation.crossfit import judge, with_permutations
from weightspace.progress import Progress

LENGTHS = (SHORTEST, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000)
COUNTS = (1, 2, 4, 8, 16)


def slices(
    reader: Reader,
    progress: Progress,
    lengths: Sequence[int] = LENGTHS,
    counts: Sequence[int] = COUNTS,
) -> Slices:
    """Random slices of the last snapshot; a net's are combined by their log-probabilities.

    A length is tried on the nets that are long enough, where those are enough for an interval:
    `n_nets` says how many. The judges of a length learned from as many slices a net as the most
    that are combined.
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
        require({name: codes[room] for name, codes in reader.labels.codes.items()}, reader.folds)
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
    cells = Cells.build(labels.matrix[room], labels.families[room], reader.folds)
    codes = with_permutations(labels.matrix[room], cells, reader.permutations)
    levels = tuple(map(len, labels.levels.values()))
    levels *= codes.shape[1] // len(levels)
    judged = judge(
        found[name],
        owners,
        codes,
        levels,
        cells.fold_of(reader.seed),
        labels.families[room],
        CLASSIFIERS[reader.classifier].estimator(reader.seed),
        groups=turn,
        detailed=len(levels),
    )
    rows = []
    for i, property in enumerate(labels.properties):
        sums = [
            judged.log_probabilities[j].cumsum(axis=1)
            for j in range(i, len(levels), len(labels.properties))
        ]
        for count in counts:
            hits = [
                (total[:, count - 1].argmax(axis=1) == codes[:, i + place * len(labels.properties)])
                for place, total in enumerate(sums)
            ]
            about = {"property": property, "slice_length": length, "slices": count}
            rows.append(about | figures(hits, codes[:, i :: len(labels.properties)]))
    return rows
