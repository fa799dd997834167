"""Rows of features with numbers to read off them, and what who never saw a net guesses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from weightspace.meta.folds import Cells, each_fold
from weightspace.meta.labels import Labels
from weightspace.meta.layerrows import net_rows
from weightspace.meta.registry import CLASSIFIERS, DEFAULT
from weightspace.meta.ridge import KernelRidge
from weightspace.meta.slices import SLICE_FEATURES, Source, random_slices
from weightspace.progress import Progress
from weightspace.zoo import Zoo

PROGRESS = "progress"


@dataclass(frozen=True)
class Problem:
    """Rows of features with the numbers to read off them.

    `features` [n, F], `owners` [n] places in the labels' nets, `snapshots` [n], `targets`
    name -> [n]. With `within` labels without meaning are permuted among the snapshots of a net,
    each of which every net has, else among nets; rows of one net and snapshot share theirs.
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


def problem_of(
    zoo: Zoo,
    labels: Labels,
    source: Source,
    classifier: str,
    numbers: dict[str, np.ndarray],
    steps: dict[int, np.ndarray],
    per_net: int,
    seed: int,
    progress: Progress,
) -> Problem:
    """Rows of the last snapshot with numbers of nets, or of many snapshots with their progress."""
    blocks: list[tuple[np.ndarray, np.ndarray, int]] = []
    for number in steps or (-1,):
        own = Source(source.slice_length, (number,), source.part, source.running_stats)
        if classifier == "layers":
            features, owners = net_rows(zoo, labels.nets, own, progress)
        else:
            count = max(1, per_net // 4) if steps else per_net
            features, owners = _slices(zoo, labels, own, count, seed, progress)
        blocks.append((features, owners, number))
    owners = np.concatenate([own for _, own, _ in blocks])
    snapshots = np.concatenate([np.full(len(own), number) for _, own, number in blocks])
    if steps:
        fractions = np.concatenate([steps[number][own] for _, own, number in blocks])
        targets = {PROGRESS: fractions}
    else:
        targets = {name: values[owners] for name, values in numbers.items()}
    features = np.concatenate([rows for rows, _, _ in blocks])
    return Problem(classifier, features, owners, snapshots, targets, bool(steps))


def _slices(
    zoo: Zoo, labels: Labels, source: Source, per_net: int, seed: int, progress: Progress
) -> tuple[np.ndarray, np.ndarray]:
    name = CLASSIFIERS[DEFAULT].features
    rows, owners = random_slices(
        zoo, labels.nets, {name: SLICE_FEATURES[name]}, source,
        per_net=per_net, seed=seed, progress=progress,
    )  # fmt: skip
    return rows[name], owners


def _permuted(problem: Problem, cells: Cells, permutations: int) -> np.ndarray:
    """The targets, then those without meaning: float64 [n, targets x (1 + permutations)]."""
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


def crossfitted(
    problem: Problem, cells: Cells, labels: Labels, seed: int, permutations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Targets and what was guessed by who did not see the net: [n, targets x (1 + R)] each."""
    truth = _permuted(problem, cells, permutations)
    guess = np.empty_like(truth)
    fold = cells.fold_of(seed)

    def judge(part: int, nets: np.ndarray) -> None:
        tested = fold[problem.owners] == part
        fitted = KernelRidge(seed=seed).fit(problem.features[~tested], truth[~tested])
        guess[tested] = fitted.predict(problem.features[tested])

    each_fold(fold, labels.families, judge)
    return truth, guess
