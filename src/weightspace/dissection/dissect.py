"""`dissect`: how much, where and when each property is in the weights of a population."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from weightspace.dissection import facts as fact
from weightspace.dissection import places
from weightspace.dissection.places import Place
from weightspace.dissection.result import (
    WHEN_COLUMNS,
    WHERE_COLUMNS,
    Dissection,
    Training,
    When,
    Where,
)
from weightspace.errors import UsageError
from weightspace.meta import (
    CLASSIFIERS,
    DEFAULT,
    Labels,
    Score,
    control_interval,
    crossfit,
    evaluate,
    labels_of,
)
from weightspace.meta.protocol import require_counts
from weightspace.meta.slices import SLICE_FEATURES
from weightspace.meta.versions import versions
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo, opened

if TYPE_CHECKING:
    from weightspace.networks import Layout

_BYTES = 64 * 2**20


def dissect(
    zoo: Zoo | str | Path,
    *,
    properties: Sequence[str] | None = None,
    slice_length: int = 5000,
    positions: int = 20,
    snapshots: Sequence[int] | None = None,
    classifiers: Sequence[str] | None = None,
    slices_per_net: int = 8,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    permutations: int = 10,
    command: str | None = None,
    progress: Progress = silent,
) -> Dissection:
    """How much, where and when each property can be read off the weights of a zoo's nets.

    *How much* is `meta.evaluate` on the last snapshot. *Where* reads the last snapshot at
    `positions` windows at equal relative positions of every vector, by part, and by depth.
    *When* learns and tests within each snapshot of `snapshots` (numbers from 1, or back from -1;
    by default all that every net has). All are split by net and repeated with permuted labels
    (`permutations` times, 0 or at least 5); where and when use the first of `seeds`, the first of
    `classifiers` that reads slices, and at most four slices a net and place.

    A slice is `slice_length` values, or as many as fit the shortest net at that place; every net
    is read at the same length, so that lengths tell nothing. `command` is kept in the facts.

    Returns a `Dissection`. Raises UsageError, with the numbers, for too few nets for an interval,
    unknown properties, classifiers or snapshots, and vectors too short to read.
    """
    zoo = opened(zoo)
    began = time.perf_counter()
    require_counts(slices_per_net, tuple(seeds), permutations)
    labels = labels_of(zoo, properties)
    labels.require(folds)
    layouts = {net: zoo.layout(net) for net in labels.nets}
    kinds = _distinct(layouts)
    whole = places.whole(kinds, slice_length, min(4, slices_per_net))
    moments = _moments(fact.fractions(zoo, labels.nets), snapshots)
    reader = _Reader(
        zoo,
        labels,
        layouts,
        _classifier(classifiers),
        folds,
        int(seeds[0]),
        permutations,
    )
    much = evaluate(
        zoo,
        properties=properties,
        classifiers=classifiers,
        slice_length=whole.length,
        slices_per_net=slices_per_net,
        folds=folds,
        seeds=seeds,
        permutations=permutations,
        progress=progress,
    )
    spots = [
        *places.along(kinds, slice_length, positions),
        *places.parts(kinds, slice_length, min(4, slices_per_net)),
        *places.depths(kinds, slice_length),
    ]
    where = reader.where(spots, progress)
    when = reader.when(whole, moments, progress)
    found = fact.population(zoo, labels) | {
        "slice_length": whole.length,
        "positions": positions,
        "classifier": reader.classifier,
        "boundaries": fact.boundaries(list(layouts.values())),
        "folds": folds,
        "permutations": permutations,
        "seeds": [int(seed) for seed in seeds],
        "zoo_seed": zoo.meta.get("seed"),
        "versions": versions(),
        "seconds": round(time.perf_counter() - began, 1),
        "command": command,
    }
    return Dissection(much, where, when, Training(fact.training(zoo, labels)), found)


@dataclass(frozen=True)
class _Reader:
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
        for done, (place, features) in enumerate(
            zip(spots, self._features(spots, -1), strict=True)
        ):
            progress("where", done, len(spots))
            extents = {lay.key: place.extent(lay) for lay in _distinct(self.layouts)}
            ends = [extents[layout.key] for layout in self.layouts.values()]
            start, stop = map(float, np.mean(ends, axis=0))
            about = {"axis": place.axis, "place": place.name, "start": start, "stop": stop}
            rows += [about | score for score in self._scores(place, features)]
        progress("where", len(spots), len(spots))
        return Where(_table(rows, WHERE_COLUMNS, self.labels.properties))

    def when(self, place: Place, moments: dict[int, float], progress: Progress) -> When:
        """Accuracy at every snapshot, read at the same place."""
        rows = []
        for done, (snapshot, fraction) in enumerate(moments.items()):
            progress("when", done, len(moments))
            (features,) = self._features([place], snapshot)
            about = {"snapshot": snapshot, "fraction": fraction}
            rows += [about | score for score in self._scores(place, features)]
        progress("when", len(moments), len(moments))
        return When(_table(rows, WHEN_COLUMNS, self.labels.properties))

    def _features(self, spots: Sequence[Place], snapshot: int) -> list[np.ndarray]:
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


def _table(
    rows: list[dict[str, Any]], columns: dict[str, Any], properties: Sequence[str]
) -> pl.DataFrame:
    """The rows, those of one property together, in the order of the properties."""
    rank = {name: i for i, name in enumerate(properties)}
    rows = sorted(rows, key=lambda row: rank[row["property"]])
    return pl.DataFrame(rows, schema=columns)


def _distinct(layouts: dict[str, Layout]) -> list[Layout]:
    return list({layout.key: layout for layout in layouts.values()}.values())


def _classifier(names: Sequence[str] | None) -> str:
    """The first of the classifiers that reads slices; the default where none does."""
    known = [name for name in names or () if name in CLASSIFIERS]
    return next((n for n in known if CLASSIFIERS[n].features in SLICE_FEATURES), DEFAULT)


def _moments(known: dict[int, float], wanted: Sequence[int] | None) -> dict[int, float]:
    """Snapshot number -> fraction of training, of those wanted."""
    numbers = list(known)
    if not numbers:
        raise UsageError("snapshots: the nets have none in common; run `weightspace check`")
    if wanted is not None and not len(wanted):
        raise UsageError("snapshots: none to look at; name at least one, or leave it out for all")
    chosen = []
    for number in numbers if wanted is None else wanted:
        back = -len(numbers) <= number < 0
        resolved = numbers[number] if back else number
        if resolved not in known:
            raise UsageError(
                f"snapshots: {number} is none that every net has; "
                f"they have {numbers[0]} to {numbers[-1]}"
            )
        chosen.append(resolved)
    return {number: known[number] for number in sorted(set(chosen))}
