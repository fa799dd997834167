"""`fit`: a model from a whole population."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from weightspace.errors import UsageError
from weightspace.learners.registry import DEFAULT
from weightspace.learners.registry import classifier as declared
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import Source, held
from weightspace.meta.design.study import Study
from weightspace.meta.design.whole import aligned
from weightspace.meta.evaluation.crossfit import judge
from weightspace.meta.evaluation.versions import in_one_line
from weightspace.meta.model.model import Model
from weightspace.meta.model.reader import FEATURE_NAMES, Range, Reader, View, abilities
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo

PREFERRED = ("layers", DEFAULT)
"""What a model holds by default: the best where a layout is given, the best where none is."""


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

    Each net gives `slices_per_net` slices at equal distances over its vector, as `Model.predict`
    will take them, or one row of per-layer numbers or of all its weights. Beside the final
    classifier, `folds` others are cross-fitted by net: they give each property's accuracy with its
    interval, and the temperature that calibrates the averaged probabilities of a net.

    Parameters
    ----------
    zoo : Zoo, str, Path or Study
        As for `evaluate`.
    classifier : str, optional
        A name in `CLASSIFIERS`; by default two are kept, one for vectors with a layout and one
        for vectors without.
    properties, slice_length, snapshots, part, running_stats, slices_per_net, folds, resamples
        As for `evaluate`; with a `Study` only `resamples` may be given.
    seed : int
        Of folds and estimators.
    progress : callable
        Called with a task, what is done and the total.

    Returns
    -------
    Model

    Raises
    ------
    UsageError
        As `evaluate`, and for a classifier that no model keeps.
    """
    names = PREFERRED if classifier is None else (classifier,)
    kinds = [declared(name) for name in names]
    for kind in kinds:
        if kind.features not in (*FEATURE_NAMES, "weights"):
            raise UsageError(
                f"classifier {kind.name}: networks are evaluated, not kept in a model; fit "
                f"{', '.join(PREFERRED)}, or store one with its own save"
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
        features, owners, moments = _rows(zoo, labels, view, source, progress)
        progress("fitting", done, len(kinds))
        estimator = kind.estimator(seed)
        judged = judge(
            features,
            owners,
            labelings,
            fold,
            labels.groups,
            estimator,
            places=moments,
            detailed=1,
        )
        fitted = estimator.fit_kept(features, labels.matrix[owners], labelings.levels, owners)
        far = Range.learn(features, owners, moments, fold)
        readers.append(Reader(view, fitted, abilities(labels, judged, resamples), far))
    progress("fitting", len(kinds), len(kinds))
    facts = {
        "space": zoo.space.name,
        "nets": len(labels.nets),
        "dead": labels.dead,
        "diverged": labels.diverged,
        "snapshots": [int(s) for s in source.snapshots],
        "folds": study.folds,
        "seed": seed,
        "versions": in_one_line(),
    }
    return Model(tuple(readers), facts)


def _rows(
    zoo: Zoo, labels: Labels, view: View, source: Source, progress: Progress
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of every net's every snapshot, the rows' nets, and which of its own it was."""
    rows, owners, moments = [], [], []
    numbers = held(zoo, source.snapshots)
    for i, net in enumerate(labels.nets):
        layout = zoo.layout(net)
        for moment, snapshot in enumerate(numbers[net]):
            found = view.rows(zoo.vector(net, snapshot), layout)
            rows.append(found)
            owners += [i] * len(found)
            moments += [moment] * len(found)
        progress(f"reading for {view.classifier}", i + 1, len(labels.nets))
    return np.concatenate(rows), np.array(owners), np.array(moments)
