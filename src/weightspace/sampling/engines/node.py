"""What a Ray task does on its node: train one unit and send it on its way to the zoo."""

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
class Beacon:
    """A file in the zoo's folder that only the driver can have put there, and what it says."""

    place: InnerPath
    secret: bytes

    def seen(self) -> bool:
        """Whether this machine sees the same folder."""
        try:
            return read_bytes(self.place, len(self.secret)) == self.secret
        except (OSError, DataError):
            return False


@dataclass(frozen=True)
class Errand:
    """What every task of a run is told; `run` is the run's own name.

    Units go to `depot` if there is one, into the zoo where its beacon is seen, else to the driver.
    """

    run: str
    job: Job
    writer: Writer
    beacon: Beacon | None
    depot: Depot | None
    versions: Mapping[str, str]


class Board:
    """An actor that keeps what tasks say of their progress until the driver asks."""

    def __init__(self) -> None:
        self._news: dict[str, tuple[float, float]] = {}

    def tell(self, unit: str, fraction: float, before: float) -> None:
        """`unit` has come this far; `before` of it was done by an earlier run."""
        self._news[unit] = (fraction, before)

    def news(self) -> dict[str, tuple[float, float]]:
        """What was told since this was asked last."""
        news, self._news = self._news, {}
        return news


def versions() -> dict[str, str]:
    """What decides the weights that come out; builds of torch for CPU and GPU count as one."""
    return {name: version(name).partition("+")[0] for name in MUST_AGREE}


def measure(
    names: Named, recipes: Sequence[Recipe], device: str, told: Mapping[str, str]
) -> dict[str, Pace]:
    """Stack sizes and seconds a step on this node; `told` is what `versions` says elsewhere."""
    _refuse_other_versions(told)
    learn(names)
    return calibrate(recipes, device)


def errand(
    told: Errand, sets: Mapping[str, ImageSet], unit: Unit, board: Any
) -> Iterator[Parcel | np.ndarray | None]:
    """Train a unit; yields its parcel, then its vectors net by net, or None where none are sent."""
    _refuse_other_versions(told.versions)
    tell = _teller(board)
    pool = _pool(told, sets)
    if told.beacon and told.beacon.seen():
        with one_thread(told.job.device):
            train_unit(told.job, pool, unit, told.writer, tell)
        yield from [None] * (1 + len(unit.recipes))
        return
    with tempfile.TemporaryDirectory(prefix="weightspace-") as folder:
        with one_thread(told.job.device):
            train_unit(told.job, pool, unit, twin(told.writer, Path(folder)), tell)
        if told.depot:
            told.depot.leave(Path(folder), unit.name)
            yield from [None] * (1 + len(unit.recipes))
        else:
            zoo = Zoo(folder)
            parcel = pack(zoo, unit.name)
            yield parcel
            yield from vectors(zoo, parcel)


# A worker process that Ray uses again keeps the images of its run, under the run's name.
_kept: dict[str, Pool] = {}


def _pool(told: Errand, sets: Mapping[str, ImageSet]) -> Pool:
    if told.run not in _kept:
        _kept.clear()
        with memory_for(f"node {platform.node()}, a worker's images"):
            _kept[told.run] = Pool.of(sets, told.job.device)
    return _kept[told.run]


def _teller(board: Any) -> Report:
    last = -TELL_SECONDS

    def tell(unit: str, fraction: float, before: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_SECONDS:
            last = now
            board.tell.remote(unit, fraction, before)

    return tell


def _refuse_other_versions(told: Mapping[str, str]) -> None:
    for name, here in versions().items():
        if here != told[name]:
            raise DataError(
                f"node {platform.node()}: has {name} {here}, the run was started with "
                f"{told[name]}; install the same there"
            )
