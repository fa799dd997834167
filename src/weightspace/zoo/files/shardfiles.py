"""Shards on this machine: read any bytes of any shard into existing memory.

Everything is read with `preadv`, not through a memory map. A map loads its pages one fault at a
time, and the process is killed if a mapped file becomes shorter.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from weightspace import disk
from weightspace.arrays import UInt8
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.zoo.files import places, shard

Buffers = Sequence[memoryview]
Read = tuple[str, int, Buffers, int]
"""Shard (file name), first byte, the buffers to fill, and how many bytes they take."""

_MOST_OPEN = 1024
_WINDOW = 256  # reads that are announced to the disk at a time
_NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class OpenShard:
    """One shard, open for reading; it is closed when nothing refers to it any more."""

    def __init__(self, path: InnerPath) -> None:
        self._descriptor = -1
        try:
            self._descriptor = disk.open_descriptor(path)
            self.size = os.fstat(self._descriptor).st_size
            start = os.read(self._descriptor, 8)
        except OSError as error:
            raise _cannot_open(path, error) from None
        if not self.size:
            raise _cannot_open(path, "it is empty")
        self.first = shard.data_start(path, self.size, start)
        self.path = path
        self._seeking = None if hasattr(os, "preadv") else threading.Lock()
        if hasattr(os, "posix_fadvise"):  # otherwise the system reads megabytes around each slice
            os.posix_fadvise(self._descriptor, 0, 0, os.POSIX_FADV_RANDOM)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def cached(self, offset: int, buffers: Buffers) -> int:
        """Read the bytes that are already in memory; returns how many there were."""
        if not _NOWAIT:
            return 0
        try:
            return os.preadv(self._descriptor, buffers, offset, _NOWAIT)
        except OSError:  # nothing is in memory, or the file system does not know
            return 0

    def announce(self, offset: int, size: int) -> None:
        """Tell the disk which bytes will be read soon."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def fill(self, offset: int, buffers: Buffers) -> None:
        """Read from `offset` until the buffers are full; DataError if the file ends before that."""
        for buffer in buffers:
            done = 0
            while done < len(buffer):
                count = self._read(buffer[done:], offset)
                if not count:
                    raise DataError(
                        self.path,
                        f"ends after {offset:,} bytes, before its last values",
                        "run `weightspace check`",
                    )
                done, offset = done + count, offset + count

    def _read(self, buffer: memoryview, offset: int) -> int:
        try:
            if self._seeking is None:
                return os.preadv(self._descriptor, [buffer], offset)
            with self._seeking:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                data = os.read(self._descriptor, len(buffer))
        except OSError as error:
            raise DataError(
                self.path, f"cannot be read ({error.strerror})", "check the disk"
            ) from None
        buffer[: len(data)] = data
        return len(data)


class ShardFiles:
    """The shards of a zoo in a folder of this machine; threads may read at the same time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._most = _most_open()
        self._open: OrderedDict[str, OpenShard] = OrderedDict()
        self._lock = threading.Lock()

    def extent(self, name: str) -> tuple[int, int]:
        """Where a shard's data begins and ends, in bytes; DataError if it cannot be opened."""
        file = self._get(name)
        return file.first, file.size

    def fill(self, reads: Iterable[Read]) -> None:
        """Do all reads; reads of one shard should be neighbours.

        Bytes that the system already has in memory are copied at once. The other reads are
        announced to the disk before the first of them starts, so that the disk can work on many at
        a time.
        """
        every = iter(reads)
        while window := list(islice(every, _WINDOW)):
            late = list(self._uncached(window))
            for file, (_, offset, _, size) in late:
                file.announce(offset, size)
            for file, (_, offset, buffers, _) in late:
                file.fill(offset, buffers)

    def expect(self, extents: Iterable[tuple[str, int, int]]) -> None:
        """Announce bytes of shards (name, first byte, count) that will be scanned soon."""
        for name, offset, size in extents:
            self._get(name).announce(offset, size)

    def scan(self, reads: Iterable[Read]) -> None:
        """Do large reads that were announced with `expect`."""
        for name, offset, buffers, _ in reads:
            self._get(name).fill(offset, buffers)

    def view(self, name: str, offset: int, size: int) -> UInt8[np.ndarray, " {size}"]:
        """Read `size` bytes from byte `offset`, uint8."""
        found = np.empty(size, np.uint8)
        self._get(name).fill(offset, (found.data,))
        return found

    def _uncached(self, window: list[Read]) -> Iterator[tuple[OpenShard, Read]]:
        name, file = "", None
        for read in window:
            if read[0] != name or file is None:
                name = read[0]
                file = self._get(name)
            if file.cached(read[1], read[2]) < read[3]:
                yield file, read

    def _get(self, name: str) -> OpenShard:
        with self._lock:
            file = self._open.get(name)
            if file is None:
                file = self._open[name] = OpenShard(places.shard_path(self._path, name))
                if len(self._open) > self._most:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(name)
        return file


def _cannot_open(path: InnerPath, error: object) -> DataError:
    return DataError(
        path, f"cannot be opened ({getattr(error, 'strerror', error)})", "run `weightspace check`"
    )


def _most_open() -> int:
    """How many shards may be open at once: half of what the system allows a process."""
    try:
        import resource  # not on every platform
    except ImportError:
        return 256
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(1, min(_MOST_OPEN, soft // 2)) if soft > 0 else _MOST_OPEN
