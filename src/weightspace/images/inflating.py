"""Unpack deflated bytes of a file, one piece at a time."""

from __future__ import annotations

import zlib
from typing import BinaryIO

# The highest compression ratio of deflate; a header that claims more is wrong.
RATIO = 1032

GZIP, ZLIB = 31, 15  # zlib's numbers for the two formats

_PIECE = 2**16
_MOST_SILENT = 2**20  # consecutive packed bytes that unpack to nothing; a normal file has few
_MOST_MEMBERS = 10_000


def cannot_hold(packed: int, claimed: int) -> bool:
    """Whether `packed` deflated bytes are too few to unpack to `claimed` bytes."""
    return packed * RATIO < claimed


class Inflated:
    """The unpacked content of the next `length` bytes of an open file.

    `wrapping` is GZIP, which may have several members, or ZLIB. `read` raises `EOFError` if the
    packed bytes end too early, and `zlib.error` if they are damaged. Memory and time are
    proportional to what is read: many bytes that unpack to nothing are refused.
    """

    def __init__(self, file: BinaryIO, length: int, wrapping: int) -> None:
        self._file = file
        self._left = length
        self._wrapping = wrapping
        self._engine = zlib.decompressobj(wrapping)
        self._packed = b""
        self._silent = 0
        self._members = 1
        self._ended = False

    def read(self, most: int) -> bytes:
        """The next `most` bytes; fewer only at the end, even if that comes too early."""
        found = bytearray()
        try:
            while len(found) < most and not self._ended:
                found += self._some(most - len(found))
        except EOFError:
            if not found:
                raise
        return bytes(found)

    def _some(self, most: int) -> bytes:
        self._fill()
        packed = len(self._packed)
        piece = self._engine.decompress(self._packed, most)
        ended = self._engine.eof
        self._packed = self._engine.unused_data if ended else self._engine.unconsumed_tail
        self._silent = 0 if piece else self._silent + packed - len(self._packed)
        if self._silent > _MOST_SILENT:
            raise zlib.error(f"{self._silent:,} bytes that hold nothing")
        if ended:
            self._next()
        elif not piece and not packed:
            raise EOFError("the end is missing")
        return piece

    def _fill(self) -> None:
        if not self._packed:
            self._packed = self._file.read(min(_PIECE, self._left))
            self._left -= len(self._packed)

    def _next(self) -> None:
        """Begin the next member, if there is one; zeros may lie between members and at the end."""
        if self._wrapping == ZLIB:
            self._ended = True
            return
        self._packed = self._packed.lstrip(b"\0")
        while not self._packed and self._left:
            self._fill()
            if not self._packed:
                break  # the file has become shorter
            self._packed = self._packed.lstrip(b"\0")
        self._ended = not self._packed
        self._members += 1
        if self._members > _MOST_MEMBERS:
            raise zlib.error(f"more than {_MOST_MEMBERS:,} parts")
        self._engine = zlib.decompressobj(self._wrapping)
