"""`reproduce`: train one net of a zoo again, alone, and compare it with the stored net."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import DataError, UsageError
from weightspace.markup import summary
from weightspace.progress import Progress, silent
from weightspace.sampling.calibration import one_thread
from weightspace.sampling.engines.local import device_of
from weightspace.sampling.modules import module_again
from weightspace.sampling.work import Job, digest
from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS
from weightspace.training import Pool, Snapshot
from weightspace.zoo import Zoo, opened

_MOST = 10**6  # the most images or snapshots that a zoo may record


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

    Parameters
    ----------
    net : str
        The net's id.
    stack : int
        How many nets were trained together when the zoo was made.
    differences : tuple of Difference
        One for each snapshot, with the largest and the relative difference.
    """

    net: str
    stack: int
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether every snapshot equals the stored one, bit for bit."""
        return all(difference.equal for difference in self.differences)

    def frame(self) -> pl.DataFrame:
        """Return the differences as a table.

        Returns
        -------
        DataFrame
            A row for each snapshot, with the fields of `Difference`.
        """
        return pl.DataFrame([asdict(difference) for difference in self.differences])

    def _repr_html_(self) -> str:
        facts = [("trained together", self.stack), ("equal", self.equal)]
        frame = self.frame()
        return summary(f"Reproduction of {self.net}", facts, frame.columns, frame.rows())

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values.

        Returns
        -------
        dict
            `net`, `stack`, `differences` and `equal`.
        """
        return asdict(self) | {"equal": self.equal}


def reproduce(
    zoo: Zoo | str | Path,
    net: str,
    *,
    data_dir: str | None = None,
    device: str | None = None,
    module: str | None = None,
    progress: Progress = silent,
) -> Reproduction:
    """Train one net of a zoo again from its recipe, alone, and compare; nothing is written.

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo. Its snapshots and evaluation images are used.
    net : str
        The net's id, 16 hex digits.
    data_dir : str, optional
        The first folder in which image files are searched.
    device : {"auto", "cpu", "cuda"}, optional
        By default the device of the zoo.
    module : str, optional
        The file of the net's module, such as "net.py", if it is one of one's own. It is run if it
        is the file that the zoo was sampled with.
    progress : callable
        Called with a task, how much is done, and the total.

    Returns
    -------
    Reproduction

    Raises
    ------
    UsageError
        For a net that the zoo does not hold, or whose module was not given or is another one.
    DataError
        If images are missing, or are not those of the zoo.

    Notes
    -----
    Nets of a stack are independent of one another up to rounding, which training amplifies. The
    difference of the last snapshot therefore shows how reproducible the zoo's weights are. For a
    zoo of bfloat16, the new weights are rounded to bfloat16 before the comparison.
    """
    zoo = opened(zoo)
    recipe = _recipe(zoo, net)
    with module_again(zoo.path, zoo.meta["info"], recipe, module):
        return _reproduced(zoo, recipe, data_dir, device, progress)


def _reproduced(
    zoo: Zoo, recipe: Recipe, data_dir: str | None, device: str | None, progress: Progress
) -> Reproduction:
    net = recipe.net
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
        raise UsageError(zoo.path, f"has no net {net!r}", "its `nets` table lists those it has")
    try:
        recipe = Recipe.from_dict(rows.select(*FIELDS).row(0, named=True))
    except UsageError as error:
        raise DataError(zoo.path, f"net {net} cannot be trained again, {error}") from None
    if recipe.net != net:
        raise DataError(zoo.path, f"net {net} cannot be trained again, it has another recipe")
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
            zoo.path, "has no record of its snapshots and device", "it was not made by sample"
        ) from None
    return Job(
        datasets=(recipe.dataset,),
        data_dir=data_dir,
        size=recipe.size,
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
                zoo.path,
                f"was sampled on other images of {name} than those found",
                "give the same `data_dir=`",
            )


def _compare(snapshot: Snapshot, stored: np.ndarray | None) -> Difference:
    if stored is None:
        return Difference(snapshot.number, snapshot.step, None, None, False)
    b = stored.astype(np.float64)
    apart = snapshot.vector - b
    relative = float(np.linalg.norm(apart)) / (float(np.linalg.norm(b)) or 1.0)
    equal = snapshot.vector.tobytes() == stored.tobytes()
    return Difference(snapshot.number, snapshot.step, float(np.abs(apart).max()), relative, equal)
