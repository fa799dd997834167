"""Open files for reading: regular files, up to a given size."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from weightspace.disk.errors import not_regular
from weightspace.disk.folders import Folder
from weightspace.disk.paths import InnerPath
from weightspace.errors import DataError

# Do not wait: opening a pipe would block until somebody writes to it.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


def open_descriptor(
    place: InnerPath | Path, most: int | None = None, *, within: bool = False
) -> int:
    """Open a regular file for reading, as a file descriptor.

    Parameters
    ----------
    place : InnerPath or Path
        The file. If it is a link, the link is followed. In a `Path`, which a user named, links to
        folders are followed, too.
    most : int, optional
        The most bytes that the file may have.
    within : bool
        Follow a link only if it leads to a file in the same root, or in the same download of a
        Hugging Face cache.

    Returns
    -------
    int

    Raises
    ------
    DataError
        If it is not a regular file, or is too large.
    OSError
        If it cannot be opened.
    """
    if isinstance(place, Path):
        return _opened(place, place, {}, most)
    with Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        descriptor = _opened(place, entry, where, most)
    if within:
        try:
            _refuse_outside(place, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def open_file(
    place: InnerPath | Path, most: int | None = None, *, within: bool = False
) -> BinaryIO:
    """Open a regular file for reading, as a file object.

    Parameters
    ----------
    place, most, within
        As for `open_descriptor`.

    Returns
    -------
    BinaryIO

    Raises
    ------
    DataError, OSError
        As for `open_descriptor`.
    """
    return os.fdopen(open_descriptor(place, most, within=within), "rb")


def read_bytes(place: InnerPath | Path, most: int, *, within: bool = False) -> bytes:
    """Read a regular file.

    Parameters
    ----------
    place, most, within
        As for `open_descriptor`.

    Returns
    -------
    bytes

    Raises
    ------
    DataError, OSError
        As for `open_descriptor`.
    """
    with open_file(place, most, within=within) as file:
        length = os.fstat(file.fileno()).st_size
        # Not more than the stated size: some files of the system have no end.
        data = file.read(length + 1)
    if len(data) > length:
        raise DataError(place, "grew while it was read", "read it when it is finished")
    return data


def read_text(place: InnerPath | Path, most: int, *, within: bool = False) -> str:
    """Read a regular file as text in UTF-8.

    Parameters
    ----------
    place, most, within
        As for `open_descriptor`.

    Returns
    -------
    str

    Raises
    ------
    UnicodeDecodeError
        If it is not UTF-8.
    DataError, OSError
        As for `open_descriptor`.
    """
    return read_bytes(place, most, within=within).decode("utf-8")


def size(place: InnerPath) -> int:
    """The bytes of a regular file, or of the one that a link leads to.

    Parameters
    ----------
    place : InnerPath
        The file.

    Returns
    -------
    int

    Raises
    ------
    DataError, OSError
        As for `open_descriptor`.
    """
    descriptor = open_descriptor(place)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _opened(place: object, entry: object, where: dict[str, int], most: int | None) -> int:
    # Checked before it is opened, because opening alone has an effect on some devices.
    if not stat.S_ISREG(os.stat(entry, **where).st_mode):  # type: ignore[arg-type]  # a dir_fd
        raise not_regular(place)
    descriptor = os.open(entry, _FLAGS, **where)  # type: ignore[arg-type]  # a dir_fd
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise not_regular(place)
        if most is not None and status.st_size > most:
            raise DataError(
                place,
                f"has {status.st_size:,} bytes, at most {most:,} are allowed in such a file",
                "fetch it again, or remove it",
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_outside(place: InnerPath, descriptor: int) -> None:
    """Refuse an opened file that is not inside the root."""
    here = Path(os.path.realpath(place.root))
    homes = [here]
    for revision in (here, *here.parents):  # a complete download in a Hugging Face cache, or
        blobs = revision.parent.parent / "blobs"  # a folder in it
        if revision.parent.name == "snapshots" and blobs.is_dir():
            homes.append(blobs)
    real = Path(os.path.realpath(place.path))
    inside = any(real.is_relative_to(home) for home in homes)
    # The name may refer to another file by now, so compare it with the opened file.
    if not inside or not os.path.samestat(os.stat(real), os.fstat(descriptor)):
        raise DataError(
            place,
            f"is a link that leads out of {place.root}",
            "put the file itself there, or remove the link",
        )
