"""Where a zoo's files come from: a folder on this machine, or a URL (see `remote`)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from weightspace.arrays import UInt8
from weightspace.networks import Layout
from weightspace.zoo.files import places
from weightspace.zoo.files.shardfiles import Read, ShardFiles
from weightspace.zoo.format import index, layouts, manifest, rounds
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.spotchecks import SpotChecks


class Shards(Protocol):
    """The vectors of a zoo; threads may use it at the same time. All methods raise DataError."""

    def extent(self, name: str) -> tuple[int, int]:
        """Where a shard's data begins and ends, in bytes."""

    def fill(self, reads: Iterable[Read]) -> None:
        """Do all reads, many at a time."""

    def expect(self, extents: Iterable[tuple[str, int, int]]) -> None:
        """Announce bytes of shards (name, first byte, count) that will be scanned soon."""

    def scan(self, reads: Iterable[Read]) -> None:
        """Do large reads that were announced with `expect`."""

    def view(self, name: str, offset: int, size: int) -> UInt8[np.ndarray, " {size}"]:
        """Read `size` bytes from byte `offset`."""


class Source(Protocol):
    """Everything that `Zoo` needs to know about the place of its files; all raise DataError."""

    @property
    def name(self) -> str:
        """Path or URL."""

    @property
    def path(self) -> Path:
        """The folder; for a zoo at a URL, the folder of the files that were fetched."""

    @property
    def files(self) -> Shards:
        """The vectors."""

    @property
    def checks(self) -> SpotChecks | None:
        """Which vectors to compare with checksums; None where that is not needed."""

    def meta(self) -> dict[str, Any]:
        """The content of zoo.json."""

    def units(self) -> list[str]:
        """The names of the committed stacks."""

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """Tables with the rows of these stacks."""

    def layout(self, key: str) -> Layout:
        """The layout with this key."""

    def rounds(self) -> dict[int, Round]:
        """The nets that each sampling run set out to train."""


class Folder:
    """A zoo in a folder."""

    checks = None  # a folder is checked by `check(full=True)`

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.files = ShardFiles(path)
        self._layout = lru_cache(None)(partial(layouts.read_layout, path))

    def meta(self) -> dict[str, Any]:
        """See `Source`."""
        return manifest.read(self.path)

    def units(self) -> list[str]:
        """See `Source`."""
        return places.units(self.path, places.NETS)

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """See `Source`; the rows come from the index where it is up to date."""
        return index.read_parts(self.path, table, units)

    def layout(self, key: str) -> Layout:
        """See `Source`."""
        return self._layout(key)

    def rounds(self) -> dict[int, Round]:
        """See `Source`."""
        return rounds.read(self.path)
