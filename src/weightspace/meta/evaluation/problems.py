"""Rows of features with numbers to predict, and predictions for nets outside the training set."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from weightspace.learners.registry import CLASSIFIERS
from weightspace.learners.ridge import KernelRidge
from weightspace.meta.design.folds import Cells, each_fold
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.design.study import Study
from weightspace.meta.design.whole import WHOLE_ROWS
from weightspace.progress import Progress
from weightspace.zoo import Zoo

PROGRESS = "progress"
SEVERAL = 0
"""The snapshot number of rows that come from several snapshots: no snapshot has this number."""


@dataclass(frozen=True)
class Problem:
    """Rows of features with the numbers to predict from them.

    `features` [n, F]; `owners` [n], positions in the labels' nets; `snapshots` [n]; `targets`
    name -> [n], equal for all rows of one net and snapshot. With `within` the control permutes
    targets among the snapshots of each net (every net has all of them), otherwise among nets.
    """

    classifier: str
    features: np.ndarray
    owners: np.ndarray
    snapshots: np.ndarray
    targets: dict[str, np.ndarray]
    within: bool


def steps_of(zoo: Zoo, labels: Labels, most: int) -> dict[int, np.ndarray]:
    """Snapshot number -> fraction of training [N], for at most `most` snapshots all nets have.

    Empty if the nets share fewer than two snapshots whose steps are on record.
    """
    own = zoo.snapshots.filter(pl.col("net").is_in(list(labels.nets)))
    last = pl.col("step").max().over("net")
    own = own.with_columns((pl.col("step") / pl.when(last > 0).then(last)).alias("fraction"))
    place = pl.DataFrame({"net": labels.nets, "place": range(len(labels.nets))})
    own = own.join(place, on="net").sort("snapshot", "place")
    numbers = [
        number
        for (number,), rows in own.group_by("snapshot", maintain_order=True)
        if rows.height == len(labels.nets) and not rows["fraction"].null_count()
    ]
    if len(numbers) < 2:
        return {}
    chosen = np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round())
    return {
        numbers[int(i)]: own.filter(snapshot=numbers[int(i)])["fraction"].to_numpy() for i in chosen
    }


def of_nets(
    study: Study, classifier: str, numbers: dict[str, np.ndarray], seed: int, progress: Progress
) -> Problem:
    """Rows of the source's snapshots, as for `evaluate`, with a number for each net."""
    source = study.source
    features, owners = _rows(study, source, classifier, study.slices_per_net, seed, progress)
    snapshot = source.snapshots[0] if len(source.snapshots) == 1 else SEVERAL
    targets = {name: values[owners] for name, values in numbers.items()}
    return Problem(
        classifier, features, owners, np.full(len(owners), snapshot), targets, within=False
    )


def of_progress(
    study: Study, classifier: str, steps: dict[int, np.ndarray], seed: int, progress: Progress
) -> Problem:
    """Rows of each snapshot of `steps`, a quarter as many for each net, with their progress."""
    blocks = []
    for number in steps:
        own = replace(study.source, snapshots=(number,))
        few = max(1, study.slices_per_net // 4)
        blocks.append((*_rows(study, own, classifier, few, seed, progress), number))
    return Problem(
        classifier,
        np.concatenate([rows for rows, _, _ in blocks]),
        np.concatenate([own for _, own, _ in blocks]),
        np.concatenate([np.full(len(own), number) for _, own, number in blocks]),
        {PROGRESS: np.concatenate([steps[number][own] for _, own, number in blocks])},
        within=True,
    )


def _rows(
    study: Study,
    source: Source,
    classifier: str,
    per_net: int,
    seed: int,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """The features [n, F] that the classifier reads, and the nets of the rows [n]."""
    kind = CLASSIFIERS[classifier].features
    if kind in WHOLE_ROWS:
        return WHOLE_ROWS[kind](study.zoo, study.labels.nets, source, progress)
    rows, owners = random_slices(
        study.zoo, study.labels.nets, {kind: SLICE_FEATURES[kind]}, source,
        per_net=per_net, seed=seed, progress=progress,
    )  # fmt: skip
    return rows[kind], owners


def _permuted(problem: Problem, cells: Cells, permutations: int) -> np.ndarray:
    """The targets, followed by permuted targets: float64 [n, targets x (1 + permutations)]."""
    truth = np.stack(list(problem.targets.values()), axis=1)
    numbers, number = np.unique(problem.snapshots, return_inverse=True)
    # All rows of a net and snapshot have one number: [N, snapshots, targets].
    own = np.zeros((len(cells.cell), len(numbers), truth.shape[1]))
    own[problem.owners, number] = truth
    columns = [truth]
    for index in range(permutations):
        if problem.within:
            rng = np.random.default_rng([index, 0x9E58])
            order = rng.permuted(np.tile(np.arange(len(numbers)), (len(own), 1)), axis=1)
            columns.append(own[problem.owners, order[problem.owners, number]])
        else:
            columns.append(own[cells.permutation(index)][problem.owners, number])
    return np.concatenate(columns, axis=1)


def guessed(problem: Problem, study: Study, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions of models trained on other nets: [n, targets x (1 + R)] each."""
    truth = _permuted(problem, study.cells, study.permutations)
    guess = np.empty_like(truth)
    fold = study.cells.fold_of(seed)

    def predict_fold(part: int, nets: np.ndarray) -> None:
        tested = fold[problem.owners] == part
        fitted = KernelRidge(seed=seed).fit(problem.features[~tested], truth[~tested])
        guess[tested] = fitted.predict(problem.features[tested])

    each_fold(fold, study.labels.groups, predict_fold)
    return truth, guess
