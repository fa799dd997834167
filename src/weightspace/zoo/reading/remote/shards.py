"""The shards of a zoo at a URL: only the bytes that are needed are fetched."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from weightspace.arrays import UInt8
from weightspace.errors import DataError
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.shardfiles import Read
from weightspace.zoo.format import index
from weightspace.zoo.reading.remote.server import Server

_WINDOW = 256  # ranges whose answers are held in memory
_HELD = 2**26  # bytes of such answers
_PIECE = 2**24  # bytes of a range; longer reads are split

Piece = tuple[str, int, list[memoryview]]
"""File, first byte, the buffers to fill."""


class RemoteShards:
    """The shards at a URL, as `source.Shards`."""

    def __init__(self, server: Server, known: index.Index | None) -> None:
        self._server = server
        self._known = known

    def extent(self, name: str) -> tuple[int, int]:
        """See `Shards`."""
        file = self._file(name)
        unit = self._known.units.get(Path(name).stem) if self._known else None
        if unit:
            self._server.sizes[file] = unit.end  # every answer must agree with it
            return unit.start, unit.end
        (start,) = self._server.ranges([(file, 0, 8)])
        size = self._server.size(file)
        return shard.data_start(Path(name), size, bytes(start)), size

    def fill(self, reads: Iterable[Read]) -> None:
        """See `Shards`."""
        for window in _windows(self._pieces(reads)):
            asked = [(file, at, at + _length(buffers)) for file, at, buffers in window]
            for (_, _, buffers), data in zip(window, self._server.ranges(asked), strict=True):
                view = memoryview(data)
                for buffer in buffers:
                    buffer[:] = view[: len(buffer)]
                    view = view[len(buffer) :]

    def expect(self, extents: Iterable[tuple[str, int, int]]) -> None:
        """See `Shards`; nothing is fetched ahead."""

    def scan(self, reads: Iterable[Read]) -> None:
        """See `Shards`."""
        for read in reads:
            self.fill([read])

    def view(self, name: str, offset: int, size: int) -> UInt8[np.ndarray, " {size}"]:
        """See `Shards`; the bytes are fetched anew each time."""
        self._refuse_large(name, size)
        data = np.empty(size, np.uint8)
        self.fill([(name, offset, (data.data,), size)])
        data.flags.writeable = False
        return data

    def _pieces(self, reads: Iterable[Read]) -> Iterator[Piece]:
        """The reads, split into ranges short enough to be held in memory."""
        for name, at, buffers, size in reads:
            self._refuse_large(name, size)
            some: list[memoryview] = []
            room = _PIECE
            for buffer in buffers:
                while len(buffer) > room:
                    yield self._file(name), at, [*some, buffer[:room]]
                    buffer, at, some, room = buffer[room:], at + _PIECE, [], _PIECE
                some.append(buffer)
                room -= len(buffer)
            if some:
                yield self._file(name), at, some

    def _refuse_large(self, name: str, size: int) -> None:
        """Refuse a read larger than memory: a damaged table can state any size."""
        if size > (most := _memory()):
            raise DataError(
                f"{self._server.url}/{self._file(name)}",
                f"{size:,} bytes of it are to be read at once, at most {most:,} fit this machine",
                "ask for fewer snapshots, or use one of more memory",
            )

    def _file(self, name: str) -> str:
        return f"{places.SHARDS}/{places.shard_path(Path(), name).name}"


def _windows(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    some: list[Piece] = []
    held = 0
    for piece in pieces:
        size = _length(piece[2])
        if some and (len(some) == _WINDOW or held + size > _HELD):
            yield some
            some, held = [], 0
        some.append(piece)
        held += size
    if some:
        yield some


def _length(buffers: Iterable[memoryview]) -> int:
    return sum(map(len, buffers))


def _memory() -> int:
    """Half of this machine's memory, in bytes."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):
        return 2**33
