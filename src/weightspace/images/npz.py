"""Any image set as one NumPy archive: x_train, y_train, x_test, y_test and perhaps classes."""

from __future__ import annotations

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


class _Header(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype


def peek(path: Path) -> Sizes:
    """Sizes by the headers of the archive's arrays; no image is unpacked."""
    headers = _headers(path)
    train, *shape = image_shape(f"{path}: x_train", *headers["x_train"])
    test = image_shape(f"{path}: x_test", *headers["x_test"])[0]
    rows, columns, channels = shape
    return Sizes(train, test, (rows, columns, channels))


def read(path: Path) -> tuple[Arrays, tuple[str, ...] | None]:
    """The arrays, and the names in `classes` where the archive has them."""
    headers = _headers(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = Arrays(*(archive[key] for key in KEYS))
            names = archive[_CLASSES] if _CLASSES in headers else None
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(f"{path}: damaged ({error}); write or fetch the file again") from None
    if names is None:
        return arrays, None
    if names.ndim != 1 or names.dtype.kind != "U":
        raise DataError(
            f"{path}: classes is {names.dtype} {list(names.shape)}; give one text a class, "
            "np.array([...], dtype=str)"
        )
    return arrays, tuple(names.tolist())


def _headers(path: Path) -> dict[str, _Header]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): name for name in archive.namelist()}
            missing = [key for key in KEYS if key not in members]
            if missing:
                raise DataError(
                    f"{path}: no {missing[0]}, found {', '.join(sorted(members)) or 'nothing'}; "
                    f"an image set needs {', '.join(KEYS)}"
                )
            wanted = [*KEYS, *({_CLASSES} & set(members))]
            return {key: _header(path, archive, key, members[key]) for key in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: not a whole .npz archive ({error}); write or fetch the file again"
        ) from None


def _header(path: Path, archive: zipfile.ZipFile, key: str, member: str) -> _Header:
    with archive.open(member) as file:
        try:
            version = np.lib.format.read_magic(file)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = reader(file)
        except (ValueError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(
                f"{path}: {key} is not a NumPy array ({reason}); save it again"
            ) from None
        start = file.tell()
    if dtype.hasobject:
        raise DataError(
            f"{path}: {key} holds Python objects, which are never unpickled; "
            "save it as a plain array of whole numbers"
        )
    expected = start + math.prod(shape) * dtype.itemsize
    found = archive.getinfo(member).file_size
    if found != expected:
        raise DataError(
            f"{path}: {key} expected {expected:,} bytes by its header, found {found:,}; "
            "write or fetch the file again"
        )
    return _Header(shape, dtype)
