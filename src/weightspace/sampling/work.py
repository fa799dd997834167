"""The code of a worker: train one stack and write it to the zoo."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from weightspace.errors import UsageError, WeightspaceError
from weightspace.images import ImageSet, load, resize
from weightspace.sampling.memory import memory_for
from weightspace.sampling.plan import Unit
from weightspace.sampling.saving import Saver, go_on
from weightspace.space import Recipe
from weightspace.training import Pool, StackTrainer, learn
from weightspace.training.names import Named
from weightspace.training.state import ask_for
from weightspace.zoo import Writer

Report = Callable[[str, float, float], None]
"""Called as `report(unit name, fraction done, fraction that was done by an earlier run)`."""


@dataclass(frozen=True)
class Job:
    """The data that all stacks of a run share; it is sent to the workers once."""

    datasets: tuple[str, ...]
    data_dir: str | None
    size: tuple[int, int]
    snapshots: int | tuple[float, ...]
    evaluation_images: int
    device: str
    index: Mapping[str, int]
    split: Mapping[str, str]
    named: Named = field(default_factory=dict)
    """The extensions that recipes name: a worker process knows only those of the package."""

    @property
    def count(self) -> int:
        """The most snapshots of a net."""
        return self.snapshots if isinstance(self.snapshots, int) else len(self.snapshots)

    def pool(self, device: str | None = None) -> Pool:
        """The job's images, read from files, resized, and moved to its device."""
        sets = {name: prepared(name, self.data_dir, self.size) for name in self.datasets}
        return Pool.of(sets, device or self.device)

    def trainer(
        self, recipes: Sequence[Recipe], pool: Pool, together: bool | None = None
    ) -> StackTrainer:
        """A new trainer of a stack; `together` is how modules are computed, if that is decided."""
        learn(self.named)
        trainer = StackTrainer(
            recipes, pool, snapshots=self.snapshots, evaluation_images=self.evaluation_images
        )
        ask_for(trainer, together)
        return trainer


def prepared(name: str, data_dir: str | None, size: tuple[int, int]) -> ImageSet:
    """An image set of a `Recipe.size`; images of bytes are resized to it."""
    raw = load(name, data_dir)
    side, channels = size
    if raw.x_train.dtype != np.uint8:
        wanted = (side, side, channels) if channels else (side,)
        if raw.x_train.shape[1:] != wanted:
            raise UsageError(
                "input_size" if channels else "features",
                f"{name} has inputs of {'x'.join(map(str, raw.x_train.shape[1:]))}, not "
                f"{'x'.join(map(str, wanted))}; numbers are not resized",
                _size_of(raw),
            )
        return raw
    if not channels:
        raise UsageError(
            "features", f"{name} has images, not a table", "leave it out, and give input_size"
        )
    x_train, x_test = (resize(x, side, channels) for x in (raw.x_train, raw.x_test))
    return ImageSet(name, x_train, raw.y_train, x_test, raw.y_test, raw.classes)


def _size_of(raw: ImageSet) -> str:
    """What a space says to take numbers as they are."""
    match raw.x_train.shape[1:]:
        case (values,):
            return f"set features to {values}"
        case (side, wide, channels) if side == wide:
            return f"set input_size to {side}, channels to {channels} and features to 0"
    return "it takes square images and tables"


def digest(image_set: ImageSet) -> str:
    """A hash of a prepared set's images and labels, 16 hex digits, to compare runs."""
    found = hashlib.blake2b(digest_size=8)
    for array in (image_set.x_train, image_set.y_train, image_set.x_test, image_set.y_test):
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def train_unit(job: Job, pool: Pool, unit: Unit, writer: Writer, report: Report) -> str:
    """Train a stack, from its saved state if there is one, and commit it; returns its name."""
    with memory_for(f"{unit.name}, {len(unit.recipes)} nets together"):
        _train(job, pool, unit, writer, report)
    return unit.name


def _train(job: Job, pool: Pool, unit: Unit, writer: Writer, report: Report) -> None:
    trainer = job.trainer(unit.recipes, pool, unit.together)
    nets, layout = [recipe.net for recipe in unit.recipes], trainer.layout
    with writer.unit(
        unit.name, nets=nets, layout=layout, snapshots=job.count, going_on=True
    ) as out:
        rows = go_on(out, trainer)
        saver = Saver(out, trainer, rows)
        for snapshot in trainer.run(_Reporter(report, unit.name), between=saver):
            out.put(snapshot.net, snapshot.number, snapshot.vector)
            rows.append(
                {
                    "net": snapshot.net,
                    "snapshot": snapshot.number,
                    "step": snapshot.step,
                    "epoch": snapshot.epoch,
                    **snapshot.metrics,
                }
            )
        last = {row["net"]: row["test_accuracy"] for row in rows}
        outcomes = {outcome.net: outcome for outcome in trainer.outcomes}
        out.commit(
            nets=[
                {
                    "net": recipe.net,
                    "index": job.index[recipe.net],
                    "split": job.split[recipe.net],
                    **recipe.to_dict(),
                    "steps": outcomes[recipe.net].steps,
                    "diverged": outcomes[recipe.net].diverged_step is not None,
                    "diverged_step": outcomes[recipe.net].diverged_step,
                    "dead": outcomes[recipe.net].dead,
                    "converged": outcomes[recipe.net].converged,
                    "test_accuracy": last.get(recipe.net),
                }
                for recipe in unit.recipes
            ],
            snapshots=rows,
        )


class _Reporter:
    """A listener to a trainer; the first fraction that it gets is the work of an earlier run."""

    def __init__(self, report: Report, unit: str) -> None:
        self._report, self._unit = report, unit
        self._before: float | None = None

    def __call__(self, task: str, done: float, total: float) -> None:
        """Report the fraction of the stack that is done."""
        fraction = done / total
        if self._before is None:
            self._before = fraction
        self._report(self._unit, fraction, self._before)


# The data that a worker process keeps between stacks: set once by `start`, read by `work`.
_mine: dict[str, Any] = {}


def start(job: Job, writer: Writer, queue: Any, parent: int) -> None:
    """Prepare a worker process: one thread, the job, its images, and the queue for reports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    torch.set_num_threads(1)
    try:
        with memory_for("a worker's images"):
            _mine.update(job=job, pool=job.pool(), writer=writer, queue=queue)
    except WeightspaceError as error:
        _mine["error"] = error  # an exception that is raised here would be lost


def work(unit: Unit) -> str:
    """Train one stack in a worker process."""
    if "error" in _mine:
        raise _mine["error"]
    queue = _mine["queue"]
    return train_unit(
        _mine["job"], _mine["pool"], unit, _mine["writer"], lambda *said: queue.put(said)
    )


def _die_with(parent: int) -> None:
    """End this process when its parent has ended, also after a kill -9 of the parent."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
