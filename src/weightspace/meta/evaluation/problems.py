"""Rows of features with numbers to read off them, and what is predicted of nets not trained on."""

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
"""Stands for the snapshot of rows that were drawn from several: no snapshot has this number."""


@dataclass(frozen=True)
class Problem:
    """Rows of features with the numbers to read off them.

    `features` [n, F], `owners` [n] places in the labels' nets, `snapshots` [n], `targets`
    name -> [n]. With `within` the control permutes them among the snapshots of a net, each of
    which every net has, else among nets; rows of one net and snapshot share theirs.
    """

    classifier: str
    features: np.ndarray
    owners: np.ndarray
    snapshots: np.ndarray
    targets: dict[str, np.ndarray]
    within: bool


def steps_of(zoo: Zoo, labels: Labels, moments: int) -> dict[int, np.ndarray]:
    """Snapshot number -> fraction of training [N]; some of those that every net has.

    Empty where the nets share no two snapshots whose steps are on record.
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
    chosen = np.unique(np.linspace(0, len(numbers) - 1, min(moments, len(numbers))).round())
    return {
        numbers[int(i)]: own.filter(snapshot=numbers[int(i)])["fraction"].to_numpy() for i in chosen
    }


def of_nets(
    study: Study, classifier: str, numbers: dict[str, np.ndarray], seed: int, progress: Progress
) -> Problem:
    """Rows of the source's snapshots, as `evaluate` has them, with numbers of nets."""
    source = study.source
    features, owners = _rows(study, source, classifier, study.slices_per_net, seed, progress)
    moment = source.snapshots[0] if len(source.snapshots) == 1 else SEVERAL
    targets = {name: values[owners] for name, values in numbers.items()}
    return Problem(
        classifier, features, owners, np.full(len(owners), moment), targets, within=False
    )


def of_progress(
    study: Study, classifier: str, steps: dict[int, np.ndarray], seed: int, progress: Progress
) -> Problem:
    """Rows of each of the snapshots of `steps`, a quarter as many a net, with their progress."""
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
    """Features [n, F] that the classifier reads, and the rows' nets [n]."""
    kind = CLASSIFIERS[classifier].features
    if kind in WHOLE_ROWS:
        return WHOLE_ROWS[kind](study.zoo, study.labels.nets, source, progress)
    rows, owners = random_slices(
        study.zoo, study.labels.nets, {kind: SLICE_FEATURES[kind]}, source,
        per_net=per_net, seed=seed, progress=progress,
    )  # fmt: skip
    return rows[kind], owners


def _permuted(problem: Problem, cells: Cells, permutations: int) -> np.ndarray:
    """The targets, then permuted ones: float64 [n, targets x (1 + permutations)]."""
    truth = np.stack(list(problem.targets.values()), axis=1)
    moments, moment = np.unique(problem.snapshots, return_inverse=True)
    # A number belongs to a net's snapshot, of which there are many rows: [N, moments, targets].
    own = np.zeros((len(cells.cell), len(moments), truth.shape[1]))
    own[problem.owners, moment] = truth
    columns = [truth]
    for index in range(permutations):
        if problem.within:
            rng = np.random.default_rng([index, 0x9E58])
            order = rng.permuted(np.tile(np.arange(len(moments)), (len(own), 1)), axis=1)
            columns.append(own[problem.owners, order[problem.owners, moment]])
        else:
            columns.append(own[cells.permutation(index)][problem.owners, moment])
    return np.concatenate(columns, axis=1)


def guessed(problem: Problem, study: Study, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and what models trained on other nets predict: [n, targets x (1 + R)] each."""
    truth = _permuted(problem, study.cells, study.permutations)
    guess = np.empty_like(truth)
    fold = study.cells.fold_of(seed)

    def judge(part: int, nets: np.ndarray) -> None:
        tested = fold[problem.owners] == part
        fitted = KernelRidge(seed=seed).fit(problem.features[~tested], truth[~tested])
        guess[tested] = fitted.predict(problem.features[tested])

    each_fold(fold, study.labels.groups, judge)
    return truth, guess
