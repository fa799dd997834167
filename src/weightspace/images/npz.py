"""Any image set as one NumPy archive: x_train, y_train, x_test, y_test and perhaps classes."""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays, Sizes, image_shape

KEYS = ("x_train", "y_train", "x_test", "y_test")
_CLASSES = "classes"
_LONGEST_HEADER = 2**14  # bytes; NumPy itself reads no header of more than 10,000
_MOST_BYTES = 2**33  # of all arrays together when unpacked
_KINDS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those that NumPy writes
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


class _Header(NamedTuple):
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype


def peek(path: Path) -> Sizes:
    """Sizes by the headers of the archive's arrays; no image is unpacked."""
    return _sizes(path, _headers(path))


def _sizes(path: Path, headers: dict[str, _Header]) -> Sizes:
    (train, *shape), (test, *_) = (
        image_shape(f"{path}: {key}", headers[key].shape, headers[key].dtype)
        for key in ("x_train", "x_test")
    )
    rows, columns, channels = shape
    return Sizes(train, test, (rows, columns, channels))


def read(path: Path) -> tuple[Arrays, tuple[str, ...] | None]:
    """The arrays, and the names in `classes` where the archive has them.

    What the headers tell is checked before anything is unpacked.
    """
    headers = _headers(path)
    _sizes(path, headers)
    try:
        with zipfile.ZipFile(path) as archive:
            found = {key: _array(archive, header.member) for key, header in headers.items()}
    except (ValueError, *_DAMAGE) as error:
        raise DataError(f"{path}: damaged ({error}); write or fetch the file again") from None
    arrays = Arrays(*(found[key] for key in KEYS))
    names = found.get(_CLASSES)
    if names is None:
        return arrays, None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"{path}: classes is {names.dtype} {list(names.shape)}; give one text a class, "
            "np.array([...], dtype=str)"
        )
    return arrays, tuple(names.tolist())


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    # By member, not by np.load, which might find another one of almost the same name.
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _headers(path: Path) -> dict[str, _Header]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing = [key for key in KEYS if key not in members]
            if missing:
                raise DataError(
                    f"{path}: no {missing[0]}, found {', '.join(sorted(members)) or 'nothing'}; "
                    f"an image set needs {', '.join(KEYS)}"
                )
            wanted = [*KEYS, *({_CLASSES} & set(members))]
            headers = {key: _header(path, archive, key, members[key]) for key in wanted}
    except _DAMAGE as error:
        raise DataError(
            f"{path}: not a whole .npz archive ({error}); write or fetch the file again"
        ) from None
    claimed = sum(header.member.file_size for header in headers.values())
    if claimed > _MOST_BYTES:
        raise DataError(
            f"{path}: its arrays take {claimed:,} bytes unpacked, {_MOST_BYTES:,} are the most "
            "that is read; make a set of fewer or smaller images"
        )
    return headers


def _header(path: Path, archive: zipfile.ZipFile, key: str, member: zipfile.ZipInfo) -> _Header:
    """What the first bytes of an array say; no more of it is read, whatever they say."""
    if member.compress_type not in _KINDS:
        raise DataError(
            f"{path}: {key} is compressed in a way that NumPy does not write; save it again"
        )
    with archive.open(member) as file:
        head = io.BytesIO(file.read(_LONGEST_HEADER))
    try:
        version = np.lib.format.read_magic(head)
        reader = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = reader(head)
        if min(shape, default=0) < 0:
            raise ValueError(f"its shape is {list(shape)}")
    except Exception as error:  # NumPy's parser passes on whatever Python's raises
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: {key} is not a NumPy array ({reason}); save it again") from None
    start = head.tell()
    if dtype.hasobject:
        raise DataError(
            f"{path}: {key} holds Python objects, which are never unpickled; "
            "save it as a plain array of whole numbers"
        )
    expected = start + math.prod(shape) * dtype.itemsize
    if member.file_size != expected:
        raise DataError(
            f"{path}: {key} expected {expected:,} bytes by its header, found "
            f"{member.file_size:,}; write or fetch the file again"
        )
    return _Header(member, shape, dtype)
