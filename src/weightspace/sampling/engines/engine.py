"""What an engine is given, and how it says how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from weightspace.progress import Progress
from weightspace.sampling.calibration import Pace
from weightspace.sampling.plan import Unit
from weightspace.sampling.work import Job, digest
from weightspace.space import Recipe
from weightspace.training import Pool
from weightspace.zoo import Writer


@dataclass
class Work:
    """The units that a run still has to train, and what they share.

    `kept` nets were there before. An engine whose workers hold images of their own deletes `pool`.
    """

    job: Job
    pool: Pool
    writer: Writer
    units: Sequence[Unit]
    kept: int


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
    """Turns fractions of units into nets done, weighted by cost so that time left is steady."""

    def __init__(self, work: Work, progress: Progress) -> None:
        self._cost = {unit.name: unit.cost for unit in work.units}
        self._done = dict.fromkeys(self._cost, 0.0)
        self._nets = sum(len(unit.recipes) for unit in work.units)
        self._kept, self._progress = work.kept, progress
        self.show()

    def __call__(self, unit: str, fraction: float) -> None:
        """`unit` has come this far."""
        self._done[unit] = max(self._done[unit], fraction)
        self.show()

    def show(self) -> None:
        """Report nets done, those of earlier runs included."""
        whole = sum(self._cost.values())
        share = sum(self._cost[name] * done for name, done in self._done.items()) / whole
        self._progress("training nets", self._kept + share * self._nets, self._kept + self._nets)


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
