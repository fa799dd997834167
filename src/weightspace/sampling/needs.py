"""What a run will need, in numbers, before it starts."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weightspace.errors import DataError
from weightspace.networks import Plan
from weightspace.networks.arithmetic import in_use
from weightspace.sampling.plan import Unit, net_steps
from weightspace.zoo import reclaimable

BASE_MEMORY = 450_000_000
"""Resident bytes of a worker that has loaded its libraries and trained nothing (measured)."""

LIVE_COPIES = 8
"""Tensors as large as a stack's weights alive at once: two slots, gradient and so on."""

UNIT_BYTES, NET_BYTES, SNAPSHOT_BYTES = 15_000, 150, 100
"""On disk beside the vectors: of tables and headers (measured, with some room)."""

WATCHING = 1 / 27
"""Of its training, what hearing every epoch's validation accuracy costs a net that stops by a rule:
a tenth of the images, on nine tenths of which it trains, at a third of a step's arithmetic."""


@dataclass(frozen=True)
class Estimate:
    """Nets, values (numbers on disk), bytes on disk and in memory, seconds, stacks.

    `arithmetic` says what trains them (`networks.arithmetic.in_use`).
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
        """The estimate as plain values."""
        return asdict(self)


def stack_bytes(plan: Plan, batch_size: int, nets: int, held: int = 0, device: str = "cpu") -> int:
    """Bytes that a stack of `nets` nets needs while it trains, images left out.

    `held` vectors are kept of each until it is known which of them are snapshots. The native step
    takes one net after the other, so that layers' values are there once.
    """
    at_once = nets if in_use(device) == "torch" else 1
    weights = nets * (LIVE_COPIES + held) * plan.layout().size
    return 4 * (weights + at_once * 4 * batch_size * plan.values_per_image)


def state_bytes(plan: Plan, nets: int, held: int = 0) -> int:
    """Bytes on disk of the state of a stack in the middle of its training: weights, two slots.

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
    """What `units` need together.

    `images` gives training images a data set; no net trains for more than `epochs`;
    a value takes `value_bytes` in the zoo.
    """
    values, tables, seconds, peak, state = 0, 0, 0.0, 0, 0
    for unit in units:
        recipe = unit.recipes[0]
        plan = Plan.from_recipe(recipe)
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
        # A state is whole before the one that it replaces goes.
        disk_bytes=values * value_bytes + tables + min(workers, len(units)) * 2 * state,
        memory_bytes=workers * (BASE_MEMORY + pool_bytes + peak),
        seconds=max(seconds / workers, longest),
        stacks=len(units),
        workers=workers,
        arithmetic=in_use(device),
    )


def refuse_without_room(needs: Estimate, out: Path) -> None:
    """Refuse, with the numbers, where the disk cannot hold it."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free + reclaimable(out)
    if needs.disk_bytes > free:
        raise DataError(
            f"{out}: needs {needs.disk_bytes / 1e9:.2f} GB, the disk has {free / 1e9:.2f} GB; "
            "free some, choose another --out, or sample fewer nets"
        )
