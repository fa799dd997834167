"""`regress`: how well numbers, such as the learning rate, can be read from the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.study import Study
from weightspace.meta.evaluation.problems import (
    PROGRESS,
    SEVERAL,
    Problem,
    guessed,
    of_nets,
    of_progress,
    steps_of,
)
from weightspace.meta.evaluation.regressed import COLUMNS, GUESS_COLUMNS, Regression
from weightspace.meta.evaluation.versions import in_one_line
from weightspace.meta.statistics.intervals import control_interval
from weightspace.meta.statistics.numbers import (
    kendall,
    kendall_interval,
    r_squared,
    r_squared_interval,
    wider,
)
from weightspace.progress import Progress, silent
from weightspace.space import Uniform
from weightspace.zoo import Zoo

ACCURACY = "test_accuracy"
_FACTS = ("slice_length", "part", "running_stats", "folds", "seeds")
FEWEST = 6
"""The fewest nets for each fold that allow an interval."""


def regress(
    zoo: Zoo | str | Path | Study,
    *,
    targets: Sequence[str] | None = None,
    properties: Sequence[str] | None = None,
    slice_length: int | None = None,
    snapshots: Sequence[int] = (-1,),
    part: str = "all",
    running_stats: bool = True,
    slices_per_net: int = 8,
    folds: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
    permutations: int = 10,
    moments: int = 7,
    progress: Progress = silent,
) -> Regression:
    """Test how well numbers can be read from the weights of nets outside the training set.

    Kernel ridge regression predicts numbers from slices ("kernel": from each slice alone, and from
    all slices of a net) and from whole nets ("layers"). Folds are by net, and the procedure is
    repeated with numbers permuted over nets (for progress: over the snapshots of each net).

    Parameters
    ----------
    zoo : Zoo, str, Path or Study
        As for `evaluate`. With a `Study`, leave out the arguments from `properties` to
        `permutations`.
    targets : sequence of str, optional
        Continuous properties of the zoo's space, on a logarithmic scale where they are positive;
        "test_accuracy" at the end of training; "progress", the fraction of training, 0..1, at
        which a snapshot was taken. By default all of these that the zoo has.
    properties : sequence of str, optional
        The properties that decide which nets take part and how folds are balanced, as for
        `evaluate`; by default those on record for every net.
    slice_length, snapshots, part, running_stats, slices_per_net, folds, seeds, permutations
        As for `evaluate`. From early snapshots, the accuracy at the end is a forecast.
    moments : int
        How many snapshots of each net are read for progress, evenly spaced among those that all
        nets have. `snapshots` does not apply to progress.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Regression

    Raises
    ------
    UsageError
        For unknown targets and too few nets.

    Notes
    -----
    R2 is 1 - squared error / variance: 0 for predicting the mean. R2 and Kendall's tau have 95 %
    intervals over nets.
    """
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
    )
    wanted, steps = _asked(study, targets, moments)
    study.source.require(study.zoo, study.labels.nets)
    rows: list[dict[str, Any]] = []
    guesses: list[pl.DataFrame] = []
    plain = {name: values for name, values in wanted.items() if name != PROGRESS}
    kinds = [name for name, on in (("nets", plain), ("moments", PROGRESS in wanted)) if on]
    for kind in kinds:
        read = study.source.snapshots if kind == "nets" else steps
        facts = {
            **{key: study.facts[key] for key in _FACTS},
            "snapshots": ", ".join(map(str, read)),
            "permutations": study.permutations,
            "versions": in_one_line(),
        }
        for classifier in ("kernel", "layers"):
            found: list[tuple[Problem, tuple[np.ndarray, np.ndarray]]] = []
            for turn, seed in enumerate(study.seeds):
                if classifier == "kernel" or not turn:
                    problem = (
                        of_nets(study, classifier, plain, seed, progress)
                        if kind == "nets"
                        else of_progress(study, classifier, steps, seed, progress)
                    )
                progress(f"regression ({kind}, {classifier})", turn, len(study.seeds))
                found.append((problem, guessed(problem, study, seed)))
            progress(f"regression ({kind}, {classifier})", len(study.seeds), len(study.seeds))
            for place, name in enumerate(found[0][0].targets):
                rows += _summary(name, place, found, study, facts)
                guesses.append(_guesses(name, place, found, study.labels))
    rank = {name: i for i, name in enumerate(wanted)}
    rows.sort(key=lambda row: rank[row["target"]])
    table = pl.DataFrame(rows, schema=COLUMNS)
    return Regression(table, pl.concat(guesses).select(*GUESS_COLUMNS))


def refusal(study: Study, *, moments: int = 7) -> str | None:
    """The reason, in one line, why `regress` refuses a study that `evaluate` accepts; else None.

    It is known without reading vectors. UsageError if `evaluate` refuses the study as well.
    """
    study.labels.require(study.folds)
    try:
        _asked(study, None, moments)
    except UsageError as error:
        return str(error)
    return None


def _asked(
    study: Study, targets: Sequence[str] | None, moments: int
) -> tuple[dict[str, np.ndarray], dict[int, np.ndarray]]:
    """Target -> [N] on its scale (empty for progress), and the snapshots to read for progress."""
    zoo, labels, folds = study.zoo, study.labels, study.folds
    if len(labels.nets) < FEWEST * folds:
        raise UsageError(
            "nets",
            f"{len(labels.nets)} are too few for an interval of a regression with {folds} folds",
            f"it needs {FEWEST * folds}",
        )
    steps = steps_of(zoo, labels, moments)
    known = _numbers(zoo, labels) | ({PROGRESS: np.empty(0)} if steps else {})
    return {name: known[name] for name in _wanted(targets, known)}, steps


def _numbers(zoo: Zoo, labels: Labels) -> dict[str, np.ndarray]:
    """Target -> float64 [N] on its scale, for numbers of nets that vary."""
    own = zoo.nets.filter(pl.col("net").is_in(list(labels.nets)))
    found: dict[str, np.ndarray] = {}
    for name, distribution in zoo.space.distributions.items():
        if isinstance(distribution, Uniform) and not own[name].null_count():
            values = own[name].to_numpy().astype(np.float64)
            found[name] = np.log10(values) if distribution.low > 0 else values
    accuracy = own[ACCURACY].to_numpy().astype(np.float64)
    if np.isfinite(accuracy).all():
        found[ACCURACY] = accuracy
    return {name: values for name, values in found.items() if np.ptp(values)}


def _scale(zoo: Zoo, name: str) -> str:
    distribution = zoo.space.distributions.get(name)
    return "log10" if isinstance(distribution, Uniform) and distribution.low > 0 else "linear"


def _wanted(targets: Sequence[str] | None, known: dict[str, np.ndarray]) -> tuple[str, ...]:
    wanted = tuple(known) if targets is None else tuple(dict.fromkeys(targets))
    for name in wanted:
        if name not in known:
            raise UsageError(
                name,
                "no number that varies and is on record for every net",
                f"known are {', '.join(known) or 'none'}",
            )
    if not wanted:
        if targets is None:
            raise UsageError("targets", "no number varies and is on record for every net")
        raise UsageError("targets", "none to predict", "name at least one")
    return wanted


@dataclass(frozen=True)
class _Pooled:
    """Targets and predictions of all seeds: `truth` and `guess` [n, 1 + R, seeds], `nets` [n]."""

    truth: np.ndarray
    guess: np.ndarray
    nets: np.ndarray


def _pooled(
    place: int, count: int, found: list[tuple[Problem, tuple[np.ndarray, np.ndarray]]], net: bool
) -> _Pooled:
    """One target under all labelings; with `net`, averaged over the rows of a net and snapshot."""
    truths, guesses = [], []
    for problem, (truth, guess) in found:
        own = [truth[:, place::count], guess[:, place::count]]
        nets = problem.owners
        if net:
            keys = np.stack([problem.owners, problem.snapshots])
            kept, key, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
            nets = kept[0]
            own = [
                np.stack([np.bincount(key.ravel(), c) for c in columns.T], axis=1) / sizes[:, None]
                for columns in own
            ]
        order = np.argsort(nets, kind="stable")
        truths.append(own[0][order])
        guesses.append(own[1][order])
    return _Pooled(np.stack(truths, axis=2), np.stack(guesses, axis=2), nets[order])


def _summary(
    name: str,
    place: int,
    found: list[tuple[Problem, tuple[np.ndarray, np.ndarray]]],
    study: Study,
    facts: dict[str, Any],
) -> list[dict[str, Any]]:
    """A row for each unit: single slices, and all slices of a vector together."""
    first = found[0][0]
    rows = []
    for unit in ("slice", "net") if first.classifier == "kernel" else ("net",):
        pooled = _pooled(place, len(first.targets), found, unit == "net")
        row = {
            "target": name,
            "scale": _scale(study.zoo, name),
            "classifier": first.classifier,
            "unit": unit,
        }
        row |= _figures(pooled, study.labels.groups[pooled.nets]) | {
            "n_nets": len(np.unique(pooled.nets))
        }
        rows.append(row | {"n_rows": pooled.truth.shape[0] * len(found)} | facts)
    return rows


def _figures(pooled: _Pooled, groups: np.ndarray) -> dict[str, Any]:
    """Measures with interval and control; `groups` int [n] are those of the rows' nets."""
    seeds = range(pooled.truth.shape[2])
    r2 = wider(r_squared_interval, pooled.truth[:, 0, 0], pooled.guess[:, 0], pooled.nets, groups)
    taus = [
        wider(kendall_interval, pooled.truth[:, 0, s], pooled.guess[:, 0, s], pooled.nets, groups)
        for s in seeds
    ]
    found: dict[str, Any] = {"r2": r2.value, "r2_low": r2.low, "r2_high": r2.high}
    found |= {
        name: float(np.mean([getattr(tau, end) for tau in taus]))
        for name, end in (("tau", "value"), ("tau_low", "low"), ("tau_high", "high"))
    }
    for name, measure in (("r2", r_squared), ("tau", kendall)):
        controls = tuple(
            float(np.mean([measure(pooled.truth[:, r, s], pooled.guess[:, r, s]) for s in seeds]))
            for r in range(1, pooled.truth.shape[1])
        )
        reach = control_interval(controls, least=-1.0) if controls else None
        found |= {
            f"{name}_control_low": reach and reach.low,
            f"{name}_control_high": reach and reach.high,
        }
    return found


def _guesses(
    name: str,
    place: int,
    found: list[tuple[Problem, tuple[np.ndarray, np.ndarray]]],
    labels: Labels,
) -> pl.DataFrame:
    """The prediction for each net and snapshot: the mean over its slices and the seeds."""
    parts = [
        pl.DataFrame(
            {
                "place": problem.owners,
                "snapshot": problem.snapshots,
                "truth": truth[:, place],
                "guess": guess[:, place],
            }
        )
        for problem, (truth, guess) in found
    ]
    ids = pl.DataFrame({"place": range(len(labels.nets)), "net": labels.nets})
    means = pl.concat(parts).group_by("place", "snapshot").mean().sort("place", "snapshot")
    about = {"target": pl.lit(name), "classifier": pl.lit(found[0][0].classifier)}
    about["snapshot"] = pl.when(pl.col("snapshot") != SEVERAL).then(pl.col("snapshot"))
    return means.join(ids, on="place").with_columns(**about).select(*GUESS_COLUMNS)
