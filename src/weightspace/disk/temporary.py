"""Files that appear whole or not at all: written under a hidden name, synced, then renamed."""

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
    """A file on its way to `final`, of a known size, open for writing at any offset.

    It holds an advisory lock for as long as it is open, which is how others tell a file that is
    being written from one whose writer was killed; nobody ever waits for that lock. Its folder is
    held open too: that is where the file appears, whatever has the folder's name by then.
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
        """The file of this hidden name, left by a killed writer; None where one is at it.

        Raises `DataError` where it is not there or not of this size.
        """
        file = cls(final, size, name)
        if lock(file._descriptor) is False:
            file.leave()
            return None
        status = os.fstat(file._descriptor)
        there = file._folder.stat(name)
        if status.st_size != size or there is None or not os.path.samestat(status, there):
            file.leave()
            raise DataError(f"{file.place}: is not of the size it was made with")
        return file

    @property
    def place(self) -> InnerPath:
        """Where it is under its hidden name."""
        return self.final.named(self.name)

    def read(self, length: int, offset: int) -> bytes:
        """Bytes at an offset, written or zero."""
        return os.pread(self._descriptor, length, offset)

    def write(self, data: bytes | memoryview, offset: int) -> None:
        """Put bytes at an offset; bytes never written read as zeros."""
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
        """Wait until its hidden name is on the disk."""
        with explained(self.final):
            self._folder.sync()

    def publish(self, *, replace: bool = True) -> bool:
        """Give the synced file its final name, durably; False when kept back for another's.

        With `replace=False` a file that already has the name stays, and this one goes.
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
        """Close the file and let it keep its hidden name, for `again`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._folder.close()

    def discard(self) -> None:
        """Close the file and remove it if it still has its hidden name; may be called twice."""
        if self._descriptor >= 0:
            _unlink(self._folder, self.name)
        self.leave()

    def _found(self, name: str) -> int:
        entry, where = self._folder.at(name)
        try:
            descriptor = os.open(entry, _FLAGS, **where)
        except OSError as error:
            raise DataError(f"{self.place}: cannot be opened ({error.strerror})") from None
        status = os.fstat(descriptor)
        # A second name would be a file of somebody else's that changes as this one is written.
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.close(descriptor)
            raise DataError(f"{self.place}: is no file that a writer left")
        return descriptor

    def _create(self) -> None:
        while True:
            self.name = _hidden(self.final)
            entry, where = self._folder.at(self.name)
            self._descriptor = os.open(entry, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, **where)
            # Between creation and lock a cleaner may have taken it for a leftover: start anew.
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
        """Rename unless the name is taken, decided by the file system in one step."""
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
    """Write a small file whole, durably; returns what `Temporary.publish` returns."""
    file = Temporary(final, len(data))
    try:
        file.write(data, 0)
        file.sync()
        return file.publish(replace=replace)
    finally:
        file.discard()


def replace_all(files: Mapping[InnerPath, bytes] | Iterable[tuple[InnerPath, bytes]]) -> None:
    """Write several files that belong together.

    All lie on the disk, whole, before the first gets its name, in the order given: a full disk
    leaves what was there, and so does a kill up to the moment of the renames.
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
    """Write a new file in a folder that nobody sees yet (`whole_folder`); a taken name is refused.

    Raises OSError as the system does; `whole_folder` explains.
    """
    with Folder(place.parent) as folder:
        entry, where = folder.at(place.name)
        descriptor = os.open(entry, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666, **where)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def adopt(source: InnerPath | Path, final: InnerPath, *, copy: bool) -> None:
    """Give a file that will not change a second name, whole and durably.

    By a hard link where the file system can make one and no `copy` is asked for; of a link the
    file is taken that it leads to. Raises as `open_file` where `source` is no regular file.
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
                    raise DataError(f"{source}: became shorter while it was copied; copy it again")
            file.sync()
            file.publish()
        finally:
            file.discard()


def _linked(source: InnerPath | Path, descriptor: int, final: InnerPath) -> bool:
    """Whether the opened file has the name `final` now; its content is what was opened."""
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
                return False  # another file has that name by now
            entry, where = folder.at(hidden, "src_dir_fd")
            new, to = folder.at(final.name, "dst_dir_fd")
            os.rename(entry, new, **where, **to)
        finally:
            _unlink(folder, hidden)  # it stays where both were names of one file
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
    """Take the space now, so that a full disk shows before the first vector is computed."""
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
