"""`evaluate`: how well each property can be read from the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from weightspace.errors import UsageError
from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import ALIGNED, CLASSIFIERS, Classifier
from weightspace.learners.registry import classifiers as declared
from weightspace.meta.design.folds import HeldOut
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import SLICE_FEATURES, fresh_slices, random_slices
from weightspace.meta.design.study import Study
from weightspace.meta.design.whole import WHOLE_ROWS, can_align
from weightspace.meta.evaluation.crossfit import UNITS, CrossPredicted, cross_predict
from weightspace.meta.evaluation.result import COLUMNS, CONFUSION_COLUMNS, HIT_COLUMNS, Evaluation
from weightspace.meta.evaluation.versions import in_one_line
from weightspace.meta.statistics.calibration import (
    CALIBRATION_COLUMNS,
    RELIABILITY_COLUMNS,
    calibration,
)
from weightspace.meta.statistics.intervals import DEPENDENCE, dependence_of
from weightspace.meta.statistics.scores import resampled, score
from weightspace.progress import Progress, Together, silent
from weightspace.zoo import Split, Zoo

FEWEST_RESAMPLES = 100


def evaluate(
    zoo: Zoo | str | Path | Study,
    *,
    properties: Sequence[str] | None = None,
    classifiers: Sequence[str] | None = None,
    slice_length: int | None = None,
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
    """Test how well each property can be read from the weights of a population.

    For every seed, `slices_per_net` random slices of `slice_length` values are taken from every net
    that did not diverge. The nets are split into `folds` folds, and every net is tested by
    classifiers that were trained on the other folds only. The control repeats the whole procedure
    with labels permuted over nets; classifiers that are too slow for that have null controls.

    Parameters
    ----------
    zoo : Zoo, str, Path or Study
        A zoo, its path or URL, or a `Study`. A study holds the arguments from `properties` to
        `permutations`, and `split`: leave these out then.
    properties : sequence of str, optional
        By default all that vary in the zoo's space.
    classifiers : sequence of str, optional
        Names in `CLASSIFIERS`; by default all except the slow ones (`raw` is included only where
        all nets share a layout). The baseline `shallow` is always added.
    slice_length : int, optional
        The number of values in a slice; by default 5,000, or as many as the shortest vector has.
    snapshots : sequence of int
        Numbers from 1, or back from -1, the last. Nets that have none of these are left out.
    part : {"all", "conv", "fc"}
        Which layers are read.
    running_stats : bool
        Whether batch norm's running statistics are read.
    slices_per_net, folds : int
        The number of slices of each net for each seed, and the number of folds.
    seeds : sequence of int
        The whole procedure runs once for each seed.
    permutations : int
        How often the procedure is repeated with permuted labels: 0, or at least 5.
    resamples : int
        The number of bootstrap samples.
    split : Split, optional
        `zoo.split()`, or one level left out. Its test nets are then tested by classifiers trained
        on its training nets, and there are no folds. The property that made the split is not
        predicted.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Evaluation
        Accuracies with intervals and controls, confusions, hits of single nets, calibration.

    Raises
    ------
    UsageError
        For too few nets for an interval, unknown names, and slices that are longer than the
        shortest vector; the message has the numbers.

    Notes
    -----
    A seed changes the slices and the estimators. It also changes the folds, if there are enough
    nets for several partitions (at least 12 for each fold). Accuracies are means over seeds. Their
    intervals are bootstrap intervals over nets, widened for the dependence of cross-fitted nets,
    which is estimated from the control.
    """
    chosen = declared(classifiers)
    if resamples < FEWEST_RESAMPLES:
        raise UsageError(
            "resamples",
            f"{resamples} are too few for 95 % intervals",
            f"give at least {FEWEST_RESAMPLES}",
        )
    study = Study.of(
        zoo,
        properties=properties,
        slice_length=slice_length,
        snapshots=snapshots,
        part=part,
        running_stats=running_stats,
        slices_per_net=slices_per_net,
        folds=folds,
        seeds=seeds,
        permutations=permutations,
        split=split,
    )
    study.require()
    zoo, labels, source = study.zoo, study.labels, study.source
    if classifiers is None and can_align(zoo, labels.nets, source):
        chosen.append(CLASSIFIERS[ALIGNED])
    tallies = _run(study, chosen, progress)
    table, confusions = _summary(chosen, tallies, study, resamples)
    dead = zoo.nets.filter(pl.col("net").is_in(list(labels.nets)))["dead"].fill_null(False)
    hits = _hits(tallies, study, dead.to_numpy())
    return Evaluation(table, confusions, hits, *_calibration(tallies, study))


def _run(study: Study, chosen: list[Classifier], progress: Progress) -> dict[str, _Tally]:
    """Cross-fit all classifiers for all seeds."""
    zoo, labels, source, seeds = study.zoo, study.labels, study.source, study.seeds
    tallies = {c.name: _Tally() for c in chosen}
    whole = {
        name: WHOLE_ROWS[name](zoo, labels.nets, source, progress)
        for name in dict.fromkeys(c.features for c in chosen if c.whole)
    }
    fits = len(seeds) * len(np.unique(study.cells.fold_of(seeds[0])[study.cells.tested]))
    told = {c.name: Together(progress, f"training {c.name}", fits) for c in chosen}
    needed = {c.features: SLICE_FEATURES[c.features] for c in chosen if not c.whole}
    for turn, seed in enumerate(seeds):
        rows, nets = random_slices(
            zoo, labels.nets, needed, source, per_net=study.slices_per_net, seed=seed,
            progress=progress,
        )  # fmt: skip
        seen = whole | {name: (features, nets) for name, features in rows.items()}
        fold = study.cells.fold_of(seed)
        for place, kind in enumerate(chosen):
            done = turn * len(chosen) + place
            progress("cross-fitting", done, len(seeds) * len(chosen))
            predicted = cross_predict(
                *seen[kind.features],
                study.labelings(_repeats(kind, study)),
                fold,
                labels.groups,
                _estimator(kind, seed, study, told[kind.name]),
                detailed=1,
            )
            tallies[kind.name].add(predicted, fold)
    progress("cross-fitting", len(seeds) * len(chosen), len(seeds) * len(chosen))
    return tallies


def _repeats(kind: Classifier, study: Study) -> int:
    """How often a classifier is repeated with permuted labels."""
    return study.permutations if kind.controlled else 0


def _estimator(kind: Classifier, seed: int, study: Study, progress: Progress) -> MetaClassifier:
    """An unfitted estimator; one that reads raw values can draw more slices of training nets."""
    made = kind.estimator(seed)
    made.progress = progress
    if kind.features == "values":
        made.draw = fresh_slices(study.zoo, study.labels.nets, study.source)
    return made


@dataclass
class _Tally:
    """Sums over seeds: hits [net, labeling, property], and predictions [net, level] by property."""

    slice_hits: Any = 0.0
    net_hits: Any = 0.0
    seeds: int = 0
    rows: Any = 0
    slice_answers: list[np.ndarray] = field(default_factory=list)
    net_answers: list[np.ndarray] = field(default_factory=list)
    logs: list[list[np.ndarray]] = field(default_factory=list)
    folds: list[np.ndarray] = field(default_factory=list)

    def add(self, predicted: CrossPredicted, fold: np.ndarray) -> None:
        self.logs.append([logs[:, 0] for logs in predicted.log_probabilities[0]])
        self.folds.append(fold)
        self.slice_hits = self.slice_hits + predicted.slice_hits[:, 0]
        self.net_hits = self.net_hits + predicted.net_hits[:, 0]
        self.rows = self.rows + predicted.rows[:, 0]
        self.seeds += 1
        by_slice = [counts[:, 0] for counts in predicted.slice_answers[0]]
        by_net = [
            np.eye(counts.shape[1], dtype=np.int64)[predicted.net_answers[:, 0, 0, j]]
            for j, counts in enumerate(by_slice)
        ]
        if self.seeds == 1:
            self.slice_answers, self.net_answers = by_slice, by_net
        else:
            self.slice_answers = [a + b for a, b in zip(self.slice_answers, by_slice, strict=True)]
            self.net_answers = [a + b for a, b in zip(self.net_answers, by_net, strict=True)]

    def hits(self, unit: str) -> np.ndarray:
        sums: NDArray[np.float64] = self.slice_hits if unit == "slice" else self.net_hits
        return sums / self.seeds

    def answers(self, unit: str) -> list[np.ndarray]:
        return self.slice_answers if unit == "slice" else self.net_answers


def _summary(
    chosen: list[Classifier], tallies: dict[str, _Tally], study: Study, resamples: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    labels, tested = study.labels, study.cells.tested
    facts = study.facts | {
        "n_dead": labels.dead,
        "n_diverged": labels.diverged,
        "versions": in_one_line(),
    }
    rows, confusions = [], []
    for kind in chosen:
        tally, repeats = tallies[kind.name], _repeats(kind, study)
        codes = study.labelings(repeats).codes[tested]
        for unit in units_of(kind.name):
            hits = tally.hits(unit)[tested]
            interval = resampled(resamples, dependence=_dependence(study, hits, codes))
            for i, name in enumerate(labels.properties):
                key = {"property": name, "classifier": kind.name, "unit": unit}
                found = score(hits[:, :, i], codes[:, :, i], labels.groups[tested], interval)
                rows.append(
                    key
                    | found.columns()
                    | {"levels": len(labels.levels[name]), "n_nets": int((tally.rows > 0).sum())}
                    | {"n_slices": int(tally.rows.sum()), "permutations": repeats}
                    | facts
                )
                answers = tally.answers(unit)[i][tested]
                confusions += _confusion(key, answers, labels.codes[name][tested], labels, name)
    rank = {name: i for i, name in enumerate(labels.properties)}
    rows.sort(key=lambda row: rank[row["property"]])
    return (
        pl.DataFrame(rows, schema=COLUMNS),
        pl.DataFrame(confusions, schema=CONFUSION_COLUMNS),
    )


def _dependence(study: Study, hits: np.ndarray, codes: np.ndarray) -> float:
    """The dependence that widens intervals, from hits and codes [net, labeling, property]."""
    if isinstance(study.cells, HeldOut):  # no tested net is in a training set
        return 1.0
    if hits.shape[1] == 1:
        return DEPENDENCE
    permuted = (values[:, 1:].reshape(len(values), -1) for values in (hits, codes))
    return dependence_of(*permuted)


def _hits(tallies: dict[str, _Tally], study: Study, dead: np.ndarray) -> pl.DataFrame:
    """A row for each tested net, property, classifier and unit."""
    labels, tested = study.labels, study.cells.tested
    nets = np.array(labels.nets)[tested]
    tables = []
    for i, name in enumerate(labels.properties):
        for kind, tally in tallies.items():
            for unit in units_of(kind):
                columns = {
                    "net": nets,
                    "level": labels.codes[name][tested],
                    "group": labels.groups[tested],
                    "dead": dead[tested],
                    "hit": tally.hits(unit)[tested, 0, i].astype(np.float64),
                }
                about = {"property": name, "classifier": kind, "unit": unit}
                table = pl.DataFrame(columns).with_columns(
                    pl.lit(value).alias(key) for key, value in about.items()
                )
                tables.append(table.select(*HIT_COLUMNS))
    return pl.concat(tables)


def _calibration(tallies: dict[str, _Tally], study: Study) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Calibration errors of the probabilities of nets, and their reliability diagrams."""
    labels, tested = study.labels, study.cells.tested
    rows, bins = [], []
    for i, name in enumerate(labels.properties):
        for kind, tally in tallies.items():
            folds = [fold[tested] for fold in tally.folds]
            if isinstance(study.cells, HeldOut):  # there is one fold: split it by every second net
                folds = [np.arange(tested.sum()) % 2] * len(folds)
            logs = [own[i][tested] for own in tally.logs]
            figures, own = calibration(logs, labels.codes[name][tested], folds)
            about = {"property": name, "classifier": kind}
            rows.append(about | figures)
            bins += [about | row for row in own]
    return (
        pl.DataFrame(rows, schema=CALIBRATION_COLUMNS),
        pl.DataFrame(bins, schema=RELIABILITY_COLUMNS),
    )


def _confusion(
    key: dict[str, str], answers: np.ndarray, codes: np.ndarray, labels: Labels, name: str
) -> list[dict[str, Any]]:
    levels = labels.levels[name]
    return [
        key | {"truth": truth, "answer": answer, "count": int(answers[codes == i, j].sum())}
        for i, truth in enumerate(levels)
        for j, answer in enumerate(levels)
    ]


def units_of(classifier: str) -> tuple[str, ...]:
    """The units that a classifier predicts: only nets if it reads whole nets."""
    return ("net",) if CLASSIFIERS[classifier].whole else UNITS
