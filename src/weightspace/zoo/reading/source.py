"""Where a zoo's files come from: a folder of this machine, or a URL (`remote`)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from weightspace.networks import Layout
from weightspace.zoo.files import places
from weightspace.zoo.files.shardfiles import Read, ShardFiles
from weightspace.zoo.format import index, layouts, manifest, rounds
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.spotchecks import SpotChecks


class Shards(Protocol):
    """The vectors of a zoo; any number of threads may ask. All raise DataError."""

    def extent(self, name: str) -> tuple[int, int]:
        """Where a shard's data begins and ends, in bytes."""

    def fill(self, reads: Iterable[Read]) -> None:
        """Do all reads, many at a time."""

    def expect(self, extents: Iterable[tuple[str, int, int]]) -> None:
        """Bytes of shards (name, first, how many) will be scanned soon."""

    def scan(self, reads: Iterable[Read]) -> None:
        """Do reads that are large and were expected."""

    def view(self, name: str, offset: int, size: int) -> np.ndarray:
        """`size` bytes from byte `offset` on, uint8."""


class Source(Protocol):
    """All that `Zoo` asks of where it lies. All raise DataError."""

    @property
    def name(self) -> str:
        """Path or URL."""

    @property
    def path(self) -> Path:
        """The folder; of a zoo at a URL, that of what was fetched."""

    @property
    def files(self) -> Shards:
        """The vectors."""

    @property
    def checks(self) -> SpotChecks | None:
        """Where what is read may be other than what was written: which vectors to look at."""

    def meta(self) -> dict[str, Any]:
        """The content of zoo.json."""

    def units(self) -> list[str]:
        """The committed units."""

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """The parts of these units."""

    def layout(self, key: str) -> Layout:
        """The layout of a key."""

    def rounds(self) -> dict[int, Round]:
        """Which nets were to be sampled."""


class Folder:
    """A zoo in a folder."""

    checks = None  # `check --full` looks at all

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self.files = ShardFiles(path)
        self._layout = lru_cache(None)(partial(layouts.read_layout, path))

    def meta(self) -> dict[str, Any]:
        """As `Source` says."""
        return manifest.read(self.path)

    def units(self) -> list[str]:
        """As `Source` says."""
        return places.units(self.path, places.NETS)

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """As `Source` says; from the index where it has them."""
        return index.read_parts(self.path, table, units)

    def layout(self, key: str) -> Layout:
        """As `Source` says."""
        return self._layout(key)

    def rounds(self) -> dict[int, Round]:
        """As `Source` says."""
        return rounds.read(self.path)
