"""`run`: teach an encoder the lessons of a population, and judge it."""

from __future__ import annotations

import importlib.metadata
import math
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from weightspace.bench.encoders import Answers, Encoder
from weightspace.bench.populations import pin_of, population_of, weights_of
from weightspace.bench.results import NAME, Answered, Result
from weightspace.bench.tasks import JUDGES, Examples, Lesson, lessons_of
from weightspace.errors import UsageError
from weightspace.progress import Progress, silent
from weightspace.zoo import Zoo, opened

_LIBRARIES = ("weightspace", "numpy", "scikit-learn", "torch")
_T = TypeVar("_T")


def run(
    zoo: Zoo | str | Path,
    encoder: Encoder,
    *,
    judge: str = "test",
    seconds: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Result:
    """Teach an encoder the lessons of a population, on one core, and judge its answers.

    Parameters
    ----------
    zoo : Zoo, str or Path
        A population that `weightspace bench sample` made.
    encoder : Encoder
        What is to be judged.
    judge : {"test", "validation"}
        The nets that judge. Design an encoder on validation nets; no test net and no outside net is
        read then.
    seconds : float, optional
        The processor seconds that the encoder is allowed for each lesson. What an encoder does in
        this time is its matter; those of this package do not look at it.
    seed : int
        The seed of the encoder.
    progress : callable
        Called with a task, the number of lessons that are over, and the total.

    Returns
    -------
    Result

    Raises
    ------
    UsageError
        If an encoder's answers do not have the form that `Encoder` asks for.
    DataError
        If the zoo is none of the benchmark's populations, or not complete.
    """
    if not NAME.fullmatch(encoder.name):
        raise UsageError(
            repr(encoder.name), "is no name for the leaderboard", "use letters, digits, . + - _"
        )
    if judge not in JUDGES:
        raise UsageError("judge", f"{judge!r} is unknown", f"known are {', '.join(JUDGES)}")
    zoo = opened(zoo)
    population = population_of(zoo)
    facts, answered = {}, []
    total = 3 + len(population.unseen)
    for done, lesson in enumerate(lessons_of(zoo, population, judge)):
        progress(f"{encoder.name}: {lesson.name}", done, total)
        own, fact = _teach(encoder, lesson, math.inf if seconds is None else seconds, seed)
        answered += own
        facts[lesson.name] = fact
    progress(encoder.name, total, total)
    return Result(
        encoder.name, encoder.about, population.name, pin_of(zoo), weights_of(zoo), judge, seed,
        seconds, facts, _about_run(), tuple(answered),
    )  # fmt: skip


def _teach(
    encoder: Encoder, lesson: Lesson, seconds: float, seed: int
) -> tuple[list[Answered], dict[str, float]]:
    taught = lesson.taught
    read, spent = _on_one_core(
        lambda: encoder.fit(taught.rows, taught.targets, seed=seed, seconds=seconds)
    )
    answered, reading, count = [], 0.0, 0
    for task, judged in lesson.judged.items():
        found, took = _on_one_core(lambda rows=judged.rows: read(rows))  # type: ignore[misc]
        reading, count = reading + took, count + len(judged.rows)
        answered += _answered(encoder.name, task, judged, taught, found)
    fact = {
        "rows": len(taught.rows),
        "nets": len(np.unique(taught.rows.nets)),
        "seconds": round(spent, 2),
        "seconds_for_each_answer": round(reading / count, 5),
    }
    return answered, fact


def _answered(
    name: str, task: str, judged: Examples, taught: Examples, found: Answers
) -> list[Answered]:
    """The answers in the form of a result; UsageError if an encoder gave something else."""
    wanted = {one.name for one in judged.targets}
    if len(found) != len(taught.targets):
        raise UsageError(name, f"gave {len(found)} answers for {len(taught.targets)} targets")
    truths = {one.name: one for one in judged.targets}
    nets = tuple(judged.rows.nets.tolist())
    out = []
    for target, values in zip(taught.targets, found, strict=True):
        shape = (len(nets), len(target.levels)) if target.levels else (len(nets),)
        if np.shape(values) != shape or not np.isfinite(values).all():
            raise UsageError(
                name,
                f"answers for {target.name} have the shape {np.shape(values)}, or are not finite",
                f"give finite numbers of shape {shape}",
            )
        if target.name not in wanted:
            continue
        best = np.argmax(values, axis=1) if target.levels else np.round(values, 5)
        truth = truths[target.name].values
        if not target.levels:
            truth = np.round(truth, 6)
        given = (tuple(truth.tolist()), tuple(best.tolist()))
        out.append(Answered(task, target.name, target.levels, nets, *given))
    return out


def _on_one_core(work: Callable[[], _T]) -> tuple[_T, float]:
    """What the work gives, and the processor seconds that it took on one thread."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
    with threadpool_limits(1):
        start = time.process_time()
        found = work()
        return found, time.process_time() - start


def _about_run() -> dict[str, str]:
    found = {"machine": platform.machine(), "python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
