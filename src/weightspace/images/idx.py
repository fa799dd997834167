"""MNIST and Fashion-MNIST in their original form: four IDX files, gzipped or not."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes
from weightspace.images.inflating import GZIP, Inflated, cannot_hold
from weightspace.images.opening import MOST_BYTES, opened

IMAGES, LABELS = 0x00000803, 0x00000801  # unsigned bytes in three dimensions, and in one

_PIECE = 2**20


def peek(paths: Sequence[Path]) -> Sizes:
    """Sizes from the headers of (training images, training labels, test images, test labels)."""
    headers = []
    for path, magic in zip(paths, (IMAGES, LABELS) * 2, strict=True):
        with _unpacked(path) as (file, size):
            headers.append(_header(path, file, size, magic))
    train, rows, columns = headers[0]
    return Sizes(train, headers[2][0], (rows, columns, 1))


def read(paths: Sequence[Path]) -> Arrays:
    """Read the four files, in the order of `peek`."""
    x_train, y_train, x_test, y_test = (
        _read(path, magic) for path, magic in zip(paths, (IMAGES, LABELS) * 2, strict=True)
    )
    return Arrays(x_train, y_train, x_test, y_test)


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[BinaryIO | Inflated, int]]:
    """The content of a file and the size of the file; DataError for a damaged gzip."""
    with opened(path) as (file, size):
        if path.suffix != ".gz":
            yield file, size
            return
        begin = file.read(2) if size else b""
        if begin != b"\x1f\x8b":
            raise _damaged(path, f"Not a gzipped file ({begin!r})")
        file.seek(0)
        try:
            yield Inflated(file, size, GZIP), size
        except zlib.error as error:
            raise _damaged(path, error) from None


def _header(path: Path, file: BinaryIO | Inflated, size: int, magic: int) -> tuple[int, ...]:
    """The dimensions in the header, checked against the size of the file."""
    length = 4 + 4 * (magic & 0xFF)
    packed = isinstance(file, Inflated)
    try:
        head = file.read(length if packed else min(length, size))
    except EOFError as error:
        raise _damaged(path, error) from None
    if len(head) >= 4 and struct.unpack(">I", head[:4])[0] != magic:
        raise DataError(
            path,
            f"begins with {head[:4].hex()}, an IDX file of "
            f"{('images' if magic == IMAGES else 'labels')} with {magic:08x}",
            "put the original file here",
        )
    if len(head) < length:
        raise _truncated(path, length, len(head))
    dimensions = struct.unpack(f">{magic & 0xFF}I", head[4:])
    expected = length + math.prod(dimensions)
    if not packed and size != expected:
        raise _truncated(path, expected, size)
    if packed and cannot_hold(size, expected):
        raise DataError(
            path,
            f"expected {expected:,} bytes by its header, which {size:,} gzipped bytes cannot hold",
            "fetch the file again",
        )
    if expected > MOST_BYTES:
        raise DataError(
            path,
            f"takes {expected:,} bytes unpacked, at most {MOST_BYTES:,} are read",
            "fetch the original file again",
        )
    if 0 in dimensions:
        raise DataError(path, f"has shape {list(dimensions)}, so nothing", "fetch the file again")
    return dimensions


def _read(path: Path, magic: int) -> np.ndarray:
    content = bytearray()
    with _unpacked(path) as (file, size):
        dimensions = _header(path, file, size, magic)
        expected = math.prod(dimensions)
        before = 4 + 4 * len(dimensions)
        try:
            # Piece by piece, so that memory depends on the content, not on the header.
            while len(content) <= expected and (piece := file.read(_PIECE)):
                content += piece
        except EOFError:
            raise _truncated(path, before + expected, before + len(content)) from None
    if len(content) != expected:
        raise _truncated(path, before + expected, before + len(content))
    return np.frombuffer(content, np.uint8).reshape(dimensions)


def _truncated(path: Path, expected: int, found: int) -> DataError:
    more = "or more " if found > expected else ""
    return DataError(
        path,
        f"expected {expected:,} bytes, found {found:,} {more}(unpacked, if gzipped)",
        "fetch the file again",
    )


def _damaged(path: Path, error: object) -> DataError:
    return DataError(path, f"damaged gzip ({error})", "fetch the file again")
