"""The code of a Ray task on its node: train one stack and bring it to the zoo."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.disk import InnerPath, read_bytes
from weightspace.errors import DataError
from weightspace.images import ImageSet
from weightspace.sampling.calibration import Pace, calibrate, one_thread
from weightspace.sampling.engines.depot import Depot
from weightspace.sampling.memory import memory_for
from weightspace.sampling.plan import Unit
from weightspace.sampling.work import Job, Report, train_unit
from weightspace.space import Recipe
from weightspace.training import Pool, learn
from weightspace.training.names import Named
from weightspace.zoo import Writer, Zoo
from weightspace.zoo.writing.parcel import Parcel, pack, twin, vectors

TELL_SECONDS = 1.0
MUST_AGREE = ("weightspace", "torch", "numpy")


@dataclass(frozen=True)
class SharedFolderProbe:
    """A secret file in the zoo's folder, by which a node tests whether it sees the folder."""

    place: InnerPath
    secret: bytes

    def seen(self) -> bool:
        """Whether this machine sees the folder of the driver."""
        try:
            return read_bytes(self.place, len(self.secret)) == self.secret
        except (OSError, DataError):
            return False


@dataclass(frozen=True)
class TaskSpec:
    """The data that all tasks of a run share; `run` is the name of the run.

    Stacks are written to `depot` if there is one, into the zoo where `probe` is seen, and are sent
    to the driver otherwise.
    """

    run: str
    job: Job
    writer: Writer
    probe: SharedFolderProbe | None
    depot: Depot | None
    versions: Mapping[str, str]


class ProgressActor:
    """An actor that keeps the progress reports of tasks until the driver reads them."""

    def __init__(self) -> None:
        self._news: dict[str, tuple[float, float]] = {}

    def tell(self, unit: str, fraction: float, before: float) -> None:
        """Note that `fraction` of `unit` is done; an earlier run did `before` of it."""
        self._news[unit] = (fraction, before)

    def news(self) -> dict[str, tuple[float, float]]:
        """The reports since the last call."""
        news, self._news = self._news, {}
        return news


def versions() -> dict[str, str]:
    """The versions that decide the weights; torch for CPU and torch for GPU count as equal."""
    return {name: version(name).partition("+")[0] for name in MUST_AGREE}


def measure(
    names: Named, recipes: Sequence[Recipe], device: str, told: Mapping[str, str]
) -> dict[str, Pace]:
    """Measure stack sizes and seconds of a step here; `told` are the versions of the driver."""
    _refuse_other_versions(told)
    learn(names)
    return calibrate(recipes, device)


def run_task(
    spec: TaskSpec, sets: Mapping[str, ImageSet], unit: Unit, actor: Any
) -> Iterator[Parcel | np.ndarray | None]:
    """Train a stack; yield its parcel, then its vectors net by net, or None where none are sent."""
    _refuse_other_versions(spec.versions)
    tell = _teller(actor)
    pool = _pool(spec, sets)
    if spec.probe and spec.probe.seen():
        with one_thread(spec.job.device):
            train_unit(spec.job, pool, unit, spec.writer, tell)
        yield from [None] * (1 + len(unit.recipes))
        return
    with tempfile.TemporaryDirectory(prefix="weightspace-") as folder:
        with one_thread(spec.job.device):
            train_unit(spec.job, pool, unit, twin(spec.writer, Path(folder)), tell)
        if spec.depot:
            spec.depot.leave(Path(folder), unit.name)
            yield from [None] * (1 + len(unit.recipes))
        else:
            zoo = Zoo(folder)
            parcel = pack(zoo, unit.name)
            yield parcel
            yield from vectors(zoo, parcel)


# A worker process that Ray reuses keeps the images of its run, under the name of the run.
_kept: dict[str, Pool] = {}


def _pool(spec: TaskSpec, sets: Mapping[str, ImageSet]) -> Pool:
    if spec.run not in _kept:
        _kept.clear()
        with memory_for(f"node {platform.node()}, a worker's images"):
            _kept[spec.run] = Pool.of(sets, spec.job.device)
    return _kept[spec.run]


def _teller(actor: Any) -> Report:
    last = -TELL_SECONDS

    def tell(unit: str, fraction: float, before: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_SECONDS:
            last = now
            actor.tell.remote(unit, fraction, before)

    return tell


def _refuse_other_versions(told: Mapping[str, str]) -> None:
    for name, here in versions().items():
        if here != told[name]:
            raise DataError(
                f"node {platform.node()}",
                f"has {name} {here}, the run was started with {told[name]}",
                "install the same there",
            )
