"""Files that appear whole or not at all: written under a hidden name, synced, then renamed."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from weightspace.errors import DataError
from weightspace.zoo.places import is_temporary

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)
_CHUNK = 2**24
_CANNOT_RESERVE = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


class Temporary:
    """A file on its way to `final`, of a known size, open for writing at any offset.

    It holds an advisory lock for as long as it is open, which is how others tell a file that is
    being written from one whose writer was killed; nobody ever waits for that lock.
    """

    def __init__(self, final: Path, size: int, found: tuple[int, Path] | None = None) -> None:
        self.final = final
        self.size = size
        with explained(final, size):
            self._descriptor, self.path = found or _create(final)
            try:
                if not found:
                    _reserve(self._descriptor, size)
            except BaseException:
                self.discard()
                raise

    @classmethod
    def again(cls, final: Path, name: str, size: int) -> Temporary | None:
        """The file of this hidden name, left by a killed writer; None where one is at it.

        Raises `DataError` where it is not there or not of this size.
        """
        path = final.parent / name
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error.strerror})") from None
        if _lock(descriptor) is False:
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_size != size or not path.exists():
            os.close(descriptor)
            raise DataError(f"{path}: is not of the size it was made with")
        return cls(final, size, (descriptor, path))

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

    def publish(self, *, replace: bool = True) -> bool:
        """Give the synced file its final name, durably; False when kept back for another's.

        With `replace=False` a file that already has the name stays, and this one goes.
        """
        with explained(self.final, self.size):
            won = True
            if replace:
                self.path.replace(self.final)
            else:
                won = _rename_new(self.path, self.final)
            sync_folder(self.final.parent)
        self.discard()
        return won

    def leave(self) -> None:
        """Close the file and let it keep its hidden name, for `again`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def discard(self) -> None:
        """Close the file and remove it if it still has its hidden name; may be called twice."""
        if self._descriptor >= 0:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def write_file(final: Path, data: bytes, *, replace: bool = True) -> bool:
    """Write a small file whole, durably; returns what `Temporary.publish` returns."""
    file = Temporary(final, len(data))
    try:
        file.write(data, 0)
        file.sync()
        return file.publish(replace=replace)
    finally:
        file.discard()


def adopt(source: Path, final: Path, *, copy: bool) -> None:
    """Give a file that will not change a second name, whole and durably.

    By a hard link where the file system can make one and no `copy` is asked for.
    """
    if not copy:
        hidden = _hidden(final)
        with explained(final, 0):
            try:
                os.link(source, hidden)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
            else:
                hidden.replace(final)
                hidden.unlink(missing_ok=True)  # stays where both were names of one file
                sync_folder(final.parent)
                return
    file = Temporary(final, source.stat().st_size)
    try:
        with source.open("rb") as opened:
            for offset in range(0, file.size, _CHUNK):
                file.write(opened.read(_CHUNK), offset)
        file.sync()
        file.publish()
    finally:
        file.discard()


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporaries(folder: Path) -> list[Path]:
    """The unfinished files of a folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if is_temporary(path.name))


def is_being_written(path: Path) -> bool:
    """Whether a living process holds this unfinished file open."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return _lock(descriptor, exclusive=False) is False
    finally:
        os.close(descriptor)


def held_by_leftovers(folder: Path) -> int:
    """Bytes that unfinished files take which nobody is writing."""
    left = [path for path in temporaries(folder) if not is_being_written(path)]
    return sum(path.stat().st_blocks * 512 for path in left)


def remove_leftovers(folder: Path, stem: str = "") -> None:
    """Remove what killed writers left of `stem`, or of all; files that are being written stay."""
    for path in temporaries(folder):
        if stem and not re.fullmatch(rf"\.{re.escape(stem)}\.[0-9a-f]+\.tmp", path.name):
            continue
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:
            continue
        try:
            if _lock(descriptor):
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)


@contextmanager
def explained(path: Path, needed: int) -> Iterator[None]:
    """Turn the system's refusal to write into one line that says what is to be done."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            what = f", {needed:,} bytes are needed" if needed else ""
            raise DataError(
                f"{path}: the disk is full{what}; free space there or choose another --out, "
                "then run the same command again"
            ) from None
        if error.errno == errno.EFBIG:
            raise DataError(
                f"{path}: {needed:,} bytes are more than a file may have here; raise the limit "
                "(`ulimit -f`) or choose another --out, then run the same command again"
            ) from None
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "check the folder's permissions or choose another --out"
        ) from None


def _hidden(final: Path) -> Path:
    return final.parent / f".{final.name.split('.', 1)[0]}.{secrets.token_hex(6)}.tmp"


def _create(final: Path) -> tuple[int, Path]:
    while True:
        path = _hidden(final)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # Between creation and lock a cleaner may have taken the file for a leftover: start anew.
        if _lock(descriptor) is not False and path.exists():
            return descriptor, path
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(descriptor: int, exclusive: bool = True) -> bool | None:
    """Lock without waiting; False when another holds it, None where there are no locks."""
    import fcntl  # not on every platform, and reading a zoo does without

    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


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


def _rename_new(source: Path, final: Path) -> bool:
    """Rename unless the name is taken, decided by the file system in one step."""
    try:
        os.link(source, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        if final.exists():
            return False
        source.replace(final)
    return True
