"""The wire format of protocol buffers: numbers of fields and where their content lies.

Enough for what ONNX, CoreML and TensorFlow write. Long contents are passed over, not read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from weightspace.checkpoints.formats.cursor import broken, cut_short

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_WIDTHS = {FIXED64: 8, FIXED32: 4}
_PIECE = 2**16  # bytes of numbers that are read at once
_LONGEST, _MOST = 10, 2**64 - 1  # bytes of a number, and the largest; what is more is cut off


class Field(NamedTuple):
    """A field: its number and wire type, its number if it is one, and where its content lies."""

    number: int
    wire: int
    value: int
    start: int
    end: int


class Message:
    """The fields of a message between two places of a file; `spend` counts them."""

    def __init__(self, file: BinaryIO, start: int, end: int, budget: Budget) -> None:
        self._file, self.start, self.end, self._budget = file, start, end, budget

    def fields(self) -> Iterator[Field]:
        """All fields in the order of the file; Refusal if one goes beyond the message."""
        at = self.start
        while at < self.end:
            self._budget.spend()
            self._file.seek(at)
            head = self._file.read(min(20, self.end - at))
            key, width = varint(head, 0)
            number, wire = key >> 3, key & 7
            start = end = at + width
            value = 0
            if wire == VARINT:
                value, width = varint(head, width)
                end = at + width
            elif wire == BYTES:
                length, width = varint(head, width)
                start = at + width
                end = start + length
            elif wire in _WIDTHS:
                end = start + _WIDTHS[wire]
            else:
                raise broken("not a protocol buffer")
            if end > self.end:
                raise cut_short()
            if not number:
                raise broken("not a protocol buffer")
            yield Field(number, wire, value, start, end)
            at = end

    def inner(self, field: Field) -> Message:
        """The message that a field holds."""
        if field.wire != BYTES:
            raise broken("a number where a message should be")
        return Message(self._file, field.start, field.end, self._budget)

    def content(self, field: Field, most: int) -> bytes:
        """The bytes of a field; Refusal if there are more than `most`."""
        if field.wire != BYTES or field.end - field.start > most:
            raise broken(f"a text of {field.end - field.start:,} bytes")
        self._file.seek(field.start)
        data = self._file.read(field.end - field.start)
        if len(data) < field.end - field.start:
            raise cut_short()
        return data


class Budget:
    """How many fields may be read in all."""

    def __init__(self, most: int) -> None:
        self._left = self._most = most

    def spend(self, fields: int = 1) -> None:
        """Count fields; Refusal if there are too many."""
        self._left -= fields
        if self._left < 0:
            raise broken(f"more than {self._most:,} fields")


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length, and where it ends; Refusal if it has no end."""
    value = 0
    for place in range(_LONGEST):
        if at + place >= len(data):
            raise cut_short()
        byte = data[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value & _MOST, at + place + 1
    raise broken("a number without end")


def varints(data: bytes) -> NDArray[np.uint64]:
    """All numbers of variable length in some bytes."""
    raw = np.frombuffer(data, np.uint8)
    found = np.zeros(int((raw < 128).sum()), np.uint64)
    at = done = 0
    while at < len(raw):  # a piece at a time: places take eight times the room of the bytes
        piece = raw[at : at + _PIECE]
        ends = np.flatnonzero(piece < 128)
        if not len(ends):
            raise broken("a number without end") if len(piece) > _LONGEST else cut_short()
        found[done : done + len(ends)] = _numbers(piece, ends)
        done, at = done + len(ends), at + int(ends[-1]) + 1
    return found


def _numbers(raw: NDArray[np.uint8], ends: NDArray[np.intp]) -> NDArray[np.uint64]:
    """The numbers whose last bytes are at `ends`."""
    starts = np.zeros_like(ends)
    starts[1:] = ends[:-1] + 1
    widths = ends - starts + 1
    found = np.zeros(len(ends), np.uint64)
    for place in range(int(widths.max())):
        if place == _LONGEST:
            raise broken("a number without end")
        some = np.flatnonzero(widths > place)
        found[some] |= (raw[starts[some] + place] & 127).astype(np.uint64) << np.uint64(7 * place)
    return found


def doubles(data: bytes, form: str) -> tuple[float, ...]:
    """Numbers of a fixed length, as `struct` names them."""
    width = struct.calcsize(form)
    return struct.unpack(f"<{len(data) // width}{form}", data[: len(data) // width * width])
