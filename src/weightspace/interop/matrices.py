"""A matrix in a .npy file, read row by row."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop.inside import reading
from weightspace.printable import printable

_LARGEST_HEADER = 2**16  # bytes; that of a matrix has 128
_LARGEST_FILE = 2**40  # bytes; one row is read at a time; the largest known file has 5 GB


@dataclass(frozen=True)
class Matrix:
    """float32 [rows, size] whose values begin at byte `start` of a file.

    The file is not memory-mapped, because the process would be killed if the file became shorter.
    """

    place: InnerPath
    rows: int
    size: int
    start: int

    @classmethod
    def of(cls, place: InnerPath) -> Matrix:
        """Read the header of the file; DataError if it is not such a matrix, or too short."""
        with reading(place), disk.open_file(place, _LARGEST_FILE, within=True) as file:
            head = io.BytesIO(file.read(_LARGEST_HEADER))
            there = os.fstat(file.fileno()).st_size
        shape, by_columns, dtype = _header(place, head)
        if dtype.hasobject:
            raise DataError(place, "cannot be read (it holds Python objects)", "fetch it again")
        if dtype != np.dtype("<f4") or len(shape) != 2:
            raise DataError(
                place,
                f"holds {printable(dtype, 60)} {printable(list(shape), 60)} instead of float32 "
                "[snapshots, values]",
                "fetch it again",
            )
        if by_columns and min(shape) > 1:
            raise DataError(
                place,
                "has its values column by column (Fortran order), not row by row",
                "save it in C order",
            )
        needed = head.tell() + 4 * shape[0] * shape[1]
        if there < needed:
            raise DataError(
                place,
                f"cannot be read (has {there:,} bytes where its header asks for "
                f"{printable(f'{needed:,}', 60)})",
                "fetch it again",
            )
        return cls(place, *shape, head.tell())

    def take(self, rows: Sequence[int]) -> Iterator[np.ndarray]:
        """These rows, each float32 [size], read when they are needed."""
        with reading(self.place), disk.open_file(self.place, _LARGEST_FILE, within=True) as file:
            for row in rows:
                file.seek(self.start + 4 * self.size * row)
                data = file.read(4 * self.size)
                if len(data) < 4 * self.size:
                    raise DataError(self.place, "became shorter while it was read", "try again")
                yield np.frombuffer(data, "<f4")


def _header(place: InnerPath, file: io.BytesIO) -> tuple[tuple[int, ...], bool, Any]:
    """Shape, whether the order is Fortran's, and dtype, by numpy's own reader of headers."""
    form = np.lib.format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            version = form.read_magic(file)
            read = {1: form.read_array_header_1_0, 2: form.read_array_header_2_0}[version[0]]
            shape, by_columns, dtype = read(file)
    except Exception as error:  # many kinds, because the header is parsed as Python
        reason = printable((str(error).splitlines() or [type(error).__name__])[0])
        raise DataError(place, f"cannot be read ({reason})", "fetch it again") from None
    # Python, and so numpy's reader, accepts True as an integer.
    if any(type(length) is not int or length < 0 for length in shape):
        raise DataError(
            place,
            f"cannot be read (the shape {printable(shape, 60)} is not possible)",
            "fetch it again",
        )
    return shape, by_columns, dtype
