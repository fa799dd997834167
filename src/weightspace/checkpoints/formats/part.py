"""A part of an open file as a file of its own."""

from __future__ import annotations

from typing import Any, BinaryIO

from weightspace.checkpoints.sized import Sized
from weightspace.checkpoints.tensors import Checksum


class Part(Sized):
    """A part of an open file as a file of its own, to read from, and the checksum of all of it."""

    def __init__(
        self, file: BinaryIO, start: int, size: int, checksum: Checksum | None = None
    ) -> None:
        super().__init__(size)
        self._file, self.start, self.checksum = file, start, checksum

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as the buffer has, or as there are."""
        target = memoryview(buffer).cast("B")
        length = min(len(target), self.size - self._at)
        if length <= 0:
            return 0
        self._file.seek(self.start + self._at)
        data = self._file.read(length)
        target[: len(data)] = data
        self._at += len(data)
        return len(data)
