"""An image set in one NumPy archive: x_train, y_train, x_test, y_test and optionally classes."""

from __future__ import annotations

import errno
import io
import math
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes, image_shape
from weightspace.images.inflating import cannot_hold
from weightspace.images.opening import opened
from weightspace.printable import printable

KEYS = ("x_train", "y_train", "x_test", "y_test")
_CLASSES = "classes"
_LONGEST_HEADER = 2**14  # bytes; NumPy refuses headers of more than 10,000
_MOST_BYTES = 2**33  # bytes of all arrays together when unpacked
_MOST_FILE = 2**34  # bytes of the archive, which may also contain other files
_MOST_NAMES = 2**24  # bytes of all class names
_TO_LOOK = 2**20  # the most bytes that are read for the directory and the headers
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that NumPy writes
_STEERING = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


class _Header(NamedTuple):
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype


class _Rationed:
    """An open file of which only a limited number of bytes can be read.

    A directory may be endless, and a member may unpack to nothing for gigabytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self.size = size
        self.left = _TO_LOOK
        self._file = file

    def read(self, size: int = -1) -> bytes:
        beyond = self.left + 1
        data = self._file.read(beyond if size < 0 else min(size, beyond))
        self.left -= len(data)
        if self.left < 0:
            raise zipfile.BadZipFile("there is more in it than its arrays")
        return data


def peek(path: Path) -> Sizes:
    """Sizes from the headers of the arrays; no image is unpacked."""
    with _archive(path) as (archive, file):
        return _sizes(path, _headers(path, archive, file.size))


def _sizes(path: Path, headers: dict[str, _Header]) -> Sizes:
    (train, *shape), (test, *_) = (
        image_shape(path, key, headers[key].shape, headers[key].dtype)
        for key in ("x_train", "x_test")
    )
    return Sizes(train, test, tuple(shape))


def read(path: Path) -> tuple[Arrays, tuple[str, ...] | None]:
    """The arrays, and the names in `classes` if the archive has them.

    The headers are checked before anything is unpacked.
    """
    with _archive(path) as (archive, file):
        headers = _headers(path, archive, file.size)
        _sizes(path, headers)
        file.left += file.size
        found = {key: _array(archive, header.member) for key, header in headers.items()}
    arrays = Arrays(*(found[key] for key in KEYS))
    return arrays, _names(path, found[_CLASSES]) if _CLASSES in found else None


def _names(path: Path, names: np.ndarray) -> tuple[str, ...]:
    # Python cannot decode numbers that are not characters.
    numbers = np.ascontiguousarray(names, names.dtype.newbyteorder("=")).view(np.uint32)
    if numbers.max(initial=0) > sys.maxunicode:
        raise DataError(path, "classes holds something that is not text", "save it again")
    for name in (found := tuple(names.tolist())):
        if _STEERING.search(name):
            raise DataError(
                path,
                f"classes holds {printable(repr(name), 60)}, which is no plain text",
                "save it without control characters",
            )
    return found


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    # Open the member itself: np.load might find another one with almost the same name.
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


@contextmanager
def _archive(path: Path) -> Iterator[tuple[zipfile.ZipFile, _Rationed]]:
    """The opened archive and its file; errors become one line."""
    with opened(path, _MOST_FILE) as (file, size):
        rationed: Any = _Rationed(file, size)
        try:
            with zipfile.ZipFile(rationed) as archive:
                yield archive, rationed
        except (DataError, MemoryError):
            raise
        except Exception as error:  # a damaged byte can cause any error in the standard library
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise
            raise DataError(
                path,
                f"not a whole .npz archive ({_reason(error)})",
                "write or fetch the file again",
            ) from None


def _headers(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, _Header]:
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key in members and key in (*KEYS, _CLASSES):
            raise DataError(path, f"{key} is in it twice", "save it again")
        members[key] = info
    missing = [key for key in KEYS if key not in members]
    if missing:
        raise DataError(
            path,
            f"no {missing[0]}, found {printable(', '.join(sorted(members)) or 'nothing')}",
            f"an image set needs {', '.join(KEYS)}",
        )
    wanted = [*KEYS, *({_CLASSES} & set(members))]
    headers = {key: _header(path, archive, key, members[key], size) for key in wanted}
    claimed = sum(header.member.file_size for header in headers.values())
    if claimed > _MOST_BYTES:
        raise DataError(
            path,
            f"its arrays take {claimed:,} bytes unpacked, at most {_MOST_BYTES:,} are read",
            "make a set of fewer or smaller images",
        )
    if _CLASSES in headers:
        _check_names(path, headers[_CLASSES])
    return headers


def _check_names(path: Path, names: _Header) -> None:
    if len(names.shape) != 1 or names.dtype.kind != "U":
        raise DataError(
            path,
            f"classes is {names.dtype} {list(names.shape)}",
            "give one text a class, np.array([...], dtype=str)",
        )
    if names.member.file_size > _MOST_NAMES:
        raise DataError(
            path,
            f"classes takes {names.member.file_size:,} bytes, at most {_MOST_NAMES:,} are read",
            "give shorter names",
        )


def _header(
    path: Path, archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo, size: int
) -> _Header:
    """Read the header of an array, and never more bytes than a header can have."""
    if member.compress_type not in _KINDS:
        raise DataError(
            path, f"{key} is compressed in a way that NumPy does not write", "save it again"
        )
    if member.flag_bits & 1:
        raise DataError(path, f"{key} is encrypted", "save it without a password")
    with archive.open(member) as file:
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    try:
        shape, dtype = _parsed(head)
    except Exception as error:  # NumPy's parser passes on any error of Python's parser
        raise DataError(
            path, f"{key} is not a NumPy array ({_reason(error)})", "save it again"
        ) from None
    if dtype.hasobject:
        raise DataError(
            path,
            f"{key} holds Python objects, which are never unpickled",
            "save it as a plain array of whole numbers",
        )
    expected = head.tell() + math.prod(shape) * dtype.itemsize
    if member.file_size != expected:
        raise DataError(
            path,
            f"{key} expected {expected:,} bytes by its header, found {member.file_size:,}",
            "write or fetch the file again",
        )
    packed = min(member.compress_size, size)
    stored = member.compress_type == zipfile.ZIP_STORED
    if packed < expected if stored else cannot_hold(packed, expected):
        raise DataError(
            path,
            f"{key} expected {expected:,} bytes by its header, which {packed:,} packed bytes "
            "cannot hold",
            "write or fetch the file again",
        )
    return _Header(member, shape, dtype)


def _parsed(head: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    """The shape and type in the header of an array, and where the header ends."""
    reader = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[np.lib.format.read_magic(head)]
    shape, _, dtype = reader(head)
    # Python and NumPy's parser accept True as an integer, but it is not a size.
    if any(type(n) is not int or not 0 <= n < 2**63 for n in shape):
        raise ValueError(f"its shape is {list(shape)}")
    if dtype.kind == "V" or not dtype.itemsize:
        raise ValueError("its values are neither numbers nor text")
    return shape, dtype


def _reason(error: Exception) -> str:
    """An exception as one short line."""
    return printable((str(error).splitlines() or [type(error).__name__])[0], 120)
