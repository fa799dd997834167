"""`fit`: train a model on all nets of a population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from weightspace.errors import UsageError
from weightspace.learners.registry import DEFAULT, Classifier
from weightspace.learners.registry import classifier as declared
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import Source, held
from weightspace.meta.design.study import Study
from weightspace.meta.design.whole import aligned
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.evaluation.versions import in_one_line
from weightspace.meta.model.caution import told_of_left_out
from weightspace.meta.model.model import Model
from weightspace.meta.model.range import Range
from weightspace.meta.model.reader import FEATURE_NAMES, Reader, View, abilities
from weightspace.meta.model.shapes import Shapes, shapes
from weightspace.meta.model.structures import FROM_SHAPES, Rule, Structures
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo

PREFERRED = ("layers", DEFAULT)
"""The default classifiers of a model: the best one with a layout, and the best one without."""


def fit(
    zoo: Zoo | str | Path | Study,
    *,
    properties: Sequence[str] | None = None,
    classifier: str | None = None,
    slice_length: int | None = None,
    snapshots: Sequence[int] = (-1,),
    part: str = "all",
    running_stats: bool = True,
    slices_per_net: int = 8,
    folds: int = 5,
    seed: int = 0,
    resamples: int = 1000,
    progress: Progress = silent,
) -> Model:
    """Fit a model of every property on all nets of a population that did not diverge.

    Classifiers read `slices_per_net` slices of each net at equal distances over its vector, as
    `Model.predict` does, or one row of per-layer features or of all weights. Besides the final
    classifier, `folds` others are cross-fitted by net. They give each property's accuracy with its
    interval, the temperature that calibrates the mean probabilities of a net, and how far an answer
    goes (`Caution`). Classifiers that are trained without a level show how often nets of it are
    told. The model also knows the architectures of the population, and refuses others.

    Parameters
    ----------
    zoo : Zoo, str, Path or Study
        As for `evaluate`.
    classifier : str, optional
        A name in `CLASSIFIERS`. By default the model holds two classifiers, one for vectors with a
        layout and one for vectors without.
    properties, slice_length, snapshots, part, running_stats, slices_per_net, folds, resamples
        As for `evaluate`; with a `Study` only `resamples` may be given.
    seed : int
        The seed of folds and estimators.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        As `evaluate`, and for a classifier that a model cannot hold.
    """
    names = PREFERRED if classifier is None else (classifier,)
    kinds = [declared(name) for name in names]
    for kind in kinds:
        if kind.features not in (*FEATURE_NAMES, "weights"):
            raise UsageError(
                f"classifier {kind.name}",
                "a model cannot hold networks",
                f"fit {', '.join(PREFERRED)}, or save the network with its own method",
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
    )
    study.require()
    zoo, labels, source = study.zoo, study.labels, study.source
    labelings, fold = study.labelings(0), study.cells.fold_of(seed)
    readers = []
    for done, kind in enumerate(kinds):
        view = View(
            kind.name,
            source.slice_length,
            study.slices_per_net,
            source.part,
            source.running_stats,
        )
        if kind.features == "weights":
            shared = aligned(zoo, labels.nets, source)
            view = replace(view, alignment=shared.key, values=shared.values)
        features, owners, snapshots_of = _rows(zoo, labels, view, source, progress)
        progress("fitting", done, len(kinds))
        estimator = kind.estimator(seed)
        predicted = cross_predict(
            features,
            owners,
            labelings,
            fold,
            labels.groups,
            estimator,
            places=snapshots_of,
            detailed=1,
        )
        fitted = estimator.fit_kept(features, labels.matrix[owners], labelings.levels, owners)
        far = Range.fit(features, owners, snapshots_of, fold)
        told = _told(labels, kind, features, owners, fold, seed, progress)
        readers.append(
            Reader(
                view,
                fitted,
                abilities(
                    *(labels, predicted, fold, _means(features, owners, snapshots_of)),
                    *(told, resamples),
                ),
                far,
            )
        )
    progress("fitting", len(kinds), len(kinds))
    structures, rules, alarms = _architectures(zoo, labels, fold)
    facts = {
        "structure_alarms": alarms,
        "most_zeros": _most_zeros(zoo, labels, source),
        "space": zoo.space.name,
        "nets": len(labels.nets),
        "dead": labels.dead,
        "diverged": labels.diverged,
        "snapshots": [int(s) for s in source.snapshots],
        "folds": study.folds,
        "seed": seed,
        "versions": in_one_line(),
    }
    return Model(tuple(readers), facts, structures, rules)


def _means(features: np.ndarray, owners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The mean row of each vector, ordered by net and snapshot: float [vectors, F]."""
    vectors, vector = np.unique(np.stack([owners, places]), axis=1, return_inverse=True)
    if vectors.shape[1] == len(features):
        return features
    sums = np.zeros((vectors.shape[1], features.shape[1]))
    np.add.at(sums, vector.ravel(), features)
    return sums / np.bincount(vector.ravel())[:, None]


def _told(
    labels: Labels,
    kind: Classifier,
    features: np.ndarray,
    owners: np.ndarray,
    fold: np.ndarray,
    seed: int,
    progress: Progress,
) -> dict[str, float | None]:
    """How often no level is named for nets of a level that was left out, by property.

    It is measured for classifiers of whole nets, with which checkpoints are read.
    """
    if not kind.whole:
        return {}
    found = {}
    for done, (name, codes) in enumerate(labels.codes.items()):
        progress("leaving levels out", done, len(labels.codes))
        if name not in FROM_SHAPES:
            found[name] = told_of_left_out(
                features,
                codes[owners],
                len(labels.levels[name]),
                owners,
                fold[owners],
                kind.estimator(seed),
            )
    progress("leaving levels out", len(labels.codes), len(labels.codes))
    return found


def _architectures(
    zoo: Zoo, labels: Labels, fold: np.ndarray
) -> tuple[Structures, dict[str, Rule], float]:
    """The structures of the nets, the properties that shapes show, and the share of false alarms.

    The share is that of nets which are outside of the structures of the nets of the other folds.
    """
    by_layout: dict[str, Shapes] = {}
    nets = []
    for net in labels.nets:
        layout = zoo.layout(net)
        if layout.key not in by_layout:
            by_layout[layout.key] = shapes(layout)
        nets.append(by_layout[layout.key])
    alarms = 0
    for part in np.unique(fold):
        others = Structures.of([net for net, own in zip(nets, fold, strict=True) if own != part])
        alarms += sum(
            bool(others.reasons(net)) for net, own in zip(nets, fold, strict=True) if own == part
        )
    rules = {}
    for name, levels in labels.levels.items():
        rule = Rule.of(name, nets, [levels[code] for code in labels.codes[name]])
        if rule is not None:
            rules[name] = rule
    return Structures.of(nets), rules, alarms / len(nets)


def _most_zeros(zoo: Zoo, labels: Labels, source: Source) -> float:
    """The largest share of values of a vector that are exactly 0."""
    numbers = held(zoo, source.snapshots)
    return max(
        float((zoo.vector(net, snapshot) == 0).mean())
        for net in labels.nets
        for snapshot in numbers[net]
    )


def _rows(
    zoo: Zoo, labels: Labels, view: View, source: Source, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of every net and snapshot, the nets of the rows, and each net's snapshots from 0."""
    rows, owners, places = [], [], []
    numbers = held(zoo, source.snapshots)
    for i, net in enumerate(labels.nets):
        layout = zoo.layout(net)
        for place, snapshot in enumerate(numbers[net]):
            found = view.rows(zoo.vector(net, snapshot), layout)
            rows.append(found)
            owners += [i] * len(found)
            places += [place] * len(found)
        progress(f"reading for {view.classifier}", i + 1, len(labels.nets))
    return np.concatenate(rows), np.array(owners), np.array(places)
