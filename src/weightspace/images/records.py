"""CIFAR-10 and STL-10 in their original form: binary files of equal records, without headers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes
from weightspace.images.opening import opened
from weightspace.images.resizing import resample

_CIFAR = 1 + 3 * 32 * 32  # a label, then red, green and blue planes row by row
_STL = 3 * 96 * 96  # red, green and blue planes column by column; labels are in another file
_PIECE = 256  # images of STL-10 in memory at full size
STL_SIDE = 32  # the side to which STL-10's images are reduced


def peek_cifar(paths: Sequence[Path]) -> Sizes:
    """Sizes from the lengths of the training batches and, last, the test batch."""
    counts = [_count(path, _CIFAR) for path in paths]
    return Sizes(sum(counts[:-1]), counts[-1], (32, 32, 3))


def read_cifar(paths: Sequence[Path]) -> Arrays:
    """CIFAR-10's binary version: the training batches in order, then the test batch."""
    batches = [_cifar_batch(path) for path in paths]
    x_train, y_train = (np.concatenate(part) for part in zip(*batches[:-1], strict=True))
    return Arrays(x_train, y_train, *batches[-1])


def _cifar_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with opened(path) as (file, size):
        rows = _read(path, file, _records(path, size, _CIFAR), _CIFAR)
    labels = rows[:, 0].copy()  # a view would keep the whole file in memory
    if labels.max() > 9:
        record = int(np.argmax(labels > 9))
        raise DataError(
            path,
            f"record {record:,} has label {labels[record]}; CIFAR-10 has 0..9, so this is "
            "another file or version",
            "put CIFAR-10's binary version here",
        )
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy(), labels


def peek_stl(paths: Sequence[Path]) -> Sizes:
    """Sizes from the lengths of (train_X, train_y, test_X, test_y)."""
    counts = []
    for images, labels in (paths[:2], paths[2:]):
        counts.append(_count(images, _STL))
        if (found := _count(labels, 1)) != counts[-1]:
            raise _out_of_line(images, labels, counts[-1], found)
    return Sizes(counts[0], counts[1], (STL_SIDE, STL_SIDE, 3))


def read_stl(paths: Sequence[Path]) -> Arrays:
    """STL-10's binary version, reduced from 96x96 to 32x32 pixels by area averaging."""
    peek_stl(paths)
    return Arrays(*_stl_half(*paths[:2]), *_stl_half(*paths[2:]))


def _stl_half(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    with opened(labels) as (file, size):
        y = _read(labels, file, _records(labels, size, 1), 1)[:, 0]
    if y.min() < 1 or y.max() > 10:
        index = int(np.argmax((y < 1) | (y > 10)))
        raise DataError(
            labels, f"label {y[index]} at byte {index:,}; STL-10 has 1..10", "fetch the file again"
        )
    with opened(images) as (file, size):
        if (count := _records(images, size, _STL)) != len(y):
            raise _out_of_line(images, labels, count, len(y))
        x = np.empty((count, STL_SIDE, STL_SIDE, 3), np.uint8)
        for i in range(0, count, _PIECE):  # never all full-size images in memory
            planes = _read(images, file, min(_PIECE, count - i), _STL).reshape(-1, 3, 96, 96)
            x[i : i + _PIECE] = resample(planes.transpose(0, 3, 2, 1), STL_SIDE, STL_SIDE, 3)
    return x, y - 1


def _out_of_line(images: Path, labels: Path, expected: int, found: int) -> DataError:
    return DataError(
        labels,
        f"expected {expected:,} bytes, one label for each image of {images.name}, found {found:,}",
        "fetch both files again",
    )


def _count(path: Path, record: int) -> int:
    with opened(path) as (_, size):
        return _records(path, size, record)


def _records(path: Path, found: int, record: int) -> int:
    if found == 0 or found % record:
        whole = max(1, -(-found // record))
        raise DataError(
            path,
            f"expected whole records of {record:,} bytes, such as {whole * record:,} bytes for "
            f"{whole:,}, found {found:,}",
            "fetch the file again",
        )
    return found // record


def _read(path: Path, file: BinaryIO, count: int, record: int) -> np.ndarray:
    """The next `count` records: uint8 [count, record]."""
    content = file.read(count * record)
    if len(content) < count * record:
        raise DataError(path, "became shorter while it was read", "fetch the file again")
    return np.frombuffer(content, np.uint8).reshape(count, record)
