"""Numeric arrays in MATLAB 5 files, as far as published image sets use that format.

A file is a header of 128 bytes and then elements. An element is a tag of eight bytes, which states
type and length, and its content. A top-level element is one variable: an array, deflated or not. An
array consists of elements: flags with its class, dimensions, name, values. Each of them begins at a
multiple of eight bytes; one of up to four bytes is packed into its tag. Values may be stored in a
smaller type than that of the array; they are returned in the stored type.

Every number is checked before it is used. A C parser without such checks crashed after one flipped
bit.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from weightspace.images.inflating import ZLIB, Inflated, cannot_hold

_HEADER = 128
_VERSION = 0x0100
_ORDERS = {b"IM": "<", b"MI": ">"}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8",
           13: "u8"}  # fmt: skip
_NUMERIC = range(6, 16)  # the classes of double, single and integer arrays
_COMPLEX = 0x0800
_MOST_DIMENSIONS = 32
_LONGEST_NAME = 255
_MOST_VARIABLES = 100


class Damaged(Exception):
    """What is wrong with a file, in a few words."""


class _Tag(NamedTuple):
    kind: int
    length: int
    content: bytes | None  # only of a small element


class _Element:
    """The bytes of one array, read from front to back and never beyond its end."""

    def __init__(self, source: BinaryIO | Inflated, left: int, order: str) -> None:
        self.source = source
        self.left = left
        self.order = order

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise Damaged(f"{length:,} bytes instead of {self.left:,}")
        data = self.source.read(length) if length else b""
        if len(data) < length:
            raise Damaged("it is cut short")
        self.left -= length
        return data

    def numbers(self, data: bytes, code: str) -> tuple[int, ...]:
        return struct.unpack(f"{self.order}{len(data) // struct.calcsize(code)}{code}", data)

    def tag(self) -> _Tag:
        data = self.take(8)
        kind, length = self.numbers(data, "I")
        if small := kind >> 16:
            if small > 4:
                raise Damaged(f"{small} bytes in a small element")
            return _Tag(kind & 0xFFFF, small, data[4 : 4 + small])
        return _Tag(kind, length, None)

    def small(self, what: str, kind: int, most: int) -> bytes:
        """The content of an element that must have this type and at most this length."""
        tag = self.tag()
        if tag.kind != kind or tag.length > most:
            raise Damaged(f"{what} of type {tag.kind} and {tag.length:,} bytes")
        if tag.content is not None:
            return tag.content
        return self.take(tag.length + -tag.length % 8)[: tag.length]


@dataclass
class Variable:
    """A variable whose header has been read, but not its values.

    `dtype` is the stored type of the values, with their byte order; None if they are not real
    numbers.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype | None
    cut: bool
    """Whether the file ends before the variable does."""
    _element: _Element
    _small: bytes | None

    def pieces(self, length: int) -> Iterator[np.ndarray]:
        """The values in order, first index fastest, `length` at a time; can be read only once.

        Raises Damaged, and `zlib.error` and EOFError as `Inflated` does.
        """
        assert self.dtype is not None
        left = math.prod(self.shape)
        if self._small is not None:
            yield np.frombuffer(self._small, self.dtype)
            left = 0
        while left:
            count = min(length, left)
            yield np.frombuffer(self._element.take(count * self.dtype.itemsize), self.dtype)
            left -= count
        self._end()

    def _end(self) -> None:
        """Check that only padding is left; for deflated bytes this also compares the checksum."""
        if self._element.left > 7:
            raise Damaged(f"{self._element.left:,} bytes too many in {self.name}")
        self._element.take(self._element.left)
        if isinstance(self._element.source, Inflated) and self._element.source.read(1):
            raise Damaged(f"bytes too many in {self.name}")


def variables(file: BinaryIO, size: int) -> Iterator[Variable]:
    """The variables of an open file of `size` bytes, one after the other.

    The last one may be `cut` short. Raises Damaged, EOFError and `zlib.error`.
    """
    order = _order(file.read(min(_HEADER, size)))
    start = _HEADER
    for _ in range(_MOST_VARIABLES):
        if start + 8 > size:
            return
        file.seek(start)
        kind, length = struct.unpack(f"{order}2I", file.read(8))
        there = min(length, size - start - 8)
        yield _array(_element(file, kind, length, there, order), there < length)
        start += 8 + length
    raise Damaged(f"more than {_MOST_VARIABLES} variables")


def _order(header: bytes) -> str:
    order = _ORDERS.get(header[126:128])
    if order is None:
        raise Damaged("no such header")
    (version,) = struct.unpack(f"{order}H", header[124:126])
    if version != _VERSION:
        raise Damaged(f"version {version:#06x}")
    return order


def _element(file: BinaryIO, kind: int, length: int, there: int, order: str) -> _Element:
    """Open an array element of which `there` of `length` bytes are in the file."""
    if kind == _MATRIX:
        return _Element(file, length, order)
    if kind != _COMPRESSED:
        raise Damaged(f"an element of type {kind}")
    source = Inflated(file, there, ZLIB)
    tag = _Element(source, 8, order).tag()
    if tag.kind != _MATRIX or tag.content is not None:
        raise Damaged(f"a compressed element of type {tag.kind}")
    if cannot_hold(length, tag.length):
        raise Damaged(f"{tag.length:,} bytes claimed by {length:,} packed ones")
    return _Element(source, tag.length, order)


def _array(element: _Element, cut: bool) -> Variable:
    flags = element.small("flags", _UINT32, 8)
    if len(flags) < 8:
        raise Damaged(f"{len(flags)} bytes of flags")
    dimensions = element.small("dimensions", _INT32, 4 * _MOST_DIMENSIONS)
    if len(dimensions) < 8 or len(dimensions) % 4:
        raise Damaged(f"{len(dimensions)} bytes of dimensions")
    shape = element.numbers(dimensions, "i")
    if min(shape) < 0:
        raise Damaged(f"shape {list(shape)}")
    name = element.small("a name", _INT8, _LONGEST_NAME).decode("latin1")
    bits, _ = element.numbers(flags, "I")
    if bits & 0xFF not in _NUMERIC or bits & _COMPLEX:
        return Variable(name, shape, None, cut, element, None)
    tag = element.tag()
    if tag.kind not in _STORED:
        raise Damaged(f"values of type {tag.kind} in {name}")
    dtype = np.dtype(element.order + _STORED[tag.kind])
    if tag.length != math.prod(shape) * dtype.itemsize:
        raise Damaged(f"{tag.length:,} bytes for {name} of shape {list(shape)}")
    return Variable(name, shape, dtype, cut, element, tag.content)
