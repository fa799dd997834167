"""Files opened for reading: regular ones, of a size that is capped."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from weightspace.disk.errors import not_regular
from weightspace.disk.folders import Folder
from weightspace.disk.paths import InnerPath
from weightspace.errors import DataError

# Without waiting: a pipe would not open before somebody writes to it.
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
    """A descriptor of a regular file, for reading, from its beginning.

    A link of the file itself is followed; with `within` only where it leads to a file of the same
    root, or of the same download in a Hugging Face cache. A `Path` is one that a user named, and
    links on the way are the user's. Raises DataError for what is no regular file, or has more than
    `most` bytes, and OSError where it cannot be opened.
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
    """As `open_descriptor`, as a file object."""
    return os.fdopen(open_descriptor(place, most, within=within), "rb")


def read_bytes(place: InnerPath | Path, most: int, *, within: bool = False) -> bytes:
    """The content of a regular file of at most `most` bytes; raises as `open_descriptor`."""
    with open_file(place, most, within=within) as file:
        length = os.fstat(file.fileno()).st_size
        # No further than it said that it goes: some files of the system have no end.
        data = file.read(length + 1)
    if len(data) > length:
        raise DataError(f"{place}: grew while it was read; read it when it is finished")
    return data


def read_text(place: InnerPath | Path, most: int, *, within: bool = False) -> str:
    """The content as text in UTF-8; UnicodeDecodeError where it is none."""
    return read_bytes(place, most, within=within).decode("utf-8")


def size(place: InnerPath) -> int:
    """Bytes of a regular file, or of the one that a link leads to; raises as `open_descriptor`."""
    descriptor = open_descriptor(place)
    try:
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _opened(place: object, entry: object, where: dict[str, int], most: int | None) -> int:
    # Looked at before it is opened, since opening alone does something to some devices.
    if not stat.S_ISREG(os.stat(entry, **where).st_mode):  # type: ignore[arg-type]
        raise not_regular(place)
    descriptor = os.open(entry, _FLAGS, **where)  # type: ignore[arg-type]
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise not_regular(place)
        if most is not None and status.st_size > most:
            raise DataError(
                f"{place}: has {status.st_size:,} bytes, {most:,} are the most that such a file "
                "may have; fetch it again, or remove it"
            )
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_outside(place: InnerPath, descriptor: int) -> None:
    """Refuse an opened file that is none of the root's."""
    here = Path(os.path.realpath(place.root))
    homes = [here]
    for revision in (here, *here.parents):  # the whole of a download in a Hugging Face cache, or
        blobs = revision.parent.parent / "blobs"  # a folder of it
        if revision.parent.name == "snapshots" and blobs.is_dir():
            homes.append(blobs)
    real = Path(os.path.realpath(place.path))
    inside = any(real.is_relative_to(home) for home in homes)
    # The name may have been given to another file since: the opened one must be that one.
    if not inside or not os.path.samestat(os.stat(real), os.fstat(descriptor)):
        raise DataError(
            f"{place}: is a link that leads out of {place.root}; put the file itself there, or "
            "remove the link"
        )
