"""A part of an open file as a file of its own."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class Part(io.RawIOBase):
    """A part of an open file as a file of its own, to read from."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        super().__init__()
        self._file, self.start, self.size, self._at = file, start, size, 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether places in it can be chosen: yes."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self._at = offset + {0: 0, 1: self._at, 2: self.size}[whence]
        return self._at

    def tell(self) -> int:
        """The place."""
        return self._at

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
