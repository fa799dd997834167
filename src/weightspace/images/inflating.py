"""Deflated bytes of a file, unpacked a piece at a time."""

from __future__ import annotations

import zlib
from typing import BinaryIO

# Deflate cannot pack tighter: who claims more than this is lying.
RATIO = 1032

GZIP, ZLIB = 31, 15  # the two wrappings, as zlib numbers them

_PIECE = 2**16
_MOST_SILENT = 2**20  # packed bytes in a row that give nothing; honest ones give it at once
_MOST_MEMBERS = 10_000


def cannot_hold(packed: int, claimed: int) -> bool:
    """Whether `packed` deflated bytes are too few for `claimed` bytes."""
    return packed * RATIO < claimed


class Inflated:
    """The unpacked bytes of `length` bytes of an open file, from where it stands.

    `wrapping` is GZIP, of which several may follow each other, or ZLIB. `read` raises `EOFError`
    where the packed bytes end too early, and `zlib.error` for damage. Memory and time are those of
    what is read: bytes that unpack to nothing are refused before there are many.
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
        """The next `most` bytes, fewer only at the end, be it one that came too early."""
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
        """Begin the next member, if there is one: zeros may come between, and at the end."""
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
