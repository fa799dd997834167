"""`Reader`: reads places of a zoo's vectors and tests how well properties can be read there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from weightspace.dissection.places import Place
from weightspace.meta import CLASSIFIERS, Labels, Score, Study, control_interval, crossfit
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.slices import SLICE_FEATURES
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.statistics.intervals import balanced_accuracy
from weightspace.meta.statistics.pairs import difference_interval
from weightspace.meta.statistics.scores import IntervalOf, resampled, score
from weightspace.zoo import Zoo

if TYPE_CHECKING:
    from weightspace.networks import Layout

_BYTES = 64 * 2**20
INTERVAL = resampled(400)


@dataclass(frozen=True)
class Outcomes:
    """The share of right predictions for each net, under several labelings.

    Parameters
    ----------
    hits : float [net, labeling, property]
        The share of a net's predictions that are right.
    codes : int [net, labeling, property]
        The true levels under each labeling.
    groups : int [net]
        Nets of one seed share a number.
    """

    hits: np.ndarray
    codes: np.ndarray
    groups: np.ndarray

    @property
    def true_hits(self) -> np.ndarray:
        """The hits under the true labels: float64 [net, property]."""
        return self.hits[:, 0].astype(np.float64)

    def of(self, nets: np.ndarray) -> Outcomes:
        """The outcomes of some nets, given as positions or as bool [net]."""
        return Outcomes(self.hits[nets], self.codes[nets], self.groups[nets])

    def score(self, i: int, interval: IntervalOf = INTERVAL) -> dict[str, Any]:
        """Accuracy, interval, chance, control and number of nets of property `i`, as columns."""
        hits = self.hits[:, :, i].astype(np.float64)
        return score(hits, self.codes[:, :, i], self.groups, interval).columns("control")

    def loss(self, i: int, lost: np.ndarray) -> dict[str, float]:
        """The mean over classes of `lost`, the loss of hits float64 [net], for property `i`.

        Returns `drop` and its paired 95 % interval, `drop_low`..`drop_high`.
        """
        codes = self.codes[:, 0, i]
        low, high = difference_interval(lost, codes, self.groups)
        return {"drop": balanced_accuracy(lost, codes), "drop_low": low, "drop_high": high}


@dataclass(frozen=True)
class Reader:
    """Reads places of a zoo's vectors and tests how well properties can be read there.

    `layouts` are those of the study's nets; `classifier` names one that reads slices.
    """

    study: Study
    layouts: dict[str, Layout]
    classifier: str

    @property
    def zoo(self) -> Zoo:
        """The zoo of the study."""
        return self.study.zoo

    @property
    def labels(self) -> Labels:
        """The nets and their levels."""
        return self.study.labels

    @property
    def seed(self) -> int:
        """The first seed of the study, for folds, slices and estimators."""
        return self.study.seeds[0]

    def features(self, spots: Sequence[Place], snapshot: int) -> list[np.ndarray]:
        """Features of all nets at every place, float32 [nets x count, F], read in small batches."""
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
    ) -> Outcomes:
        """Cross-fit rows `features` [n, F] of the nets `owners` int [n], with folds of `cells`."""
        labelings = Labelings.of(self.labels.matrix, cells, permutations)
        predicted = cross_predict(
            features,
            owners,
            labelings,
            cells.fold_of(self.seed),
            self.labels.groups,
            CLASSIFIERS[classifier].estimator(self.seed),
        )
        return Outcomes(predicted.slice_hits[:, 0], labelings.codes, self.labels.groups)

    def scores(self, place: Place, features: np.ndarray) -> list[dict[str, Any]]:
        """A row for each property: accuracy, interval, chance, control, number of nets."""
        scores = crossfit(
            features,
            np.repeat(np.arange(len(self.labels.nets)), place.count),
            self.labels.codes,
            classifier=self.classifier,
            net_groups=self.labels.groups,
            folds=self.study.folds,
            seed=self.seed,
            permutations=self.study.permutations,
        )
        about = {"running_stats": place.running_stats, "slice_length": place.length}
        kept = ("property", "accuracy", "low", "high", "chance", "n_nets")
        return [
            {name: getattr(score, name) for name in kept} | about | _control(score)
            for score in scores
        ]


def _control(score: Score) -> dict[str, float | None]:
    """The interval of accuracies from permuted labels; None without permutations."""
    if not score.controls:
        return {"control_low": None, "control_high": None}
    found = control_interval(score.controls)
    return {"control_low": found.low, "control_high": found.high}


def distinct(layouts: dict[str, Layout]) -> list[Layout]:
    """The different layouts, each once."""
    return list({layout.key: layout for layout in layouts.values()}.values())
