"""Unfinished files of killed writers: hidden files that no living process holds open."""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress

from weightspace.disk.folders import Folder, names
from weightspace.disk.locks import lock
from weightspace.disk.paths import InnerPath
from weightspace.errors import DataError

_TEMPORARY = re.compile(r"\.[A-Za-z0-9_-]+\.[0-9a-f]+\.tmp")
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def is_temporary(name: str) -> bool:
    """Whether a file name is that of an unfinished file.

    Parameters
    ----------
    name : str
        The file name.

    Returns
    -------
    bool
    """
    return bool(_TEMPORARY.fullmatch(name))


def temporaries(folder: InnerPath) -> list[InnerPath]:
    """The unfinished files in a folder.

    Parameters
    ----------
    folder : InnerPath
        The folder.

    Returns
    -------
    list of InnerPath
    """
    return [folder / name for name in names(folder) if is_temporary(name)]


def is_being_written(place: InnerPath) -> bool:
    """Whether a living process holds this unfinished file open.

    Parameters
    ----------
    place : InnerPath
        The file.

    Returns
    -------
    bool
    """
    try:
        with Folder(place.parent) as folder:
            return _held(folder, place.name)
    except (OSError, DataError):
        return False


def held_by_leftovers(folder: InnerPath) -> int:
    """The bytes of unfinished files that nobody is writing.

    Parameters
    ----------
    folder : InnerPath
        The folder.

    Returns
    -------
    int
    """
    left = [place for place in temporaries(folder) if not is_being_written(place)]
    with suppress(FileNotFoundError), Folder(folder) as opened:
        found = [opened.stat(place.name) for place in left]
        return sum(status.st_blocks * 512 for status in found if status)
    return 0


def remove_leftovers(folder: InnerPath, stem: str = "") -> None:
    """Remove the files that killed writers left; files that are being written stay.

    Parameters
    ----------
    folder : InnerPath
        The folder.
    stem : str
        Remove only files for this name; all by default.
    """
    for place in temporaries(folder):
        if stem and not re.fullmatch(rf"\.{re.escape(stem)}\.[0-9a-f]+\.tmp", place.name):
            continue
        with suppress(OSError), Folder(folder) as opened:
            entry, where = opened.at(place.name)
            descriptor = os.open(entry, _FLAGS, **where)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor):
                    os.unlink(entry, **where)
            finally:
                os.close(descriptor)


def _held(folder: Folder, name: str) -> bool:
    entry, where = folder.at(name)
    descriptor = os.open(entry, _FLAGS, **where)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and lock(descriptor, exclusive=False) is False
    finally:
        os.close(descriptor)
