"""Files that are written completely or not at all: under a hidden name, synced, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from weightspace.disk.errors import explained
from weightspace.disk.folders import Folder
from weightspace.disk.locks import lock
from weightspace.disk.paths import InnerPath
from weightspace.disk.reading import open_file
from weightspace.errors import DataError

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
_CHUNK = 2**24
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
_FLAGS = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class Temporary:
    """A file that is being written, of a known size, to be renamed to its final name.

    It can be written at any offset. It holds an advisory lock while it is open, by which others
    tell it from a file that a killed writer left; nobody waits for the lock. Its folder is held
    open, too: the file appears in this folder, even if the folder's name refers to another one by
    then.

    Parameters
    ----------
    final : InnerPath
        The final name.
    size : int
        The size of the file in bytes; the space is reserved.
    found : str
        The hidden name of an unfinished file to open again; see `again`.
    """

    def __init__(self, final: InnerPath, size: int, found: str = "") -> None:
        self.final = final
        self.size = size
        self.name = found
        self._descriptor = -1
        with explained(final, size):
            self._folder = Folder(final.parent)
            try:
                if found:
                    self._descriptor = self._found(found)
                else:
                    self._create()
                    _reserve(self._descriptor, size)
            except BaseException:
                if not found:
                    self.discard()
                self.leave()
                raise

    @classmethod
    def again(cls, final: InnerPath, name: str, size: int) -> Temporary | None:
        """Open an unfinished file that a killed writer left.

        Parameters
        ----------
        final : InnerPath
            The final name.
        name : str
            The hidden name.
        size : int
            The size of the file in bytes.

        Returns
        -------
        Temporary or None
            None if another process is writing it.

        Raises
        ------
        DataError
            If it does not exist or has another size.
        """
        file = cls(final, size, name)
        if lock(file._descriptor) is False:
            file.leave()
            return None
        status = os.fstat(file._descriptor)
        there = file._folder.stat(name)
        if status.st_size != size or there is None or not os.path.samestat(status, there):
            file.leave()
            raise DataError(file.place, "is not of the size it was made with")
        return file

    @property
    def place(self) -> InnerPath:
        """Its current place, with the hidden name."""
        return self.final.named(self.name)

    def read(self, length: int, offset: int) -> bytes:
        """Read bytes at an offset.

        Parameters
        ----------
        length : int
            The number of bytes.
        offset : int
            The position of the first byte.

        Returns
        -------
        bytes
            Bytes that were never written are zero.
        """
        return os.pread(self._descriptor, length, offset)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Write bytes at an offset.

        Parameters
        ----------
        data : bytes or memoryview
            The bytes.
        offset : int
            The position of the first byte.
        """
        rest = memoryview(data).cast("B")
        with explained(self.final, self.size):
            while rest:
                done = os.pwrite(self._descriptor, rest, offset)
                rest, offset = rest[done:], offset + done

    def sync(self) -> None:
        """Wait until the content is on the disk."""
        with explained(self.final, self.size):
            os.fsync(self._descriptor)

    def sync_name(self) -> None:
        """Wait until the hidden name is on the disk."""
        with explained(self.final):
            self._folder.sync()

    def publish(self, *, replace: bool = True) -> bool:
        """Give the synced file its final name, durably.

        Parameters
        ----------
        replace : bool
            Whether to replace a file that already has the name. Otherwise that file stays, and this
            one is removed.

        Returns
        -------
        bool
            False if the other file stayed.
        """
        with explained(self.final, self.size):
            won = True
            if replace:
                self._rename()
            else:
                won = self._rename_new()
            self._folder.sync()
        self.discard()
        return won

    def leave(self) -> None:
        """Close the file and keep its hidden name, for `again`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.close()

    def discard(self) -> None:
        """Close the file, and remove it if it still has its hidden name; may be called twice."""
        if self._descriptor >= 0:
            _unlink(self._folder, self.name)
        self.leave()

    def _found(self, name: str) -> int:
        entry, where = self._folder.at(name)
        try:
            descriptor = os.open(entry, _FLAGS, **where)
        except OSError as error:
            raise DataError(self.place, f"cannot be opened ({error.strerror})") from None
        status = os.fstat(descriptor)
        # With a second name, writing this file would change another file.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.close(descriptor)
            raise DataError(self.place, "is not a file that a writer left")
        return descriptor

    def _create(self) -> None:
        while True:
            self.name = _hidden(self.final)
            entry, where = self._folder.at(self.name)
            self._descriptor = os.open(entry, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, **where)
            # Before the lock, a cleaner may have removed it as a leftover: start again.
            if lock(self._descriptor) is not False and self._folder.stat(self.name):
                return
            _unlink(self._folder, self.name)
            os.close(self._descriptor)
            self._descriptor = -1

    def _rename(self) -> None:
        entry, where = self._folder.at(self.name, "src_dir_fd")
        new, to = self._folder.at(self.final.name, "dst_dir_fd")
        os.rename(entry, new, **where, **to)

    def _rename_new(self) -> bool:
        """Rename unless the name is taken; the file system decides this in one step."""
        try:
            _link(self._folder, self.name, self._folder, self.final.name)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
            if self._folder.stat(self.final.name):
                return False
            self._rename()
        return True


def write_file(final: InnerPath, data: bytes, *, replace: bool = True) -> bool:
    """Write a small file completely or not at all, durably.

    Parameters
    ----------
    final : InnerPath
        The file.
    data : bytes
        Its content.
    replace : bool
        As for `Temporary.publish`.

    Returns
    -------
    bool
        As for `Temporary.publish`.
    """
    file = Temporary(final, len(data))
    try:
        file.write(data, 0)
        file.sync()
        return file.publish(replace=replace)
    finally:
        file.discard()


def replace_all(files: Mapping[InnerPath, bytes] | Iterable[tuple[InnerPath, bytes]]) -> None:
    """Write several files that belong together.

    All are on the disk completely before the first is renamed, in the given order. So a full disk,
    or a kill before the renames, leaves the old files.

    Parameters
    ----------
    files : mapping or iterable of (InnerPath, bytes)
        The files and their contents.
    """
    pairs = files.items() if isinstance(files, Mapping) else files
    made: list[Temporary] = []
    try:
        for final, data in pairs:
            made.append(Temporary(final, len(data)))
            made[-1].write(data, 0)
        for file in made:
            file.sync()
        for file in made:
            file.publish()
    finally:
        for file in made:
            file.discard()


def put(place: InnerPath, data: bytes) -> None:
    """Write a new file in a folder that nobody sees yet (`whole_folder`).

    Parameters
    ----------
    place : InnerPath
        The file; the name must be free.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        As the system does; `whole_folder` makes a DataError of it.
    """
    with Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        descriptor = os.open(entry, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, **where)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def adopt(source: InnerPath | Path, final: InnerPath, *, copy: bool) -> None:
    """Give a file that will not change a second name, durably.

    A hard link is made if the file system can do that, otherwise a copy. If the source is a link,
    the file that it leads to is used.

    Parameters
    ----------
    source : InnerPath or Path
        The file.
    final : InnerPath
        The second name.
    copy : bool
        Whether to copy in any case.

    Raises
    ------
    DataError, OSError
        As for `open_file`, if `source` is not a regular file.
    """
    with open_file(source) as opened:
        if not copy and _linked(source, opened.fileno(), final):
            return
        file = Temporary(final, os.fstat(opened.fileno()).st_size)
        try:
            for offset in range(0, file.size, _CHUNK):
                piece = opened.read(min(_CHUNK, file.size - offset))
                file.write(piece, offset)
                if len(piece) < min(_CHUNK, file.size - offset):
                    raise DataError(source, "became shorter while it was copied", "copy it again")
            file.sync()
            file.publish()
        finally:
            file.discard()


def _linked(source: InnerPath | Path, descriptor: int, final: InnerPath) -> bool:
    """Whether the opened file now has the name `final`, with the content that was opened."""
    real = os.path.realpath(source.path if isinstance(source, InnerPath) else source)
    hidden = _hidden(final)
    with explained(final), Folder(final.parent) as folder:
        new, to = folder.at(hidden, "dst_dir_fd")
        try:
            os.link(real, new, follow_symlinks=False, **to)
        except OSError as error:
            if error.errno in _NO_LINK or error.errno == errno.ENOENT:
                return False
            raise
        try:
            there = folder.stat(hidden)
            if there is None or not os.path.samestat(there, os.fstat(descriptor)):
                return False  # another file has the name now
            entry, where = folder.at(hidden, "src_dir_fd")
            new, to = folder.at(final.name, "dst_dir_fd")
            os.rename(entry, new, **where, **to)
        finally:
            _unlink(folder, hidden)  # it is still there if both names were links to one file
        folder.sync()
    return True


def _link(here: Folder, name: str, there: Folder, new: str) -> None:
    entry, where = here.at(name, "src_dir_fd")
    target, to = there.at(new, "dst_dir_fd")
    os.link(entry, target, follow_symlinks=False, **where, **to)


def _unlink(folder: Folder, name: str) -> None:
    entry, where = folder.at(name)
    with suppress(FileNotFoundError):
        os.unlink(entry, **where)


def _hidden(final: InnerPath) -> str:
    return f".{final.name.split('.', 1)[0]}.{secrets.token_hex(6)}.tmp"


def _reserve(descriptor: int, size: int) -> None:
    """Reserve the space now, so that a full disk is noticed before anything is computed."""
    if size == 0:
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise
        else:
            return
    os.ftruncate(descriptor, size)
