"""Nets of a kind that no teacher had: every level of every property left out in turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from weightspace.dissection.parts import UNSEEN_COLUMNS, Unseen
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Reader, figures, ranked
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import Source
from weightspace.meta.statistics.intervals import balanced_accuracy
from weightspace.meta.statistics.pairs import difference_interval
from weightspace.progress import Progress

_WHOLE = "layers"


def unseen(reader: Reader, place: Place, progress: Progress) -> Unseen:
    """Whether properties can be read off nets of a data set, depth and so on never taught.

    Of each property whose levels can be left out, one after the other, so that every net is judged
    once, by a classifier that learned from nets of the other levels. Beside it (`known`) what
    classifiers reach that learned from as many nets of all levels: those of as many random folds
    as there are levels. Slices of `place` and whole nets are read, at the last snapshot. A
    property of which nets of one family have several levels is not left out.
    """
    labels = reader.labels
    slices = reader.features([place], -1)[0]
    owners = np.repeat(np.arange(len(labels.nets)), place.count)
    layers, nets = net_rows(reader.zoo, labels.nets, Source(place.length), progress)
    read = [("slice", reader.classifier, slices, owners), ("net", _WHOLE, layers, nets)]
    left_out = [name for name in labels.properties if _parts_no_family(reader, name)]
    rows: list[dict[str, Any]] = []
    for done, (unit, classifier, features, own) in enumerate(read):
        known: dict[int, np.ndarray] = {}
        for turn, name in enumerate(left_out):
            progress("levels never taught", done * len(left_out) + turn, 2 * len(left_out))
            count = len(labels.levels[name])
            if count not in known:
                cells = Cells.build(labels.matrix, labels.families, count)
                known[count] = reader.hits(classifier, features, own, cells, 0)[0]
            cells = Cells(labels.codes[name], count)
            hits, codes = reader.hits(classifier, features, own, cells, reader.permutations)
            about = {"without": name, "unit": unit}
            rows += [about | row for row in _rows(reader, name, hits, codes, known[count])]
    progress("levels never taught", 2 * len(left_out), 2 * len(left_out))
    return Unseen(ranked(rows, UNSEEN_COLUMNS, labels.properties))


def _parts_no_family(reader: Reader, name: str) -> bool:
    """Whether nets of one seed or start all have one level of the property."""
    pairs = np.stack([reader.labels.families, reader.labels.codes[name]])
    return np.unique(pairs, axis=1).shape[1] == len(np.unique(reader.labels.families))


def _rows(
    reader: Reader, without: str, hits: np.ndarray, codes: np.ndarray, known: np.ndarray
) -> Iterator[dict[str, Any]]:
    """A row a property and level left out, after one of all levels together."""
    labels, count = reader.labels, len(reader.labels.properties)
    own = labels.codes[without]
    groups: list[tuple[str | None, np.ndarray]] = [(None, np.ones(len(own), bool))]
    groups += [(name, own == i) for i, name in enumerate(labels.levels[without])]
    for i, name in enumerate(labels.properties):
        if name == without:
            continue
        for level, nets in groups:
            if _all_levels(codes[nets, i], len(labels.levels[name])):
                row = _figures(hits[nets, i::count], codes[nets, i::count], known[nets, i])
                yield {"property": name, "level": level} | row


def _all_levels(codes: np.ndarray, levels: int) -> bool:
    return bool(np.bincount(codes, minlength=levels).min() > 1)


def _figures(hits: np.ndarray, codes: np.ndarray, known: np.ndarray) -> dict[str, Any]:
    """Of hits and codes [n, 1 + permutations], and hits [n] of who was taught all levels."""
    lost = (known - hits[:, 0]).astype(float)
    low, high = difference_interval(lost, codes[:, 0])
    return figures(list(hits.T), codes) | {
        "known": balanced_accuracy(known.astype(float), codes[:, 0]),
        "drop": balanced_accuracy(lost, codes[:, 0]),
        "drop_low": low,
        "drop_high": high,
    }
