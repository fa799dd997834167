"""Datasets of HDF5 that are cut into chunks, which may be deflated: unpacked when they are read."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.checkpoints.dtypes import DType
from weightspace.checkpoints.formats.cursor import broken, cut_short
from weightspace.checkpoints.formats.hdf5messages import Bytes
from weightspace.checkpoints.messages import Refusal
from weightspace.printable import printable

_DEFLATE, _SHUFFLE, _CHECKSUM = 1, 2, 3
_NAMES = {4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf", 32001: "blosc", 32015: "zstd"}
_ALWAYS = 2**22  # bytes that all chunks may have in any case
_PIECE = 2**16  # bytes of which a checksum is taken at once
_MOST_OFTEN = 32  # times the bytes of the dataset: chunks at its edges are whole ones


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk: its first place in the dataset, where its bytes lie, and the filters left out."""

    offset: tuple[int, ...]
    address: int
    size: int
    mask: int


def chunk_of(key: bytes, address: int) -> Chunk:
    """The chunk that an entry of a tree describes."""
    row = Bytes(key)
    size, mask = row.number(4), row.number(4)
    offset = tuple(row.number(8) for _ in range(row.left // 8))
    return Chunk(offset[:-1], address, size, mask)


def known_filters(found: list[tuple[int, int, str]]) -> list[tuple[int, int]]:
    """Codes and first parameters of filters; Refusal for those that need other libraries."""
    for code, _, name in found:
        if code not in (_DEFLATE, _SHUFFLE, _CHECKSUM):
            said = _NAMES.get(code) or printable(name, 40) or f"filter {code}"
            raise Refusal(
                f"its values are compressed with {said}", "write it again with gzip, or without"
            )
    return [(code, parameter) for code, parameter, _ in found]


@dataclass(frozen=True)
class Chunked:
    """Reads the values of a dataset when it is called."""

    part: Any
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: DType
    order: str
    filters: list[tuple[int, int]]
    chunks: list[Chunk]

    def __post_init__(self) -> None:
        whole = math.prod(self.shape) * self.dtype.itemsize
        unpacked = self._width * max(len(self.chunks), 1)
        if unpacked > max(_ALWAYS, _MOST_OFTEN * whole):
            raise broken(f"{len(self.chunks):,} chunks of {self._width:,} bytes")
        if len({one.offset for one in self.chunks}) < len(self.chunks):
            raise broken("a chunk that is in it twice")

    @property
    def _width(self) -> int:
        return math.prod(self.chunk) * self.dtype.itemsize

    def __call__(self) -> np.ndarray:
        """The values, with zeros where nothing was written."""
        if self.part.checksum is not None:
            self.part.checksum.check(self.part)
        width = self.dtype.itemsize
        out = np.zeros(self.shape, self.dtype.decode(np.zeros(width, np.uint8)).dtype)
        for one in self.chunks:
            sides = [
                min(side, end - at)
                for side, at, end in zip(self.chunk, one.offset, self.shape, strict=True)
            ]
            if min(sides, default=1) <= 0:
                continue
            raw = self._unfiltered(self._stored(one), one.mask)
            if self.order == "big" and width > 1:
                raw = np.ascontiguousarray(raw.reshape(-1, width)[:, ::-1]).reshape(-1)
            block = self.dtype.decode(raw).reshape(self.chunk)
            to = tuple(slice(at, at + n) for at, n in zip(one.offset, sides, strict=True))
            out[to] = block[tuple(slice(n) for n in sides)]
        return out

    def _stored(self, one: Chunk) -> bytes:
        if one.size > self.part.size:
            raise cut_short()
        data = bytearray(one.size)
        self.part.seek(one.address)
        if self.part.readinto(data) < one.size:
            raise cut_short()
        return bytes(data)

    def _unfiltered(self, data: bytes, mask: int) -> np.ndarray:
        """The bytes of a chunk, uint8; a bit of `mask` says that a filter was not used."""
        for number in reversed(range(len(self.filters))):
            code, parameter = self.filters[number]
            if mask >> number & 1:
                continue
            if code == _CHECKSUM:
                data = _checked(data)
            elif code == _DEFLATE:
                data = _inflated(data, self._width + 4)
            elif parameter > 1:
                rows = len(data) // parameter
                body = np.frombuffer(data, np.uint8, rows * parameter).reshape(parameter, rows)
                data = body.T.tobytes() + data[rows * parameter :]
        if len(data) != self._width:
            raise broken(f"a chunk of {len(data):,} bytes instead of {self._width:,}")
        return np.frombuffer(data, np.uint8)


def _inflated(data: bytes, most: int) -> bytes:
    """What a chunk unpacks to, up to `most` bytes; its own checksum is looked at."""
    engine = zlib.decompressobj()
    try:
        found = engine.decompress(data, most)
        if not engine.eof:  # the checksum follows the last byte
            found += engine.decompress(engine.unconsumed_tail, 1)
    except zlib.error:
        raise broken("a chunk that cannot be unpacked") from None
    if not engine.eof:
        raise broken("a chunk that is longer or shorter than it should be")
    return found


def _checked(data: bytes) -> bytes:
    """The bytes before Fletcher's checksum; Refusal if it is another one.

    Old versions of the HDF5 library on some machines wrote it with pairs of bytes exchanged.
    """
    body = np.frombuffer(data, np.uint8)[:-4]
    first = second = 0
    for at in range(0, len(body), _PIECE):
        piece = body[at : at + _PIECE]
        words = np.frombuffer(piece.tobytes() + bytes(len(piece) % 2), ">u2").astype(np.uint64)
        weighted = words * np.arange(len(words), 0, -1, dtype=np.uint64)
        second += len(words) * first + int(weighted.sum())
        first += int(words.sum())
    sums = first % 65535, second % 65535
    for form in ("<2H", ">2H"):
        if len(data) >= 4 and tuple(n % 65535 for n in struct.unpack(form, data[-4:])) == sums:
            return data[:-4]
    raise broken("the checksum of a chunk is another one")
