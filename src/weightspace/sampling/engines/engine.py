"""The input of an engine, and how it reports progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from weightspace.progress import Progress, foresee
from weightspace.sampling.calibration import Pace
from weightspace.sampling.needs import Estimate
from weightspace.sampling.plan import Unit
from weightspace.sampling.work import Job, digest
from weightspace.space import Recipe
from weightspace.training import Pool
from weightspace.zoo import Writer


@dataclass
class Work:
    """The stacks that a run still has to train, and the data that they share.

    `kept` is the number of nets that are in the zoo already; `needs` is the estimate for the
    stacks. An engine whose workers hold their own images deletes `pool`.
    """

    job: Job
    pool: Pool
    writer: Writer
    units: Sequence[Unit]
    kept: int
    needs: Estimate


class Engine(Protocol):
    """Trains stacks and brings each into the zoo once.

    `here` says whether it trains on this machine.
    """

    here: ClassVar[bool]

    def device(self, asked: str) -> str:
        """Resolve auto, cpu or cuda to cpu or cuda; UsageError if the device does not exist."""

    def workers(self, device: str) -> int:
        """How many units train at once."""

    def calibrate(self, recipes: Sequence[Recipe], device: str) -> dict[str, Pace]:
        """Measure stack sizes and seconds of a step where the stacks will train."""

    def train(self, work: Work, progress: Progress) -> None:
        """Train every stack; after a failure the zoo keeps its nets, and nothing new is started."""


class Bar:
    """Converts fractions of stacks to numbers of nets, weighted by the cost of each stack.

    A listener with `foresee` gets the estimated time left: that of all remaining work divided by
    the number of workers, or that of the longest remaining stack.
    """

    def __init__(self, work: Work, progress: Progress) -> None:
        self._at = {unit.name: i for i, unit in enumerate(work.units)}
        self._cost = np.array([unit.cost for unit in work.units])
        self._done = np.zeros(len(self._cost))
        self._before = np.zeros(len(self._cost))  # of that, what earlier runs did
        self._heard: set[str] = set()
        self._workers = min(work.needs.workers, len(work.units))
        self._rate = work.needs.seconds / (self._lasting(self._done) or 1.0)
        self._nets = sum(len(unit.recipes) for unit in work.units)
        self._kept, self._progress = work.kept, progress
        self.show()

    def __call__(self, unit: str, fraction: float, before: float = 0.0) -> None:
        """Note that `fraction` of `unit` is done, `before` of it by an earlier run, and show it."""
        self.note(unit, fraction, before)
        self.show()

    def note(self, unit: str, fraction: float, before: float = 0.0) -> None:
        """As a call, but without showing it."""
        at = self._at[unit]
        if unit not in self._heard:
            self._heard.add(unit)
            self._before[at] = before
        self._done[at] = max(self._done[at], fraction)

    def show(self) -> None:
        """Report the number of trained nets, including those of earlier runs."""
        task, whole = "training nets", self._cost.sum() or 1.0
        share = float((self._cost * self._done).sum() / whole)
        left, all_of_it = self._lasting(self._done), self._lasting(self._before)
        foresee(self._progress, task, self._rate * left, self._rate * all_of_it)
        self._progress(task, self._kept + share * self._nets, self._kept + self._nets)

    def _lasting(self, done: np.ndarray) -> float:
        """How long the rest takes, in the units of costs, where `done` is done of each unit."""
        rest = self._cost * (1 - done)
        return float(max(rest.sum() / self._workers, rest.max()))


def run_facts(work: Work) -> dict[str, Any]:
    """The facts that two runs must share, so that one can use the stacks of the other."""
    meta, job = work.writer.meta, work.job
    modules = meta["info"].get("modules")
    return ({"modules": modules} if modules else {}) | {
        "space": meta["space"]["recipe"],
        "seed": meta["seed"],
        "images": {name: digest(images) for name, images in work.pool.sets.items()},
        "size": list(job.size),
        "snapshots": job.snapshots if isinstance(job.snapshots, int) else list(job.snapshots),
        "evaluation_images": job.evaluation_images,
        "device": job.device,
    }
