"""`Reader`: one fitted meta-classifier of all properties, with calibration and accuracies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_softmax

from weightspace.errors import DataError
from weightspace.features import (
    LAYERS_NAMES,
    LOCAL_NAMES,
    POOLED_NAMES,
    SLICES,
    STATISTICS_NAMES,
    layers,
    pooled,
)
from weightspace.learners.estimators import Fitted
from weightspace.learners.registry import CLASSIFIERS
from weightspace.learners.temperature import temperature
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import SLICE_FEATURES, even_slices
from weightspace.meta.design.whole import Alignment
from weightspace.meta.evaluation.crossfit import CrossPredicted
from weightspace.meta.model.caution import Caution
from weightspace.meta.model.range import Range
from weightspace.meta.statistics.scores import resampled, score

if TYPE_CHECKING:
    from weightspace.networks import Layout

FEATURE_NAMES = {
    "statistics": STATISTICS_NAMES, "local": LOCAL_NAMES, "layers": LAYERS_NAMES,
    "pooled": POOLED_NAMES,
}  # fmt: skip


@dataclass(frozen=True)
class View:
    """How a vector becomes rows of features: one row of the whole net, or one for each slice.

    `classifier` is a name of the registry; `slices` of `slice_length` values are taken at equal
    distances over the selected part. A classifier that reads raw weights works only for nets of
    one `Alignment`, with its key and `values` (for other classifiers "" and 0).
    """

    classifier: str
    slice_length: int
    slices: int
    part: str
    running_stats: bool
    alignment: str = ""
    values: int = 0

    @property
    def features(self) -> str:
        """The name of the feature set."""
        return CLASSIFIERS[self.classifier].features

    @property
    def needs_layout(self) -> bool:
        """Whether the layout is needed as well as the vector."""
        by_layer = self.features not in SLICE_FEATURES and self.features != "pooled"
        return by_layer or self.part != "all" or not self.running_stats

    def checked(self, vector: np.ndarray, layout: Layout | None) -> np.ndarray:
        """The vector as float32 [P]; DataError, with numbers, if it is invalid."""
        vector = np.asarray(vector)
        if vector.ndim != 1 or not np.issubdtype(vector.dtype, np.floating):
            raise DataError(
                "vector", f"{vector.dtype} of shape {list(vector.shape)}", "give float32 [values]"
            )
        bad = int(len(vector) - np.isfinite(vector).sum())
        if bad:
            raise DataError(
                "vector",
                f"{bad:,} of {len(vector):,} values are not finite, as in a net that diverged",
                "give a checkpoint of finite weights",
            )
        if layout is not None and layout.size != len(vector):
            raise DataError(
                "vector",
                f"{len(vector):,} values do not fit the layout's {layout.size:,}",
                "give the layout of the same net",
            )
        if self.needs_layout and layout is None:
            raise DataError(
                "vector", f"the {self.classifier} model needs its layout", "give it too"
            )
        with np.errstate(over="ignore"):
            vector = vector.astype(np.float32)
        if not np.isfinite(vector).all():
            raise DataError(
                "vector", "holds values beyond float32", "give a checkpoint of finite weights"
            )
        return vector

    def rows(self, vector: np.ndarray, layout: Layout | None) -> np.ndarray:
        """Features float32 [rows, F] of a vector [P]; DataError, with numbers, if it is invalid."""
        vector = self.checked(vector, layout)
        if self.features == "layers":
            assert layout is not None
            return layers(vector, layout, part=self.part, running_stats=self.running_stats)[None]
        if self.features == "weights":
            assert layout is not None
            self._require(Alignment.of(layout, self.part, self.running_stats))
            return vector[layout.indices(self.part, self.running_stats)][None]
        if layout is not None and (self.part != "all" or not self.running_stats):
            vector = vector[layout.indices(self.part, self.running_stats)]
        if len(vector) < self.slice_length:
            raise DataError(
                "vector",
                f"{len(vector):,} values are fewer than the {self.slice_length:,} of a slice",
                "use a model fitted with shorter slices",
            )
        if self.features == "pooled":
            return pooled(even_slices(vector, self.slice_length, SLICES))[None]
        return SLICE_FEATURES[self.features](even_slices(vector, self.slice_length, self.slices))

    def _require(self, own: Alignment) -> None:
        if own != Alignment(self.alignment, self.values):
            raise DataError(
                "vector",
                f"its tensors ({own.values:,} values) have other shapes than those of the "
                f"training nets of the {self.classifier} model ({self.values:,})",
                "read it with a model of layers",
            )


@dataclass(frozen=True)
class Ability:
    """How well one property is predicted on nets of the population outside the training set.

    `accuracy` over nets is class-balanced and cross-fitted, `low`..`high` its 95 % interval;
    `temperature` calibrates the probabilities; `caution` says how far an answer goes.
    """

    property: str
    levels: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    chance: float
    temperature: float
    caution: Caution


@dataclass(frozen=True)
class Reader:
    """A view, the classifiers that read it, their accuracies, and the range of the population."""

    view: View
    fitted: Fitted
    abilities: tuple[Ability, ...]
    range: Range

    def probabilities(self, rows: np.ndarray) -> list[np.ndarray]:
        """Calibrated probabilities from the rows [r, F] of one net: float64 [levels] a property."""
        return calibrated(self.fitted, self.abilities, rows)


def calibrated(fitted: Fitted, abilities: Sequence[Ability], rows: np.ndarray) -> list[np.ndarray]:
    """Calibrated probabilities from the rows [r, F] of one net: float64 [levels] a property."""
    return [
        np.exp(log_softmax(logs.mean(axis=0) / ability.temperature))
        for logs, ability in zip(fitted.log_probabilities(rows), abilities, strict=True)
    ]


def abilities(
    labels: Labels,
    predicted: CrossPredicted,
    fold: np.ndarray,
    means: np.ndarray,
    told: Mapping[str, float | None],
    resamples: int,
) -> tuple[Ability, ...]:
    """What cross-fitted predictions say of each property.

    `fold` int [net] is that of the predictions; `means` [vector, F] are the mean features of each
    vector, a net at a snapshot, in the order of the predictions. `told` is the share of nets of
    levels that were left out, for which no level was named, by property.
    """
    present = predicted.rows > 0
    folds = np.broadcast_to(fold[:, None], present.shape)[present]
    out = []
    for i, name in enumerate(labels.properties):
        codes = labels.codes[name]
        counts = present.sum(axis=1)
        hits = predicted.net_hits[:, :, :, i].sum(axis=1) / np.maximum(counts, 1)[:, None]
        tested = counts > 0
        found = score(
            hits[tested], codes[tested, None], labels.groups[tested], resampled(resamples)
        )
        logs = predicted.log_probabilities[0][i][present]
        truth = np.broadcast_to(codes[:, None], present.shape)[present]
        levels = labels.levels[name]
        out.append(
            Ability(
                name,
                levels,
                found.accuracy,
                found.low,
                found.high,
                1 / len(levels),
                temperature(logs, truth, found.n_nets),
                Caution.of(logs, truth, folds, means, told.get(name)),
            )
        )
    return tuple(out)
