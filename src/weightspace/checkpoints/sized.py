"""A file of a known size that is no file of the system's: what all of them share."""

from __future__ import annotations

import io


class Sized(io.RawIOBase):
    """A file of `size` bytes to read from, with a place in it; `readinto` is of the subclass."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self._at = size, 0

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
