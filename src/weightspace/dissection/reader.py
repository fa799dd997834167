"""`Reader`: places of a zoo's vectors, and how well each property is read off them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from weightspace.dissection.parts import WHEN_COLUMNS, WHERE_COLUMNS, When, Where
from weightspace.dissection.places import Place
from weightspace.meta import CLASSIFIERS, Labels, Score, control_interval, crossfit
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.slices import SLICE_FEATURES
from weightspace.meta.evaluation.crossfit import judge, with_permutations
from weightspace.meta.statistics.intervals import balanced_accuracy, crossfitted
from weightspace.progress import Progress
from weightspace.zoo import Zoo

if TYPE_CHECKING:
    from weightspace.networks import Layout

_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Reader:
    """Reads places of a zoo's vectors and says how well each property is read off them."""

    zoo: Zoo
    labels: Labels
    layouts: dict[str, Layout]
    classifier: str
    folds: int
    seed: int
    permutations: int

    def where(self, spots: Sequence[Place], progress: Progress) -> Where:
        """Accuracy at every place of the last snapshot."""
        rows = []
        for done, (place, features) in enumerate(zip(spots, self.features(spots, -1), strict=True)):
            progress("where", done, len(spots))
            extents = {lay.key: place.extent(lay) for lay in distinct(self.layouts)}
            ends = [extents[layout.key] for layout in self.layouts.values()]
            start, stop = map(float, np.mean(ends, axis=0))
            about = {"axis": place.axis, "place": place.name, "start": start, "stop": stop}
            rows += [about | score for score in self._scores(place, features)]
        progress("where", len(spots), len(spots))
        return Where(ranked(rows, WHERE_COLUMNS, self.labels.properties))

    def when(self, place: Place, moments: dict[int, float], progress: Progress) -> When:
        """Accuracy at every snapshot, read at the same place."""
        rows = []
        for done, (snapshot, fraction) in enumerate(moments.items()):
            progress("when", done, len(moments))
            (features,) = self.features([place], snapshot)
            about = {"snapshot": snapshot, "fraction": fraction}
            rows += [about | score for score in self._scores(place, features)]
        progress("when", len(moments), len(moments))
        return When(ranked(rows, WHEN_COLUMNS, self.labels.properties))

    def features(self, spots: Sequence[Place], snapshot: int) -> list[np.ndarray]:
        """Features of all nets at every place, float32 [nets x count, F]; a few nets at a time."""
        function = SLICE_FEATURES[CLASSIFIERS[self.classifier].features]
        size = sum(place.count * place.length * 4 for place in spots)
        step = max(1, _BYTES // size)
        parts: list[list[np.ndarray]] = [[] for _ in spots]
        for first in range(0, len(self.labels.nets), step):
            nets = self.labels.nets[first : first + step]
            vectors = [(self.zoo.vector(net, snapshot), self.layouts[net]) for net in nets]
            for place, rows in zip(spots, parts, strict=True):
                values = [place.read(vector, layout) for vector, layout in vectors]
                rows.append(function(np.concatenate(values)))
        return [np.concatenate(rows) for rows in parts]

    def hits(
        self,
        classifier: str,
        features: np.ndarray,
        owners: np.ndarray,
        cells: Cells,
        permutations: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shares of right answers, and the labels: both [N, properties x (1 + permutations)].

        Of rows `features` [n, F] of the nets `owners` int [n], by classifiers that other folds of
        `cells` taught.
        """
        codes = with_permutations(self.labels.matrix, cells, permutations)
        levels = tuple(map(len, self.labels.levels.values())) * (1 + permutations)
        judged = judge(
            features,
            owners,
            codes,
            levels,
            cells.fold_of(self.seed),
            self.labels.families,
            CLASSIFIERS[classifier].estimator(self.seed),
        )
        return judged.slice_hits[:, 0], codes

    def _scores(self, place: Place, features: np.ndarray) -> list[dict[str, Any]]:
        """A row a property: accuracy, interval, chance, nets."""
        scores = crossfit(
            features,
            np.repeat(np.arange(len(self.labels.nets)), place.count),
            self.labels.codes,
            classifier=self.classifier,
            families=self.labels.families,
            folds=self.folds,
            seed=self.seed,
            permutations=self.permutations,
        )
        about = {"running_stats": place.running_stats, "slice_length": place.length}
        kept = ("property", "accuracy", "low", "high", "chance", "n_nets")
        return [
            {name: getattr(score, name) for name in kept} | about | _control(score)
            for score in scores
        ]


def _control(score: Score) -> dict[str, float | None]:
    """The interval of accuracies from permuted labels, None where none were asked for."""
    if not score.controls:
        return {"control_low": None, "control_high": None}
    found = control_interval(score.controls)
    return {"control_low": found.low, "control_high": found.high}


def ranked(
    rows: list[dict[str, Any]], columns: dict[str, Any], properties: Sequence[str]
) -> pl.DataFrame:
    """The rows, those of one property together, in the order of the properties."""
    rank = {name: i for i, name in enumerate(properties)}
    rows = sorted(rows, key=lambda row: rank[row["property"]])
    return pl.DataFrame(rows, schema=columns)


def distinct(layouts: dict[str, Layout]) -> list[Layout]:
    """The layouts that occur, each once."""
    return list({layout.key: layout for layout in layouts.values()}.values())


def figures(hits: Sequence[np.ndarray], codes: np.ndarray) -> dict[str, Any]:
    """Accuracy, interval and control from hits [1 + permutations] of [N], codes [N, the same]."""
    own = crossfitted(hits[0].astype(float), codes[:, 0], resamples=400)
    controls = [
        balanced_accuracy(some.astype(float), truth)
        for some, truth in zip(hits[1:], codes.T[1:], strict=True)
    ]
    reach = control_interval(tuple(controls)) if controls else None
    return {
        "accuracy": own.value,
        "low": own.low,
        "high": own.high,
        "chance": 1 / len(np.unique(codes[:, 0])),
        "control_low": reach and reach.low,
        "control_high": reach and reach.high,
        "n_nets": len(codes),
    }
