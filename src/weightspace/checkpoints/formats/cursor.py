"""Reads the small parts of a file one after another: numbers, text, lengths; not beyond its end."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.tensors import size_of

_LONGEST = 2**24  # bytes that are taken at once; values are skipped, and read when they are needed


class Cursor:
    """A place in an open file.

    Parameters
    ----------
    file : BinaryIO
        The file.
    at : int
        Where to begin.
    end : int, optional
        Where to end, by default at the end of the file.
    """

    def __init__(self, file: BinaryIO, at: int = 0, end: int | None = None) -> None:
        self._file = file
        self.at = at
        self.end = size_of(file) if end is None else end

    @property
    def left(self) -> int:
        """The bytes up to the end."""
        return self.end - self.at

    def take(self, length: int) -> bytes:
        """The next bytes; Refusal if there are fewer."""
        self._check(length)
        if length > _LONGEST:
            raise Refusal(
                f"refused; {length:,} bytes of text or numbers, at most {_LONGEST:,} are read",
                "fetch it again from its source",
            )
        self._file.seek(self.at)
        data = self._file.read(length)
        if len(data) < length:
            raise cut_short()
        self.at += length
        return data

    def skip(self, length: int) -> int:
        """Go over bytes, and return where they begin; Refusal if there are fewer."""
        self._check(length)
        at = self.at
        self.at += length
        return at

    def numbers(self, form: str) -> tuple[Any, ...]:
        """The next numbers, as `struct` describes them."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def _check(self, length: int) -> None:
        if not 0 <= length <= self.left:
            raise cut_short()


def cut_short() -> Refusal:
    """The refusal of a file that ends before what it announces."""
    return Refusal("cut short, or damaged: it ends before what it announces", "fetch it again")


def broken(what: str) -> Refusal:
    """The refusal of a file that contradicts itself."""
    return Refusal(f"damaged ({what})", "fetch it again")
