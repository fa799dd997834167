"""`evaluate`: how much of each property is in the weights, by the protocol of the house."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import ALIGNED, CLASSIFIERS, Classifier
from weightspace.learners.registry import classifiers as declared
from weightspace.meta.design.folds import Cells, HeldOut
from weightspace.meta.design.labels import Labels, labels_of
from weightspace.meta.design.slices import SLICE_FEATURES, Source, fresh_slices, random_slices
from weightspace.meta.design.whole import WHOLE_ROWS, can_align
from weightspace.meta.evaluation.crossfit import UNITS, Judged, judge, with_permutations
from weightspace.meta.evaluation.result import COLUMNS, CONFUSION_COLUMNS, HIT_COLUMNS, Evaluation
from weightspace.meta.evaluation.versions import in_one_line
from weightspace.meta.statistics.calibration import (
    CALIBRATION_COLUMNS,
    RELIABILITY_COLUMNS,
    calibration,
)
from weightspace.meta.statistics.intervals import (
    DEPENDENCE,
    balanced_accuracy,
    control_interval,
    crossfitted,
    dependence_of,
)
from weightspace.progress import Progress, Together, silent
from weightspace.zoo import Split, Zoo, opened


def evaluate(
    zoo: Zoo | str | Path,
    *,
    properties: Sequence[str] | None = None,
    classifiers: Sequence[str] | None = None,
    slice_length: int = 5000,
    snapshots: Sequence[int] = (-1,),
    part: str = "all",
    running_stats: bool = True,
    slices_per_net: int = 8,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    permutations: int = 10,
    resamples: int = 1000,
    split: Split | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """How well each property is read off the weights of a population.

    For every seed, `slices_per_net` slices of `slice_length` values are drawn of every net that
    did not diverge, the nets are dealt to `folds` folds, and every net is judged by classifiers
    that saw the other folds only. A seed changes slices, estimators and, where there are nets
    enough for folds of more than one kind (at least 12 a fold), folds; accuracies are
    means over seeds, their intervals bootstrap over nets (widened by what the controls show of
    the dependence that cross-fitting makes between nets). The control repeats all of it with
    labels permuted over nets, `permutations` times (0 or at least 5); classifiers that are too
    slow for that have null controls.

    `properties`: by default all that vary in the zoo's space. `classifiers`: names in
    `CLASSIFIERS`, by default all but the slow (`raw` where all nets share a layout); the baseline
    `shallow` is always added.
    `snapshots` count from 1, or back from -1; nets that have none of them are left out. `part` is
    "all", "conv" or "fc". With a `split` (`zoo.split()`, or one level left out) its test nets are
    judged by what its train nets taught, and there are no folds; the property by which it was
    made is then no property to predict.

    Raises UsageError, with the numbers, for too few nets for an interval, unknown names, and a
    slice length beyond the shortest vector.
    """
    zoo = opened(zoo)
    chosen = declared(classifiers)
    seeds = tuple(int(seed) for seed in seeds)
    require_counts(slices_per_net, seeds, permutations, resamples)
    labels = labels_of(zoo, properties, snapshots, split)
    labels.require(folds)
    source = Source(slice_length, tuple(snapshots), part, running_stats)
    source.require(zoo, labels.nets)
    cells = _cells(labels, split, folds)
    if classifiers is None and can_align(zoo, labels.nets, source):
        chosen.append(CLASSIFIERS[ALIGNED])
    tallies = {c.name: _Tally() for c in chosen}
    whole = {
        name: WHOLE_ROWS[name](zoo, labels.nets, source, progress)
        for name in dict.fromkeys(c.features for c in chosen if c.whole)
    }
    fits = len(seeds) * len(np.unique(cells.fold_of(seeds[0])[cells.judged]))
    told = {c.name: Together(progress, f"training {c.name}", fits) for c in chosen}
    needed = {c.features: SLICE_FEATURES[c.features] for c in chosen if not c.whole}
    for turn, seed in enumerate(seeds):
        rows, nets = random_slices(
            zoo, labels.nets, needed, source, per_net=slices_per_net, seed=seed, progress=progress
        )
        seen = whole | {name: (features, nets) for name, features in rows.items()}
        for place, kind in enumerate(chosen):
            done = turn * len(chosen) + place
            progress("cross-fitting", done, len(seeds) * len(chosen))
            features, owners = seen[kind.features]
            repeats = permutations if kind.controlled else 0
            fold = cells.fold_of(seed)
            tallies[kind.name].add(
                judge(
                    features,
                    owners,
                    with_permutations(labels.matrix, cells, repeats),
                    _levels(labels) * (1 + repeats),
                    fold,
                    labels.families,
                    _estimator(kind, seed, zoo, labels, source, told[kind.name]),
                    detailed=len(labels.properties),
                ),
                fold,
            )
    progress("cross-fitting", len(seeds) * len(chosen), len(seeds) * len(chosen))
    facts = {
        "slice_length": slice_length,
        "part": part,
        "running_stats": running_stats,
        "snapshots": ", ".join(map(str, snapshots)),
        "folds": None if split else folds,
        "split": split.name if split else "cross-fitted",
        "seeds": ", ".join(map(str, seeds)),
        "n_dead": labels.dead,
        "n_diverged": labels.diverged,
        "versions": in_one_line(),
    }
    table, confusions = _summary(chosen, tallies, labels, cells, permutations, resamples, facts)
    dead = zoo.nets.filter(pl.col("net").is_in(list(labels.nets)))["dead"].fill_null(False)
    hits = _hits(tallies, labels, cells.judged, dead.to_numpy())
    return Evaluation(table, confusions, hits, *_calibration(tallies, labels, cells))


def _estimator(
    kind: Classifier, seed: int, zoo: Zoo, labels: Labels, source: Source, progress: Progress
) -> MetaClassifier:
    """An unfitted estimator; one that reads values may draw more slices of nets that teach it."""
    made = kind.estimator(seed)
    made.progress = progress
    if kind.features == "values":
        made.draw = fresh_slices(zoo, labels.nets, source)
    return made


def _cells(labels: Labels, split: Split | None, folds: int) -> Cells:
    """Who is judged by whom."""
    if split is None:
        return Cells.build(labels.matrix, labels.families, folds)
    judged = np.isin(labels.nets, split.test)
    labels.require_sides(judged, folds)
    return HeldOut.of(judged)


@dataclass
class _Tally:
    """Sums over seeds of what became of the nets; [N, labelings] and answers by level."""

    slice_hits: Any = 0.0
    net_hits: Any = 0.0
    seeds: int = 0
    rows: Any = 0
    slice_answers: Any = None
    net_answers: Any = None
    claims: list[list[np.ndarray]] = field(default_factory=list)
    folds: list[np.ndarray] = field(default_factory=list)

    def add(self, judged: Judged, fold: np.ndarray) -> None:
        self.claims.append([logs[:, 0] for logs in judged.log_probabilities])
        self.folds.append(fold)
        self.slice_hits = self.slice_hits + judged.slice_hits[:, 0]
        self.net_hits = self.net_hits + judged.net_hits[:, 0]
        self.rows = self.rows + judged.rows[:, 0]
        self.seeds += 1
        by_slice = [counts[:, 0] for counts in judged.slice_answers]
        by_net = [
            np.eye(counts.shape[1], dtype=np.int64)[judged.net_answers[:, 0, j]]
            for j, counts in enumerate(by_slice)
        ]
        if self.seeds == 1:
            self.slice_answers, self.net_answers = by_slice, by_net
        else:
            self.slice_answers = [a + b for a, b in zip(self.slice_answers, by_slice, strict=True)]
            self.net_answers = [a + b for a, b in zip(self.net_answers, by_net, strict=True)]

    def hits(self, unit: str) -> np.ndarray:
        return (self.slice_hits if unit == "slice" else self.net_hits) / self.seeds

    def answers(self, unit: str) -> list[np.ndarray]:
        return self.slice_answers if unit == "slice" else self.net_answers


def _summary(
    chosen: list[Classifier],
    tallies: dict[str, _Tally],
    labels: Labels,
    cells: Cells,
    permutations: int,
    resamples: int,
    facts: dict[str, Any],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows, confusions = [], []
    count = len(labels.properties)
    judged = cells.judged
    families = labels.families[judged]
    for kind in chosen:
        tally = tallies[kind.name]
        repeats = permutations if kind.controlled else 0
        wide = with_permutations(labels.matrix, cells, repeats)[judged]
        for unit in units_of(kind.name):
            hits = tally.hits(unit)[judged]
            dependence = dependence_of(hits[:, count:], wide[:, count:]) if repeats else DEPENDENCE
            if isinstance(cells, HeldOut):  # no net that is judged taught another's judge
                dependence = 1.0
            for i, name in enumerate(labels.properties):
                key = {"property": name, "classifier": kind.name, "unit": unit}
                rows.append(
                    key
                    | _accuracy(
                        hits[:, i::count], wide[:, i::count], families, dependence, resamples
                    )
                    | {"levels": len(labels.levels[name]), "n_nets": int((tally.rows > 0).sum())}
                    | {"n_slices": int(tally.rows.sum()), "permutations": repeats}
                    | facts
                )
                answers = tally.answers(unit)[i][judged]
                confusions += _confusion(key, answers, labels.codes[name][judged], labels, name)
    rank = {name: i for i, name in enumerate(labels.properties)}
    rows.sort(key=lambda row: rank[row["property"]])
    return (
        pl.DataFrame(rows, schema=COLUMNS),
        pl.DataFrame(confusions, schema=CONFUSION_COLUMNS),
    )


def _hits(
    tallies: dict[str, _Tally], labels: Labels, judged: np.ndarray, dead: np.ndarray
) -> pl.DataFrame:
    """A row a net that was judged, property, classifier and unit."""
    nets = np.array(labels.nets)[judged]
    tables = []
    for i, name in enumerate(labels.properties):
        for kind, tally in tallies.items():
            for unit in units_of(kind):
                columns = {
                    "net": nets,
                    "level": labels.codes[name][judged],
                    "dead": dead[judged],
                    "hit": tally.hits(unit)[judged, i].astype(np.float64),
                }
                about = {"property": name, "classifier": kind, "unit": unit}
                table = pl.DataFrame(columns).with_columns(
                    pl.lit(value).alias(key) for key, value in about.items()
                )
                tables.append(table.select(*HIT_COLUMNS))
    return pl.concat(tables)


def _calibration(
    tallies: dict[str, _Tally], labels: Labels, cells: Cells
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What the probabilities of whole nets are worth, and their reliability."""
    judged = cells.judged
    rows, bins = [], []
    for i, name in enumerate(labels.properties):
        for kind, tally in tallies.items():
            folds = [fold[judged] for fold in tally.folds]
            if isinstance(cells, HeldOut):  # one fold has no others: every second net
                folds = [np.arange(judged.sum()) % 2] * len(folds)
            claims = [logs[i][judged] for logs in tally.claims]
            figures, own = calibration(claims, labels.codes[name][judged], folds)
            about = {"property": name, "classifier": kind}
            rows.append(about | figures)
            bins += [about | row for row in own]
    return (
        pl.DataFrame(rows, schema=CALIBRATION_COLUMNS),
        pl.DataFrame(bins, schema=RELIABILITY_COLUMNS),
    )


def _accuracy(
    hits: np.ndarray, codes: np.ndarray, families: np.ndarray, dependence: float, resamples: int
) -> dict[str, Any]:
    """Accuracy, interval and control from hits [N, 1 + R] and codes [N, 1 + R]."""
    found = crossfitted(
        hits[:, 0],
        codes[:, 0],
        families=families,
        dependence=dependence,
        resamples=resamples,
    )
    row: dict[str, Any] = {
        "chance": 1 / (int(codes[:, 0].max()) + 1),
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
        "control": None,
        "control_low": None,
        "control_high": None,
    }
    if hits.shape[1] > 1:
        control = control_interval(
            tuple(balanced_accuracy(h, c) for h, c in zip(hits.T[1:], codes.T[1:], strict=True))
        )
        row |= {
            "control": control.value,
            "control_low": control.low,
            "control_high": control.high,
        }
    return row


def _confusion(
    key: dict[str, str], answers: np.ndarray, codes: np.ndarray, labels: Labels, name: str
) -> list[dict[str, Any]]:
    levels = labels.levels[name]
    return [
        key | {"truth": truth, "answer": answer, "count": int(answers[codes == i, j].sum())}
        for i, truth in enumerate(levels)
        for j, answer in enumerate(levels)
    ]


def _levels(labels: Labels) -> tuple[int, ...]:
    return tuple(len(levels) for levels in labels.levels.values())


def units_of(classifier: str) -> tuple[str, ...]:
    """The units that a classifier answers for: whole nets alone if it reads those."""
    return ("net",) if CLASSIFIERS[classifier].whole else UNITS


FEWEST_PERMUTATIONS = 5
"""Permutations below which the spread of the control says next to nothing."""


def require_counts(
    slices_per_net: int, seeds: tuple[int, ...], permutations: int, resamples: int = 1000
) -> None:
    """Refuse numbers of repetitions from which no number with an interval comes."""
    if slices_per_net < 1:
        raise UsageError(f"slices_per_net: {slices_per_net}; give at least 1")
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UsageError(f"seeds: {list(seeds)}; give distinct whole numbers from 0, at least one")
    if permutations < FEWEST_PERMUTATIONS and permutations != 0:
        raise UsageError(
            f"permutations: {permutations} are too few for an interval; "
            f"give at least {FEWEST_PERMUTATIONS}, or 0"
        )
    if resamples < 100:
        raise UsageError(f"resamples: {resamples} cannot bound 95 %; give at least 100")
