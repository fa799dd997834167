"""What an engine is given, and how it says how far it is."""

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
    """The units that a run still has to train, and what they share.

    `kept` nets were there before; `needs` is what the units are expected to need. An engine whose
    workers hold images of their own deletes `pool`.
    """

    job: Job
    pool: Pool
    writer: Writer
    units: Sequence[Unit]
    kept: int
    needs: Estimate


class Engine(Protocol):
    """Trains units somewhere and brings each into the zoo once.

    `here` says whether that is this machine.
    """

    here: ClassVar[bool]

    def device(self, asked: str) -> str:
        """What auto, cpu or cuda means: cpu or cuda. UsageError where there is none of it."""

    def workers(self, device: str) -> int:
        """How many units train at once."""

    def calibrate(self, recipes: Sequence[Recipe], device: str) -> dict[str, Pace]:
        """Stack sizes and seconds a step, measured where the units will train."""

    def train(self, work: Work, progress: Progress) -> None:
        """Train every unit; on a failure what is in the zoo stays, and nothing new is begun."""


class Bar:
    """Turns fractions of units into nets done, weighted by cost so that time left is steady.

    A listener that wants to know how long the run will take is told what was estimated, less what
    is done since: as much as `workers` have to do together, or the unit that takes longest alone.
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
        """`unit` has come this far; when first heard of, `before` of it was done earlier."""
        self.note(unit, fraction, before)
        self.show()

    def note(self, unit: str, fraction: float, before: float = 0.0) -> None:
        """As a call, without showing it yet."""
        at = self._at[unit]
        if unit not in self._heard:
            self._heard.add(unit)
            self._before[at] = before
        self._done[at] = max(self._done[at], fraction)

    def show(self) -> None:
        """Report nets done, those of earlier runs included."""
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
    """What two runs must have in common for the units of one to be those of the other."""
    meta, job = work.writer.meta, work.job
    return {
        "space": meta["space"]["recipe"],
        "seed": meta["seed"],
        "images": {name: digest(images) for name, images in work.pool.sets.items()},
        "size": list(job.size),
        "snapshots": job.snapshots if isinstance(job.snapshots, int) else list(job.snapshots),
        "evaluation_images": job.evaluation_images,
        "device": job.device,
    }
