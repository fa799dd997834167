"""`watch`: what a fitted model reads off the checkpoints of a folder, as they appear."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.interop.candidates import candidates
from weightspace.interop.inside import folder_of, reading
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.meta import Answer, Model

_Stamp = tuple[int, int]


@dataclass(frozen=True)
class Sighting:
    """A checkpoint that appeared, or was written again.

    Attributes
    ----------
    file : str
        Its path in the folder.
    answer : Answer or None
        What the model reads off its weights.
    problem : str
        Why there is no answer, as one line; "" if there is one.
    """

    file: str
    answer: Answer | None
    problem: str = ""


def watch(
    folder: str | Path, model: Model | str | Path, *, every: float = 2.0, once: bool = False
) -> Iterator[Sighting]:
    """Wait for checkpoints in a folder, and say how the net in each was probably trained.

    The files that are there already come first. A file is read when it has not changed for `every`
    seconds, and again when it was written again. Files are chosen and read as by `add`.

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
        One for each checkpoint. Without `once` they never end.

    Raises
    ------
    DataError
        If the folder or the model cannot be read.
    """
    from weightspace.meta import Model

    if every <= 0:
        raise UsageError("every", f"{every} is no time to wait", "give seconds above 0")
    inside = folder_of(folder, "the checkpoints")
    fitted = model if isinstance(model, Model) else Model.load(model)
    told: dict[str, _Stamp] = {}
    before: dict[str, _Stamp] = {}
    while True:
        now = {way: (place, stamp) for way, place, stamp in _files(inside)}
        for way, (place, stamp) in now.items():
            if told.get(way) != stamp and (once or before.get(way) == stamp):
                told[way] = stamp
                yield _sighting(way, place, fitted)
        if once:
            return
        before = {way: stamp for way, (_, stamp) in now.items()}
        time.sleep(every)


def _files(folder: InnerPath) -> Iterator[tuple[str, InnerPath, _Stamp]]:
    found = []
    for candidate in candidates(folder, (), lambda file: None):
        try:
            status = candidate.place.path.stat()
        except OSError:  # it is gone
            continue
        stamp = (status.st_mtime_ns, status.st_size)
        found.append((candidate.way, candidate.place, stamp))
    return iter(sorted(found, key=lambda one: one[2]))


def _sighting(way: str, place: InnerPath, model: Model) -> Sighting:
    from weightspace.checkpoints import read_checkpoint

    try:
        with reading(place):
            checkpoint = read_checkpoint(place)
        return Sighting(way, model.predict(checkpoint.vector, checkpoint.layout))
    except DataError as error:
        return Sighting(way, None, printable(error, 4096))
