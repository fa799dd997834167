"""An open folder and the operations in it, which do not depend on what its name refers to later."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from weightspace.disk.errors import explained, leads_out, not_regular
from weightspace.disk.paths import InnerPath
from weightspace.errors import DataError
from weightspace.printable import printable

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_BY_DESCRIPTOR = bool(_NO_FOLLOW) and {os.open, os.stat, os.unlink, os.mkdir} <= os.supports_dir_fd
_IS_A_LINK = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
_DEEPEST = 64  # nested folders; people and tools make a dozen, an archive may have thousands


class Folder:
    """A folder inside a root, opened name by name without following a link.

    Use it in a `with` statement. If the system cannot open by descriptors (Windows), names are
    checked and then used.

    Parameters
    ----------
    place : InnerPath
        The folder.

    Raises
    ------
    DataError
        If a name on the path is a link.
    FileNotFoundError
        If a name on the path does not exist.
    """

    def __init__(self, place: InnerPath) -> None:
        self.place = place
        self.descriptor = -1
        if not _BY_DESCRIPTOR:
            _look_at(place)
            return
        self.descriptor = os.open(place.root, _FLAGS)
        try:
            for i, name in enumerate(place.parts):
                self._enter(name, InnerPath(place.root, place.parts[: i + 1]))
        except BaseException:
            self.close()
            raise

    def _enter(self, name: str, place: InnerPath) -> None:
        try:
            inner = os.open(name, _FLAGS | _NO_FOLLOW, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno in _IS_A_LINK:
                raise leads_out(place) from None
            raise
        os.close(self.descriptor)
        self.descriptor = inner

    def at(self, name: str, key: str = "dir_fd") -> tuple[Any, dict[str, Any]]:
        """The arguments with which functions of `os` reach an entry of the opened folder.

        Parameters
        ----------
        name : str
            The name of the entry.
        key : str
            The name of the keyword argument for the folder.

        Returns
        -------
        tuple
            The first argument, and the keyword arguments.
        """
        if _BY_DESCRIPTOR:
            return name, {key: self.descriptor}
        return (self.place / name).path, {}

    def names(self) -> list[str]:
        """The names in the folder, sorted."""
        return sorted(os.listdir(self.descriptor if _BY_DESCRIPTOR else self.place.path))

    def stat(self, name: str) -> os.stat_result | None:
        """The status of an entry; for a link, of the link itself.

        Parameters
        ----------
        name : str
            The name of the entry.

        Returns
        -------
        os.stat_result or None
            None if there is no such entry.
        """
        entry, where = self.at(name)
        try:
            return os.stat(entry, follow_symlinks=False, **where)
        except FileNotFoundError:
            return None

    def sync(self) -> None:
        """Wait until the names in the folder are on the disk."""
        if _BY_DESCRIPTOR:
            os.fsync(self.descriptor)

    def close(self) -> None:
        """Close the folder; may be called twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _look_at(place: InnerPath) -> None:
    for i in range(len(place.parts)):
        there = InnerPath(place.root, place.parts[: i + 1])
        if there.path.is_symlink() or (there.path.exists() and not there.path.is_dir()):
            raise leads_out(there)
    os.stat(place.path)


def make_root(path: Path) -> InnerPath:
    """Make a folder that a user named, and the folders above it, if they do not exist.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    InnerPath
    """
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return InnerPath(path)


def make_folder(place: InnerPath) -> None:
    """Make a folder, and those between it and the root, if they do not exist.

    Parameters
    ----------
    place : InnerPath
        The folder.
    """
    if not place.parts:
        return
    try:
        with Folder(place):
            return
    except FileNotFoundError:
        make_folder(place.parent)
    with Folder(place.parent) as above:
        entry, where = above.at(place.name)
        with suppress(FileExistsError):
            os.mkdir(entry, **where)
    with Folder(place):  # fails if it has become a link in the meantime
        return


def names(place: InnerPath) -> list[str]:
    """The names in a folder, sorted; empty if there is no folder.

    Parameters
    ----------
    place : InnerPath
        The folder.

    Returns
    -------
    list of str
    """
    try:
        with Folder(place) as folder:
            return folder.names()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unlisted(place, error) from None


def walk(place: InnerPath) -> Iterator[InnerPath]:
    """All entries below a folder that are not folders, sorted; links to folders are not entered.

    Parameters
    ----------
    place : InnerPath
        The folder.

    Yields
    ------
    InnerPath
        An entry; it may be a link or a device, which opening it tells.

    Raises
    ------
    FileNotFoundError
        If there is no folder.
    DataError
        If a folder cannot be listed, or folders are nested too deeply.
    """
    if len(place.parts) > _DEEPEST:
        raise DataError(
            place.root,
            f"holds folders in folders, {_DEEPEST} deep and more ({printable(place.thing, 60)})",
            "name a folder further inside, or remove them",
        )
    try:
        with Folder(place) as folder:
            found = [(name, folder.stat(name)) for name in folder.names()]
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unlisted(place, error) from None
    for name, status in found:
        if status is not None and stat.S_ISDIR(status.st_mode):
            yield from walk(place / name)
        elif status is not None:
            yield place / name


def _unlisted(place: InnerPath, error: OSError) -> DataError:
    return DataError(
        place, f"cannot be listed ({error.strerror})", "check the folder's permissions"
    )


def exists(place: InnerPath) -> bool:
    """Whether something has this name; a link counts, wherever it leads.

    Parameters
    ----------
    place : InnerPath
        The entry.

    Returns
    -------
    bool
    """
    return _status(place) is not None


def is_folder(place: InnerPath) -> bool:
    """Whether it is a folder, and not a link to one.

    Parameters
    ----------
    place : InnerPath
        The entry.

    Returns
    -------
    bool
    """
    status = _status(place)
    return status is not None and stat.S_ISDIR(status.st_mode)


def is_file(place: InnerPath) -> bool:
    """Whether it is a regular file, or a link to one.

    Parameters
    ----------
    place : InnerPath
        The entry.

    Returns
    -------
    bool
    """
    try:
        with Folder(place.parent) as folder:
            entry, where = folder.at(place.name)
            return stat.S_ISREG(os.stat(entry, **where).st_mode)
    except (OSError, DataError):
        return False


def _status(place: InnerPath) -> os.stat_result | None:
    if not place.parts:
        return os.stat(place.root) if place.root.exists() else None
    try:
        with Folder(place.parent) as folder:
            return folder.stat(place.name)
    except (FileNotFoundError, NotADirectoryError):  # the second error: the root is a file
        return None


def rename(source: InnerPath, target: InnerPath) -> None:
    """Rename an entry in the same root, replacing what has the new name.

    Links are not followed.

    Parameters
    ----------
    source, target : InnerPath
        The entry, and its new name.

    Raises
    ------
    FileNotFoundError
        If there is no source.
    """
    with Folder(source.parent) as here, Folder(target.parent) as there:
        entry, where = here.at(source.name, "src_dir_fd")
        new, to = there.at(target.name, "dst_dir_fd")
        os.rename(entry, new, **where, **to)
        there.sync()
        here.sync()


def remove(place: InnerPath) -> None:
    """Remove a file, or a link itself, if it exists.

    Parameters
    ----------
    place : InnerPath
        The entry.

    Raises
    ------
    DataError
        If it is a folder.
    """
    with suppress(FileNotFoundError), Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        try:
            os.unlink(entry, **where)
        except OSError:
            if is_folder(place):
                raise not_regular(place) from None
            raise


def remove_tree(place: InnerPath) -> None:
    """Remove a folder with all its content, if it exists.

    Parameters
    ----------
    place : InnerPath
        The folder.

    Raises
    ------
    DataError
        If it is a link.
    """
    status = _status(place)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        raise leads_out(place)
    with suppress(FileNotFoundError), Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        shutil.rmtree(entry, **where)  # uses descriptors too, where the system has them


def remove_empty(place: InnerPath) -> None:
    """Remove a folder if it exists and is empty.

    Parameters
    ----------
    place : InnerPath
        The folder.
    """
    with suppress(OSError), Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        os.rmdir(entry, **where)


def sync_folder(place: InnerPath) -> None:
    """Wait until the names in a folder are on the disk.

    Parameters
    ----------
    place : InnerPath
        The folder.
    """
    with Folder(place) as folder:
        folder.sync()
