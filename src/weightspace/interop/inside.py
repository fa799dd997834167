"""Folders of unknown origin: their content is named and read without leaving them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError


def folder_of(path: str | Path, holds: str) -> InnerPath:
    """The folder that a user named, for reading; `holds` says what it should contain."""
    folder = Path(path)
    try:
        there = folder.is_dir()
    except OSError:  # the name is too long
        there = False
    if not there:
        raise DataError(folder, "is not a folder", f"give the one that contains {holds}")
    return InnerPath(folder)


def below(root: InnerPath, way: str) -> InnerPath | None:
    """The place in a folder that a path in a file names; None if it leads out of the folder."""
    found = disk.stays_inside(way)
    return None if found is None else InnerPath(root.root, (*root.parts, *found.parts))


def folders(root: InnerPath) -> list[InnerPath]:
    """The folders in a folder, sorted, without links to folders."""
    return [root / name for name in disk.names(root) if disk.is_folder(root / name)]


@contextmanager
def reading(place: InnerPath, who: str = "", remedy: str = "fetch it again") -> Iterator[None]:
    """Turn the system's error of opening or reading a file into one line; `who` is the net."""
    try:
        yield
    except OSError as error:
        whose = f"{who}: " if who else ""
        raise DataError(
            place, f"{whose}cannot be read ({error.strerror or error})", remedy
        ) from None
