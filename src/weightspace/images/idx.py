"""MNIST and Fashion-MNIST as published: four IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes

IMAGES, LABELS = 0x00000803, 0x00000801  # unsigned bytes in three dimensions, and in one

# Deflate cannot pack tighter: a header that claims more than this is a lie.
_GZIP_RATIO = 1032
_PIECE = 2**20


def peek(paths: Sequence[Path]) -> Sizes:
    """Sizes by the headers of (training images, training labels, test images, test labels)."""
    train, rows, columns = _header(paths[0], IMAGES)
    test = _header(paths[2], IMAGES)[0]
    for path in (paths[1], paths[3]):
        _header(path, LABELS)
    return Sizes(train, test, (rows, columns, 1))


def read(paths: Sequence[Path]) -> Arrays:
    """The four files, in the order of `peek`."""
    x_train, y_train, x_test, y_test = (
        _read(path, magic) for path, magic in zip(paths, (IMAGES, LABELS) * 2, strict=True)
    )
    return Arrays(x_train, y_train, x_test, y_test)


def _open(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _header(path: Path, magic: int) -> tuple[int, ...]:
    """The dimensions, believed only as far as the file's size allows."""
    length = 4 + 4 * (magic & 0xFF)
    try:
        with _open(path) as file:
            head = file.read(length)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    if len(head) >= 4 and struct.unpack(">I", head[:4])[0] != magic:
        raise DataError(
            f"{path}: begins with {head[:4].hex()}, an IDX file of "
            f"{'images' if magic == IMAGES else 'labels'} with {magic:08x}; "
            "put the original file here"
        )
    if len(head) < length:
        raise _truncated(path, length, len(head))
    dimensions = struct.unpack(f">{magic & 0xFF}I", head[4:])
    expected = length + math.prod(dimensions)
    found = path.stat().st_size
    if path.suffix != ".gz" and found != expected:
        raise _truncated(path, expected, found)
    if path.suffix == ".gz" and found * _GZIP_RATIO < expected:
        raise DataError(
            f"{path}: expected {expected:,} bytes by its header, which {found:,} gzipped bytes "
            "cannot hold; fetch the file again"
        )
    return dimensions


def _read(path: Path, magic: int) -> np.ndarray:
    dimensions = _header(path, magic)
    expected = 4 + 4 * len(dimensions) + math.prod(dimensions)
    content = bytearray()
    try:
        with _open(path) as file:
            # Piece by piece: memory follows what is found, not what the header claims.
            while len(content) <= expected and (piece := file.read(_PIECE)):
                content += piece
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _damaged(path, error) from None
    except EOFError:
        raise _truncated(path, expected, len(content)) from None
    if len(content) != expected:
        raise _truncated(path, expected, len(content))
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(dimensions)).reshape(dimensions)


def _truncated(path: Path, expected: int, found: int) -> DataError:
    more = "or more " if found > expected else ""
    return DataError(
        f"{path}: expected {expected:,} bytes, found {found:,} {more}"
        "(unpacked, if gzipped); fetch the file again"
    )


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: damaged gzip ({error}); fetch the file again")
