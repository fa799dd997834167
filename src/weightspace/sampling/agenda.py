"""The work to do: the rounds of the zoo that hold the requested nets, divided into stacks.

Nets that no round holds get a new round, with stack sizes measured here. A round never changes, so
that a later run, with more nets or another shard, finds the same stacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from weightspace.errors import DataError, UsageError
from weightspace.networks.arithmetic import in_use
from weightspace.networks.modules.source import NAMED
from weightspace.sampling.calibration import Pace, work_class
from weightspace.sampling.drawing import most_drawn
from weightspace.sampling.modules import refuse_other
from weightspace.sampling.needs import Estimate, add_up, refuse_without_room
from weightspace.sampling.plan import Unit, plan_units, urgency
from weightspace.sampling.request import Request, count_images
from weightspace.sampling.work import digest
from weightspace.space import Recipe
from weightspace.training import Pool
from weightspace.zoo import Round, Writer, read_rounds
from weightspace.zoo.files.dtypes import dtype_of
from weightspace.zoo.format.rounds import not_held


@dataclass(frozen=True)
class Agenda:
    """Stacks, the costliest first, and all their nets by position in the draw."""

    units: list[Unit]
    nets: dict[int, Recipe]
    images: dict[str, int]

    def without(self, writer: Writer) -> Agenda:
        """The work that is left to do in the writer's zoo.

        An unfinished stack can have nets in the zoo, which a repair kept. These nets are left out.
        """
        finished = writer.finished
        units = [unit for unit in self.units if unit.name not in finished]
        if units and finished - {unit.name for unit in self.units}:
            there = writer.nets
            units = [rest for unit in units if (rest := unit.without(there))]
        nets = {recipe.net for unit in units for recipe in unit.recipes}
        left = {i: recipe for i, recipe in self.nets.items() if recipe.net in nets}
        return Agenda(units, left, self.images)

    def estimate(self, request: Request) -> Estimate:
        """The time, disk and memory that the stacks need."""
        side, channels = request.size
        return add_up(
            self.units,
            snapshots=request.options.count,
            workers=request.engine.workers(request.device),
            images=self.images,
            # Training images, and test images at up to a fifth of their number.
            pool_bytes=sum(self.images.values()) * (side**2 * channels or 4 * side) * 6 // 5,
            evaluation_images=request.options.evaluation_images,
            device=request.device,
            epochs=request.options.most_epochs,
            value_bytes=dtype_of(request.options.dtype).size,
        )


def enlist(request: Request, pool: Pool, writer: Writer | None) -> tuple[Writer, Agenda]:
    """The zoo's writer, opened if necessary, and the stacks that hold requested nets.

    Parameters
    ----------
    request
        The validated arguments.
    pool
        The images of the requested nets.
    writer
        The zoo's writer, if it is already open.

    Raises
    ------
    UsageError
        If the folder holds another zoo, or one that was started with other images.
    DataError
        If the disk is too small; nothing is written then.
    """
    images = {name: digest(image_set) for name, image_set in pool.sets.items()}
    measured: dict[tuple[int, ...], Round] = {}
    while True:
        rounds = read_rounds(request.out)
        _refuse_other_images(request, rounds.values(), images)
        if writer is None and request.is_begun:  # by another process, a moment ago
            writer = open_zoo(request)
        new = tuple(_in_no_round(request, rounds.values(), writer))
        if new and new not in measured:
            measured[new] = new_round(request, new, images)
        added = [measured[new]] if new else []
        found = agenda(request, [*rounds.values(), *added], writer)
        todo = found.without(writer) if writer else found
        refuse_without_room(todo.estimate(request), request.out)
        writer = writer or open_zoo(request)
        # Another process may have been faster; then these nets are no longer new.
        if not added or writer.begin(max(rounds, default=0) + 1, added[0]):
            return writer, found


def open_zoo(request: Request) -> Writer:
    """Open the zoo's writer; UsageError if `out` holds another zoo."""
    options = request.options
    identity = {
        "snapshots": options.count,
        "snapshot_epochs": options.epochs_named,
        "evaluation_images": options.evaluation_images,
        "device": request.device,
    }
    info = identity | {"versions": _versions()}
    if request.modules:
        info["modules"] = request.modules
    writer = Writer(
        request.out, space=request.space, seed=options.seed, info=info, dtype=options.dtype
    )
    refuse_other(request.out, writer.meta["info"], request.modules)
    for name, here in identity.items():
        there = writer.meta["info"].get(name)
        if there != here:
            raise UsageError(
                request.out,
                f"holds another zoo, {name} is {there} there and {here} here",
                "choose another folder, or use the same settings to continue it",
            )
    return writer


def new_round(request: Request, nets: Iterable[int], images: Mapping[str, str]) -> Round:
    """A round of the nets at these positions, with stack sizes measured where nets will train."""
    recipes = [request.asked[i] for i in nets]
    paces = request.engine.calibrate(recipes, request.device)
    used = {recipe.dataset for recipe in recipes}
    own = all(NAMED.fullmatch(recipe.architecture) for recipe in recipes)
    info = {
        "paces": {name: pace.to_dict() for name, pace in paces.items()},
        "device": request.device,
        "arithmetic": "torch" if own else in_use(request.device),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
    }
    return Round.of(nets, {name: images[name] for name in sorted(used & set(images))}, info)


def agenda(request: Request, rounds: Iterable[Round], writer: Writer | None = None) -> Agenda:
    """The stacks of these rounds that hold requested nets; `writer` is that of the zoo."""
    asked = {recipe.net for recipe in request.asked.values()}
    wanted = np.fromiter(request.asked, np.int64)
    mine = [one for one in rounds if one.held(wanted).any()]
    _refuse_unfinished_merge(request, [one for one in mine if "paces" not in one.info], writer)
    mine = [one for one in mine if "paces" in one.info]
    stop = max((one.nets[-1][1] for one in mine), default=1)
    _refuse_far(request, stop)
    drawn = request.draw.first(stop)
    unknown = [recipe for recipe in drawn if recipe.dataset not in request.images]
    images = request.images | count_images(unknown, request.options.data_dir)
    units = []
    for one in mine:
        recipes = [drawn[i] for i in one.indices]
        paces = _paces(request, one, recipes)
        planned = plan_units(recipes, paces, images, request.options.most_epochs)
        units += [u for u in planned if any(recipe.net in asked for recipe in u.recipes)]
    position = {recipe.net: i for i, recipe in enumerate(drawn)}
    nets = {position[recipe.net]: recipe for unit in units for recipe in unit.recipes}
    return Agenda(sorted(units, key=urgency), nets, images)


def _refuse_far(request: Request, stop: int) -> None:
    """Refuse to draw far more recipes than requested because a file of the zoo says so."""
    if stop > most_drawn(request.options.nets):
        raise DataError(
            request.out,
            f"one of its rounds plans {stop:,} nets",
            "request as many, or run `weightspace check`",
        )


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("weightspace", "torch", "numpy")}


def _in_no_round(request: Request, rounds: Iterable[Round], writer: Writer | None) -> list[int]:
    """Positions of requested nets that neither a round nor the zoo holds."""
    new = {i: request.asked[i].net for i in not_held(request.asked, rounds)}
    if new and writer:  # the zoo can hold nets without a round if the round's file was lost
        there = writer.nets
        new = {i: net for i, net in new.items() if net not in there}
    return sorted(new)


def _paces(request: Request, one: Round, recipes: Iterable[Recipe]) -> dict[str, Pace]:
    try:
        told: dict[str, Any] = one.info["paces"]
        paces = {name: Pace(**pace) for name, pace in told.items()}
        sound = {work_class(recipe) for recipe in recipes} <= paces.keys() and all(
            type(pace.stack) is int
            and pace.stack >= 1
            and 0 <= float(pace.seconds) < math.inf
            and pace.together in (None, True, False)
            for pace in paces.values()
        )
    except (TypeError, ValueError, AttributeError, OverflowError):
        sound = False
    if not sound:
        raise DataError(
            request.out,
            "one of its rounds does not say how its work was divided",
            "run `weightspace check`",
        )
    return paces


def _refuse_unfinished_merge(
    request: Request, uncut: Iterable[Round], writer: Writer | None
) -> None:
    """Refuse rounds of an unfinished merge: they hold no stack sizes."""
    at = np.fromiter(request.asked, np.int64)
    wanted = {request.asked[i].net for one in uncut for i in at[one.held(at)].tolist()}
    if wanted and not (writer and wanted <= writer.nets):
        raise DataError(
            request.out, "a merge into it was stopped", "run the same merge again, then this"
        )


def _refuse_other_images(
    request: Request, rounds: Iterable[Round], images: Mapping[str, str]
) -> None:
    for one in rounds:
        for name, digest_there in one.images.items():
            if images.get(name, digest_there) != digest_there:
                raise UsageError(
                    request.out,
                    f"was started with other images of {name}",
                    "give the same `data_dir=`, or choose another folder",
                )
