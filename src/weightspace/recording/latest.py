"""The latest weights of the runs in a recorded zoo, of those that have not ended, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, WeightspaceError
from weightspace.networks import Layout
from weightspace.recording import stories
from weightspace.recording.register import ENTRY
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.format import manifest, states
from weightspace.zoo.format.layouts import read_layout


@dataclass(frozen=True)
class Latest:
    """The latest snapshot of a run; `known` is what is true of it, as far as it is known."""

    run: str
    step: int | None
    known: Mapping[str, Any]
    vector: np.ndarray
    layout: Layout


@dataclass(frozen=True)
class Unread:
    """A run, or the whole zoo, that cannot be read, and why."""

    run: str
    problem: str


class Runs:
    """The runs of a zoo, of which each look gives those with a new snapshot.

    Parameters
    ----------
    path : Path
        The folder of the zoo.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        meta = manifest.read(path)
        self.recorded = ENTRY in meta["info"]
        self._dtype: Dtype = manifest.dtype(meta)
        self._ended: set[str] = set()
        self._told: dict[str, int] = {}
        self._problems: set[tuple[str, str]] = set()

    def news(self) -> Iterator[Latest | Unread]:
        """The latest snapshot of each run that has one which was not given before."""
        try:
            yield from self._of_ended()
        except WeightspaceError as error:
            yield from self._trouble("", error)
        for unit in places.units(self.path, places.STATES):
            if unit in self._ended or stories.is_in(self.path, unit):
                continue
            try:
                yield from self._of_open(unit)
            except FileNotFoundError:
                continue  # it has ended in the meantime
            except (WeightspaceError, OSError) as error:
                yield from self._trouble(unit, error)

    def _of_ended(self) -> Iterator[Latest]:
        if self._ended.issuperset(places.units(self.path, places.NETS)):
            return
        zoo = Zoo(self.path)
        for row in zoo.nets.iter_rows(named=True):
            if row["unit"] in self._ended:
                continue
            self._ended.add(row["unit"])
            moments = zoo.snapshots.filter(net=row["net"])
            if moments.height and self._told.get(row["net"]) != moments["snapshot"][-1]:
                vector = zoo.verified(row["net"], moments["snapshot"][-1])
                known = {name: row[name] for name in FIELDS}
                layout = zoo.layout(row["net"])
                self._told[row["net"]] = moments["snapshot"][-1]
                yield Latest(row["net"], moments["step"][-1], known, vector, layout)

    def _of_open(self, unit: str) -> Iterator[Latest]:
        saved = states.read(self.path, unit)
        story = None if saved is None else stories.told(saved, self.path, unit)
        if saved is None or not story or not story["rows"]:
            return
        net, last = story["net"], story["rows"][-1]
        file = places.part(self.path, places.STATES, unit)
        if not (
            isinstance(last, dict) and type(last.get("snapshot")) is type(last.get("step")) is int
        ):
            raise DataError(file, "is damaged, it does not say which snapshot is the latest")
        if self._told.get(net) == last["snapshot"]:
            return
        layout = read_layout(self.path, story["layout"])
        _, header = shard.compose([net], len(story["marks"]), layout.size, layout.key, self._dtype)
        if not disk.is_temporary(saved.shard):
            raise DataError(file, "is damaged, it names no unfinished shard")
        with disk.open_file(InnerPath(self.path) / places.SHARDS / saved.shard) as opened:
            opened.seek(header.offset(0, last["snapshot"]))
            data = opened.read(header.length)
        if len(data) < header.length or shard.digest(data) != saved.checksums.get(
            (net, last["snapshot"])
        ):
            raise DataError(file, f"snapshot {last['snapshot']} is damaged")
        self._told[net] = last["snapshot"]
        vector = self._dtype.widen(np.frombuffer(data, self._dtype.stored))
        yield Latest(net, last["step"], story["recipe"], vector, layout)

    def _trouble(self, run: str, error: Exception) -> Iterator[Unread]:
        """A problem, which is told once."""
        if (run, str(error)) not in self._problems:
            self._problems.add((run, str(error)))
            yield Unread(run, str(error))
