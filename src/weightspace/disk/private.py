"""`private_folder`: a folder for temporary files, which is removed with all that is in it."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from weightspace.disk.errors import explained
from weightspace.disk.folders import Folder, is_folder, remove_tree
from weightspace.disk.locks import lock
from weightspace.disk.paths import InnerPath
from weightspace.errors import DataError


@contextmanager
def private_folder(name: str) -> Iterator[InnerPath]:
    """An empty folder among the temporary files of the system, which no other user can open.

    It is removed with all that is in it when the `with` block ends. What killed processes left
    under the same name is removed first.

    Parameters
    ----------
    name : str
        What the name of the folder begins with.

    Yields
    ------
    InnerPath
        The folder.

    Raises
    ------
    DataError
        If no folder can be made there, as one line.
    """
    base = Path(tempfile.gettempdir())
    with explained(base):
        _remove_leftovers(base, name)
        place, held = _made(base, name)
    try:
        yield InnerPath(place.path)
    finally:
        with suppress(DataError, OSError):
            remove_tree(place)
        held.close()


def _made(base: Path, name: str) -> tuple[InnerPath, Folder]:
    """A new folder that this process has locked, so that no other one takes it for a leftover."""
    while True:
        place = InnerPath(base, (Path(tempfile.mkdtemp(prefix=f"{name}-", dir=base)).name,))
        with suppress(FileNotFoundError):  # another process may remove it before the lock
            held = Folder(place)
            if held.descriptor < 0 or (lock(held.descriptor) is not False and is_folder(place)):
                return place, held
            held.close()


def _remove_leftovers(base: Path, name: str) -> None:
    pattern = re.compile(rf"{re.escape(name)}-[a-z0-9_]{{8}}")
    with Folder(InnerPath(base)) as folder:
        found = [entry for entry in folder.names() if pattern.fullmatch(entry)]
        mine = [entry for entry in found if _is_mine(folder, entry)]
    for entry in mine:
        place = InnerPath(base, (entry,))
        with suppress(OSError, DataError), Folder(place) as left:
            # Without locks nobody knows whether it is still in use.
            if left.descriptor >= 0 and lock(left.descriptor):
                remove_tree(place)


def _is_mine(folder: Folder, entry: str) -> bool:
    status = folder.stat(entry)
    return status is not None and status.st_uid == getattr(os, "getuid", lambda: -1)()
