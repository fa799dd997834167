"""`reproduce`: one net of a zoo trained again, alone, and compared with what is stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress, silent
from weightspace.sampling.calibration import one_thread
from weightspace.sampling.engines.local import device_of
from weightspace.sampling.work import Job, digest
from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS
from weightspace.training import Pool, Snapshot
from weightspace.zoo import Zoo, opened

_MOST = 10**6  # images or snapshots that a zoo may say it took


@dataclass(frozen=True)
class Difference:
    """How far a snapshot trained again is from the stored one.

    `largest` is the largest |a - b| of a value, `relative` the length of a - b in lengths of the
    stored vector b; both null where only one of the two exists. `equal`: every bit is.
    """

    snapshot: int
    step: int
    largest: float | None
    relative: float | None
    equal: bool


@dataclass(frozen=True)
class Reproduction:
    """A net trained again: the differences of its snapshots from those in the zoo.

    `stack` is how many nets were trained together when the zoo was made.
    """

    net: str
    stack: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every snapshot is the stored one, bit for bit."""
        return all(difference.equal for difference in self.differences)

    def frame(self) -> pl.DataFrame:
        """One row a snapshot, with the fields of `Difference`."""
        return pl.DataFrame([asdict(difference) for difference in self.differences])

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {"equal": self.equal}


def reproduce(
    zoo: Zoo | str | Path,
    net: str,
    *,
    data_dir: str | None = None,
    device: str | None = None,
    progress: Progress = silent,
) -> Reproduction:
    """Train one net of a zoo again from its recipe, alone, and compare; writes nothing.

    Snapshots, evaluation images and, unless given, the device are the zoo's own. Nets of a stack
    are independent of one another up to rounding, which training amplifies: how far the last
    snapshot moved is what the zoo's numbers are worth. A zoo of bfloat16 is compared with the
    values as it would keep them. Raises `UsageError` for a net that the zoo does not hold and
    `DataError` where the images are missing or are not those of the zoo.
    """
    zoo = opened(zoo)
    recipe = _recipe(zoo, net)
    job = _job(zoo, recipe, data_dir, device)
    pool = job.pool()
    _refuse_other_images(zoo, pool)
    stored = {row["snapshot"]: row for row in zoo.snapshots.filter(net=net).to_dicts()}
    found: list[Difference] = []
    with one_thread(job.device):
        for snapshot in job.trainer([recipe], pool).run(progress):
            there = stored.pop(snapshot.number, None)
            vector = zoo.dtype.rounded(snapshot.vector)
            stored_vector = zoo.vector(net, snapshot.number) if there else None
            found.append(_compare(replace(snapshot, vector=vector), stored_vector))
    found += [Difference(k, row["step"], None, None, False) for k, row in stored.items()]
    stack = zoo.nets.filter(unit=zoo.nets.filter(net=net)["unit"][0]).height
    return Reproduction(net, stack, tuple(sorted(found, key=lambda one: one.snapshot)))


def _recipe(zoo: Zoo, net: str) -> Recipe:
    rows = zoo.nets.filter(net=net)
    if rows.is_empty():
        raise UsageError(f"{zoo.path}: has no net {net!r}; its `nets` table lists those it has")
    try:
        recipe = Recipe.from_dict(rows.select(*FIELDS).row(0, named=True))
    except UsageError as error:
        raise DataError(f"{zoo.path}: net {net} cannot be trained again, {error}") from None
    if recipe.net != net:
        raise DataError(f"{zoo.path}: net {net} cannot be trained again, its recipe is another's")
    return recipe


def _job(zoo: Zoo, recipe: Recipe, data_dir: str | None, device: str | None) -> Job:
    info = zoo.meta["info"]
    try:
        epochs, images = info.get("snapshot_epochs"), int(info["evaluation_images"])
        count = int(info["snapshots"])
        snapshots = count if epochs is None else tuple(map(float, epochs))
        used = device_of(device or str(info["device"]))
        if not (1 <= images <= _MOST and 1 <= count <= _MOST):
            raise ValueError("numbers that sample never noted")
    except (KeyError, TypeError, ValueError, OverflowError):
        raise DataError(
            f"{zoo.path}: does not say how its nets were looked at; it was not made by sample"
        ) from None
    return Job(
        datasets=(recipe.dataset,),
        data_dir=data_dir,
        size=(recipe.input_size, recipe.channels),
        snapshots=snapshots,
        evaluation_images=images,
        device=used,
        index={},
        split={},
    )


def _refuse_other_images(zoo: Zoo, pool: Pool) -> None:
    for name, image_set in pool.sets.items():
        known = {one.images[name] for one in zoo.rounds.values() if name in one.images}
        if known and digest(image_set) not in known:
            raise DataError(
                f"{zoo.path}: was sampled on other images of {name} than those found; "
                "give the same --data-dir"
            )


def _compare(snapshot: Snapshot, stored: np.ndarray | None) -> Difference:
    if stored is None:
        return Difference(snapshot.number, snapshot.step, None, None, False)
    b = stored.astype(np.float64)
    apart = snapshot.vector - b
    relative = float(np.linalg.norm(apart)) / (float(np.linalg.norm(b)) or 1.0)
    equal = snapshot.vector.tobytes() == stored.tobytes()
    return Difference(snapshot.number, snapshot.step, float(np.abs(apart).max()), relative, equal)
