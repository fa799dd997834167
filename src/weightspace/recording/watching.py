"""`watch`: what a fitted model reads off the checkpoints of a folder, as they appear."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError, WeightspaceError
from weightspace.interop.candidates import candidates
from weightspace.interop.inside import below, folder_of, reading
from weightspace.printable import printable
from weightspace.recording.latest import Runs, Unread
from weightspace.zoo import MANIFEST

if TYPE_CHECKING:
    from weightspace.meta import Answer, Model

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class Sighting:
    """A checkpoint that appeared, or was written again; or a new snapshot of a recorded run.

    Attributes
    ----------
    file : str
        Its path in the folder; for a run its name, after the path of its zoo in the folder.
    answer : Answer or None
        What the model reads off its weights.
    problem : str
        Why there is no answer, as one line; "" if there is one.
    step : int or None
        Of a recorded run, the step of the snapshot.
    known : mapping or None
        Of a recorded run, the hyper-parameters that are known, which the answer can be compared
        with. None for a checkpoint.
    """

    file: str
    answer: Answer | None
    problem: str = ""
    step: int | None = None
    known: Mapping[str, Any] | None = None


def watch(
    folder: str | Path, model: Model | str | Path, *, every: float = 2.0, once: bool = False
) -> Iterator[Sighting]:
    """Wait for checkpoints in a folder, and say how the net in each was probably trained.

    The files that are there already come first. A file is read when it has not changed for `every`
    seconds, and again when it was written again. Files are chosen and read as by `add`.

    If the folder is, or contains, a zoo of recorded runs, the latest snapshot of each run is read,
    also of those that have not ended.

    Parameters
    ----------
    folder : str or Path
        The folder; those below it are watched, too.
    model : Model, str or Path
        A fitted model, or its folder.
    every : float
        The seconds between two looks.
    once : bool
        Whether to end after one look, and not to wait for files that are being written.

    Yields
    ------
    Sighting
        One for each checkpoint and for each run with a new snapshot. Without `once` they never end.

    Raises
    ------
    DataError
        If the folder or the model cannot be read.
    UsageError
        If the folder is a zoo whose nets were not recorded.
    """
    from weightspace.meta import Model

    if every <= 0:
        raise UsageError("every", f"{every} is no time to wait", "give seconds above 0")
    inside = folder_of(folder, "the checkpoints")
    fitted = model if isinstance(model, Model) else Model.load(model)
    told: dict[str, _Stamp] = {}
    before: dict[str, _Stamp] = {}
    zoos: dict[str, Runs | None] = {}
    while True:
        files, ways = _files(inside)
        now = {way: (place, stamp) for way, place, stamp in files}
        for way in ways:
            if way not in zoos:
                zoos[way] = _runs(inside, way)
            yield from _news(way, zoos[way], fitted)
        for way, (place, stamp) in now.items():
            if told.get(way) != stamp and (once or before.get(way) == stamp):
                told[way] = stamp
                yield _sighting(way, place, fitted)
        if once:
            return
        before = {way: stamp for way, (_, stamp) in now.items()}
        time.sleep(every)


def _runs(folder: InnerPath, way: str) -> Runs | None:
    """The runs of the zoo in a folder; None if they were not recorded, or it is no zoo."""
    place = below(folder, way) if way else folder
    if place is None or not disk.is_folder(place):
        return None
    try:
        runs = Runs(place.path)
    except DataError:
        if way:
            return None
        raise
    if not way and not runs.recorded:
        raise UsageError(
            folder,
            "is a zoo of nets that were not recorded, in which no checkpoints appear",
            "use `weightspace evaluate`, or give a folder of checkpoints",
        )
    return runs if runs.recorded else None


def _news(way: str, runs: Runs | None, model: Model) -> Iterator[Sighting]:
    for one in runs.news() if runs else ():
        who = "/".join(part for part in (way, one.run) if part)
        if isinstance(one, Unread):
            yield Sighting(who or ".", None, printable(one.problem, 4096))
            continue
        try:
            if not np.isfinite(one.vector).all():
                raise DataError("", "has values that are not finite")
            answer, problem = model.predict(one.vector, one.layout), ""
        except WeightspaceError as error:
            answer, problem = None, printable(error, 4096)
        yield Sighting(who, answer, problem, one.step, one.known)


def _files(folder: InnerPath) -> tuple[list[tuple[str, InnerPath, _Stamp]], list[str]]:
    """The checkpoints of a folder in the order of their times, and the ways to zoos in it."""
    found = []
    others: list[str] = []
    for candidate in candidates(folder, (), lambda other: others.append(other.file)):
        try:
            status = candidate.place.path.stat()
        except OSError:  # it is gone
            continue
        stamp = (status.st_mtime_ns, status.st_size)
        found.append((candidate.way, candidate.place, stamp))
    names = [way.rpartition("/") for way in others]
    zoos = sorted(way for way, _, name in names if name == MANIFEST)
    return sorted(found, key=lambda one: one[2]), zoos


def _sighting(way: str, place: InnerPath, model: Model) -> Sighting:
    from weightspace.checkpoints import read_checkpoint

    try:
        with reading(place):
            checkpoint = read_checkpoint(place)
        return Sighting(way, model.predict(checkpoint.vector, checkpoint.layout))
    except DataError as error:
        return Sighting(way, None, printable(error, 4096))
