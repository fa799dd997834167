"""Estimates of the time, disk and memory of a run before it starts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weightspace.errors import DataError
from weightspace.networks.arithmetic import in_use
from weightspace.networks.modules.plan import ModulePlan
from weightspace.networks.planning import AnyPlan, plan_of
from weightspace.sampling.plan import Unit, net_steps
from weightspace.zoo import reclaimable

BASE_MEMORY = 450_000_000
"""Measured resident bytes of a worker that has imported its libraries and trained nothing."""

LIVE_COPIES = 8
"""How many tensors of the size of a stack's weights are in memory: two slots, gradient, ..."""

UNIT_BYTES, NET_BYTES, SNAPSHOT_BYTES = 20_000, 150, 100
"""Measured bytes on disk besides the vectors, for tables and headers, with a margin."""

WATCHING = 1 / 27
"""The relative extra time of a net with a stopping rule, which measures validation accuracy after
every epoch: one image for every nine training images, at a third of a step's arithmetic."""


@dataclass(frozen=True)
class Estimate:
    """What a run needs, as `estimate` returns it.

    Parameters
    ----------
    nets : int
        The number of nets.
    snapshots : int
        The number of snapshots of each net.
    values : int
        The number of weights on disk.
    disk_bytes, memory_bytes : int
        Bytes on disk, and bytes of memory of all workers together.
    seconds : float
        The time on this machine.
    stacks : int
        The number of stacks: nets that train together.
    workers : int
        How many stacks train at the same time.
    arithmetic : str
        The code that trains them (`networks.arithmetic.in_use`).
    """

    nets: int
    snapshots: int
    values: int
    disk_bytes: int
    memory_bytes: int
    seconds: float
    stacks: int
    workers: int
    arithmetic: str

    def to_dict(self) -> dict[str, Any]:
        """Return the estimate as plain values.

        Returns
        -------
        dict
            The attributes by name.
        """
        return asdict(self)


def stack_bytes(
    plan: AnyPlan, batch_size: int, nets: int, held: int = 0, device: str = "cpu"
) -> int:
    """Bytes of memory that a stack of `nets` nets needs while it trains, without images.

    `held` vectors of each net are kept until it is known which of them are snapshots. The native
    step trains one net after the other, so that activations of only one net are in memory.
    """
    native = in_use(device) != "torch" and not isinstance(plan, ModulePlan)
    at_once = 1 if native else nets
    weights = nets * (LIVE_COPIES + held) * plan.layout().size
    return 4 * (weights + at_once * 4 * batch_size * plan.values_per_image)


def state_bytes(plan: AnyPlan, nets: int, held: int = 0) -> int:
    """Bytes on disk of the saved state of a stack: weights and two slots of the optimizer.

    `held` as in `stack_bytes`.
    """
    return 4 * nets * (3 + held) * plan.layout().size + UNIT_BYTES


def add_up(
    units: Sequence[Unit],
    *,
    snapshots: int,
    workers: int,
    images: dict[str, int],
    pool_bytes: int,
    evaluation_images: int,
    device: str,
    epochs: float = math.inf,
    value_bytes: int = 4,
) -> Estimate:
    """What all `units` need together.

    `images` is the number of training images by data set; no net trains for more than `epochs`; a
    weight needs `value_bytes` in the zoo.
    """
    values, tables, seconds, peak, state = 0, 0, 0.0, 0, 0
    for unit in units:
        recipe = unit.recipes[0]
        plan = plan_of(recipe)
        nets, size = len(unit.recipes), plan.layout().size
        values += nets * size * snapshots
        tables += UNIT_BYTES + nets * (NET_BYTES + snapshots * SNAPSHOT_BYTES)
        # A forward pass on training, validation and test images costs a third of a training
        # step's arithmetic on each.
        evaluated = snapshots * evaluation_images
        trained = sum(net_steps(r, images, epochs) for r in unit.recipes) * recipe.batch_size
        watched = sum(r.stopping != "epochs" for r in unit.recipes) / nets
        seconds += unit.cost * (1 + nets * evaluated / max(trained, 1) + WATCHING * watched)
        held = 2 * snapshots if watched else 0
        peak = max(peak, stack_bytes(plan, recipe.batch_size, nets, held, device))
        state = max(state, state_bytes(plan, nets, held))
    longest = max((unit.cost for unit in units), default=0.0)
    return Estimate(
        nets=sum(len(unit.recipes) for unit in units),
        snapshots=snapshots,
        values=values,
        # A new state is written completely before the old one is removed.
        disk_bytes=values * value_bytes + tables + min(workers, len(units)) * 2 * state,
        memory_bytes=workers * (BASE_MEMORY + pool_bytes + peak),
        seconds=max(seconds / workers, longest),
        stacks=len(units),
        workers=workers,
        arithmetic=in_use(device),
    )


def refuse_without_room(needs: Estimate, out: Path) -> None:
    """Raise DataError, with the numbers, if the disk is too small."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free + reclaimable(out)
    if needs.disk_bytes > free:
        raise DataError(
            out,
            f"needs {needs.disk_bytes / 1000000000.0:.2f} GB, the disk has "
            f"{free / 1000000000.0:.2f} GB",
            "free some, choose another folder, or sample fewer nets",
        )
