"""Levels left out of training: every level of every property in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from weightspace.dissection.part import Part, ranked
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Outcomes, Reader
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import Source
from weightspace.meta.statistics.intervals import balanced_accuracy
from weightspace.progress import Progress

UNSEEN_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "without": pl.String,
    "level": pl.String,
    "unit": pl.String,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "known": pl.Float64,
    "drop": pl.Float64,
    "drop_low": pl.Float64,
    "drop_high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}


class Unseen(Part):
    """Accuracy on nets of a level that was left out of training.

    Parameters
    ----------
    table : DataFrame
        A row for each property, property left out, level and unit, with columns `UNSEEN_COLUMNS`.
        `without` is the property whose `level` was left out (null for all levels in turn, with all
        nets together); `unit` is "slice" or "net". `known` is the accuracy on the same nets of
        classifiers trained on as many nets of all levels; `drop` is the loss against it, with its
        paired interval.
    """

    NAME = "unseen"
    COLUMNS = UNSEEN_COLUMNS


_WHOLE = "layers"


def unseen(reader: Reader, place: Place, progress: Progress) -> Unseen:
    """Test properties on nets of a data set, depth and so on that is not in the training set.

    The levels of each property are left out one after the other. Every net is thus tested once, by
    a classifier that was trained on nets of the other levels. For comparison (`known`), classifiers
    are trained on as many nets of all levels, with as many random folds as there are levels. Slices
    of `place` and whole nets are read at the last snapshot. A property is not left out if nets of
    one group have several of its levels.
    """
    labels = reader.labels
    slices = reader.features([place], -1)[0]
    owners = np.repeat(np.arange(len(labels.nets)), place.count)
    layers, nets = net_rows(reader.zoo, labels.nets, Source(place.length), progress)
    read = [("slice", reader.classifier, slices, owners), ("net", _WHOLE, layers, nets)]
    left_out = [name for name in labels.properties if _keeps_groups(reader, name)]
    rows: list[dict[str, Any]] = []
    for done, (unit, classifier, features, own) in enumerate(read):
        known: dict[int, np.ndarray] = {}
        for turn, name in enumerate(left_out):
            progress("levels left out", done * len(left_out) + turn, 2 * len(left_out))
            count = len(labels.levels[name])
            if count not in known:
                cells = Cells.build(labels.matrix, labels.groups, count)
                known[count] = reader.hits(classifier, features, own, cells, 0).true_hits
            cells = Cells(labels.codes[name], count)
            found = reader.hits(classifier, features, own, cells, reader.study.permutations)
            about = {"without": name, "unit": unit}
            rows += [about | row for row in _rows(reader, name, found, known[count])]
    progress("levels left out", 2 * len(left_out), 2 * len(left_out))
    return Unseen(ranked(rows, UNSEEN_COLUMNS, labels.properties))


def _keeps_groups(reader: Reader, name: str) -> bool:
    """Whether all nets of a group have the same level of the property."""
    pairs = np.stack([reader.labels.groups, reader.labels.codes[name]])
    distinct_pairs: int = np.unique(pairs, axis=1).shape[1]
    return distinct_pairs == len(np.unique(reader.labels.groups))


def _rows(
    reader: Reader, without: str, found: Outcomes, known: np.ndarray
) -> Iterator[dict[str, Any]]:
    """A row for each property and level left out, after a row for all levels together.

    `known` float64 [net, property] are the hits of classifiers trained on nets of all levels.
    """
    labels = reader.labels
    own = labels.codes[without]
    sets: list[tuple[str | None, np.ndarray]] = [(None, np.ones(len(own), bool))]
    sets += [(name, own == i) for i, name in enumerate(labels.levels[without])]
    for i, name in enumerate(labels.properties):
        if name == without:
            continue
        for level, nets in sets:
            some = found.of(nets)
            codes = some.codes[:, 0, i]
            if np.bincount(codes, minlength=len(labels.levels[name])).min() > 1:
                yield {
                    "property": name,
                    "level": level,
                    **some.score(i),
                    "known": balanced_accuracy(known[nets, i], codes),
                    **some.loss(i, known[nets, i] - some.true_hits[:, i]),
                }
