"""What a worker does: train one unit and write it to the zoo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from weightspace.images import ImageSet, load, resize
from weightspace.sampling.plan import Unit
from weightspace.training import StackTrainer
from weightspace.training.batches import Pool
from weightspace.zoo import Writer

Report = Callable[[str, float], None]
"""Called as `report(unit name, fraction done)`."""


@dataclass(frozen=True)
class Job:
    """What every unit of a run shares; goes to the workers once."""

    datasets: tuple[str, ...]
    data_dir: str | None
    size: tuple[int, int]
    snapshots: int
    evaluation_images: int
    device: str
    index: Mapping[str, int]
    split: Mapping[str, str]

    def pool(self) -> Pool:
        """The job's images on its device; made once a process."""
        return image_pool(self.datasets, self.data_dir, self.size, self.device)


@cache
def image_pool(
    datasets: tuple[str, ...], data_dir: str | None, size: tuple[int, int], device: str
) -> Pool:
    """The image sets brought to `size` (side, channels), on the device, once a process."""
    return Pool.of({name: prepared(name, data_dir, size) for name in datasets}, device)


def prepared(name: str, data_dir: str | None, size: tuple[int, int]) -> ImageSet:
    """An image set brought to one side length and number of channels."""
    raw = load(name, data_dir)
    x_train, x_test = (resize(x, *size) for x in (raw.x_train, raw.x_test))
    return ImageSet(name, x_train, raw.y_train, x_test, raw.y_test, raw.classes)


def train_unit(job: Job, unit: Unit, writer: Writer, report: Report) -> str:
    """Train the unit's stack and commit it; returns the unit's name."""
    trainer = StackTrainer(
        unit.recipes,
        job.pool(),
        snapshots=job.snapshots,
        evaluation_images=job.evaluation_images,
    )
    nets = [recipe.net for recipe in unit.recipes]
    rows: list[dict[str, Any]] = []
    last: dict[str, float] = {}
    with writer.unit(unit.name, nets=nets, layout=trainer.layout, snapshots=job.snapshots) as out:
        for snapshot in trainer.run(partial(_forward, report, unit.name)):
            out.put(snapshot.net, snapshot.number, snapshot.vector)
            rows.append(
                {
                    "net": snapshot.net,
                    "snapshot": snapshot.number,
                    "step": snapshot.step,
                    "epoch": snapshot.epoch,
                    **{name: _known(value) for name, value in snapshot.metrics.items()},
                }
            )
            last[snapshot.net] = snapshot.metrics["test_accuracy"]
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
                    "test_accuracy": last.get(recipe.net),
                }
                for recipe in unit.recipes
            ],
            snapshots=rows,
        )
    return unit.name


def _forward(report: Report, name: str, task: str, done: float, total: float) -> None:
    report(name, done / total)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


# What a worker process keeps between units: set once by `start`, read by `work`.
_mine: dict[str, Any] = {}


def start(job: Job, writer: Callable[[], Writer], queue: Any) -> None:
    """Prepare a worker process: one thread, the job, and the way back to the parent."""
    torch.set_num_threads(1)
    _mine.update(job=job, writer=writer(), queue=queue)


def work(unit: Unit) -> str:
    """Train one unit in a worker process."""
    queue = _mine["queue"]
    return train_unit(_mine["job"], unit, _mine["writer"], lambda *said: queue.put(said))
