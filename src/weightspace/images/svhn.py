"""SVHN's cropped digits in their original form: two MATLAB files."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from weightspace.errors import DataError
from weightspace.images import matlab
from weightspace.images.imageset import Arrays, Sizes
from weightspace.images.opening import MOST_BYTES, opened
from weightspace.printable import printable

_IMAGE = (32, 32, 3)
_VALUES = math.prod(_IMAGE)
_PIECE = 256  # images


class _Header(NamedTuple):
    """What is known of a variable before its values are read."""

    shape: tuple[int, ...]
    dtype: np.dtype | None


def peek(paths: Sequence[Path]) -> Sizes:
    """Sizes from the headers of (train_32x32.mat, test_32x32.mat)."""
    counts = []
    for path in paths:
        with _matlab(path) as (file, size):
            counts.append(_checked(path, _headers(file, size)))
    return Sizes(counts[0], counts[1], (32, 32, 3))


def read(paths: Sequence[Path]) -> Arrays:
    """Read the two files; label 10, which stands for the digit 0, becomes 0."""
    peek(paths)
    return Arrays(*_half(paths[0]), *_half(paths[1]))


def _half(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with _matlab(path) as (file, size):
        headers = _headers(file, size)
        x = np.empty((_checked(path, headers), *_IMAGE), np.uint8)
        labels = np.empty(0)
        file.seek(0)
        for name, variable in zip(headers, matlab.variables(file, size), strict=False):
            if (variable.name, variable.shape, variable.dtype) != (name, *headers[name]):
                raise matlab.Damaged("it changed while it was read")
            if name == "X":
                _fill(x, variable.pieces(_PIECE * _VALUES))
            elif name == "y":
                (labels,) = variable.pieces(len(x))
    known = np.isin(labels, np.arange(1, 11))
    if not known.all():
        raise DataError(
            path, f"y holds label {labels[~known][0]}; SVHN has 1..10", "fetch the file again"
        )
    return x, labels.astype(np.int64) % 10


def _fill(x: np.ndarray, pieces: Iterator[np.ndarray]) -> None:
    """Fill images with values that are ordered by row, then column, then colour."""
    done = 0
    for piece in pieces:
        images = piece.reshape(-1, 3, 32, 32).transpose(0, 3, 2, 1)
        x[done : done + len(images)] = images
        done += len(images)


@contextmanager
def _matlab(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    with opened(path) as (file, size):
        try:
            yield file, size
        except (matlab.Damaged, zlib.error, EOFError) as error:
            raise DataError(
                path, f"not a whole MATLAB 5 file ({printable(error, 120)})", "fetch the file again"
            ) from None


def _headers(file: BinaryIO, size: int) -> dict[str, _Header]:
    """The headers of the variables up to X and y."""
    found: dict[str, _Header] = {}
    for variable in matlab.variables(file, size):
        if variable.name in found:
            raise matlab.Damaged(f"{variable.name} is there twice")
        found[variable.name] = _Header(variable.shape, variable.dtype)
        if {"X", "y"} <= set(found):
            if variable.cut:
                raise matlab.Damaged("it is cut short")
            break
    return found


def _checked(path: Path, headers: dict[str, _Header]) -> int:
    """Check the headers, and return the number of images."""
    for name in ("X", "y"):
        if name not in headers:
            known = printable(", ".join(sorted(headers)) or "nothing")
            raise DataError(
                path,
                f"no variable {name}, found {known}; the file is cut short, or not SVHN's format "
                "2 (cropped digits)",
                "fetch it again",
            )
    (shape, x), (labels, y) = headers["X"], headers["y"]
    if len(shape) != 4 or shape[:3] != _IMAGE or shape[3] == 0:
        raise DataError(
            path,
            f"X has shape {list(shape)}; SVHN's cropped digits are [32, 32, 3, N]",
            "fetch the file again",
        )
    if max(labels) != shape[3] or math.prod(labels) != shape[3]:
        raise DataError(
            path, f"y has shape {list(labels)} for {shape[3]:,} images in X", "fetch the file again"
        )
    if x != np.uint8 or y is None:
        kinds = [dtype.name if dtype else "no real numbers" for dtype in (x, y)]
        raise DataError(path, f"X is {kinds[0]} and y {kinds[1]}", "fetch the original file again")
    if shape[3] * _VALUES > MOST_BYTES:
        raise DataError(
            path,
            f"X takes {shape[3] * _VALUES:,} bytes unpacked, at most {MOST_BYTES:,} are read",
            "fetch the original file again",
        )
    return shape[3]
