"""`unpack`: the zoo in an archive that a visitor uploaded, as files in the folder of its job.

The archive is not trusted. Only plain files are written, below the folder, and no more bytes than
allowed, whatever the archive says of itself.
"""

from __future__ import annotations

import errno
import gzip
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from weightspace.disk import InnerPath, Temporary, make_folder, open_file, stays_inside
from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.progress import Progress, silent

_MANIFEST = "zoo.json"
_MOST_FILES = 20_000
_DEEPEST = 8  # folders in folders; a zoo has two
_HEADERS = 2**24  # bytes of an archive beside the contents of its files
_CHUNK = 2**22
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_KINDS = ".zip, .tar or .tar.gz"
_REMEDY = f"pack the folder of the zoo as {_KINDS}"
_EXPLORE = "use `weightspace explore` on your machine"


def unpack(
    archive: InnerPath, folder: InnerPath, most: int, progress: Progress = silent
) -> InnerPath:
    """Unpack a zoo.

    Parameters
    ----------
    archive : InnerPath
        A file that may be a zip archive, or a tar archive, which may be compressed by gzip.
    folder : InnerPath
        An empty folder.
    most : int
        The most bytes of all files together.
    progress : Progress
        Called with the bytes that were read of the archive.

    Returns
    -------
    InnerPath
        The folder of the zoo, which is `folder` or one inside.

    Raises
    ------
    DataError
        If it is no archive, or damaged; if it has too many bytes or files, links, or names that
        lead out of the folder; or if it holds no zoo, or several.
    """
    content = _Content(folder, most)
    with open_file(archive) as file:
        size = file.seek(0, 2)
        file.seek(0)
        begin = file.read(4)
        file.seek(0)
        with _one_line():
            read = _zip if begin[:2] == b"PK" else _tar
            for _ in read(file, begin, content):
                progress("unpacking the zoo", file.tell(), size)
    zoos = [place.parent for place in content.written if place.name == _MANIFEST]
    if not zoos:
        raise _refused(f"no {_MANIFEST} is in it, so it holds no zoo", _REMEDY)
    if len(zoos) > 1:
        raise _refused(f"it holds {len(zoos)} zoos", "pack one")
    return zoos[0]


class _Content:
    """The files that were written so far, and how many bytes may follow."""

    def __init__(self, folder: InnerPath, most: int) -> None:
        self.folder = folder
        self.most = self.left = most
        self.written: set[InnerPath] = set()

    def add(self, name: str, size: int, content: IO[bytes]) -> None:
        """Write a file of this name and size."""
        place = self._place(name)
        self.left -= size
        if size < 0 or self.left < 0:
            raise _refused(f"its files have more than {self.most // 2**20:,} MB together", _EXPLORE)
        if len(self.written) == _MOST_FILES:
            raise _refused(f"it holds more than {_MOST_FILES:,} files", _EXPLORE)
        if place in self.written:
            raise _refused(f"{printable(name, 60)} is in it twice", _REMEDY)
        self.written.add(place)
        make_folder(place.parent)
        file = Temporary(place, size)
        try:
            for offset in range(0, size, _CHUNK):
                wanted = min(_CHUNK, size - offset)
                data = content.read(wanted)
                if len(data) != wanted:
                    raise EOFError
                file.write(data, offset)
            file.publish()
        finally:
            file.discard()

    def _place(self, name: str) -> InnerPath:
        inside = stays_inside(name)
        if inside is None:
            raise _refused(f"{printable(name, 60)} in it would lead out of its folder", _REMEDY)
        if len(inside.parts) > _DEEPEST:
            raise _refused(f"{printable(name, 60)} in it is no file of a zoo", _REMEDY)
        place = self.folder
        for part in inside.parts:
            place /= part
        return place


def _zip(file: IO[bytes], _: bytes, content: _Content) -> Iterator[None]:
    metered: Any = _Metered(file, _HEADERS)
    with zipfile.ZipFile(metered) as archive:
        for member in archive.infolist():
            kind = member.external_attr >> 28  # of a Unix file: 4 is a folder, 8 a plain file
            if member.is_dir():
                continue
            if kind not in (0, 8):
                raise _no_plain_file(member.filename)
            if member.flag_bits & 1 or member.compress_type not in _METHODS:
                raise _refused(f"{printable(member.filename, 60)} is encrypted or packed in a way "
                               "that is not read", _REMEDY)  # fmt: skip
            metered.left += member.compress_size
            with archive.open(member) as inside:  # gives no more than the size that it states
                content.add(member.filename, member.file_size, inside)
            yield


def _tar(file: IO[bytes], begin: bytes, content: _Content) -> Iterator[None]:
    plain: Any = gzip.GzipFile(fileobj=file) if begin[:2] == b"\x1f\x8b" else file
    metered: Any = _Metered(plain, content.most + _HEADERS)
    with tarfile.open(fileobj=metered, mode="r|") as archive:
        while member := archive.next():
            archive.members = []  # type: ignore[attr-defined]  # else it keeps all headers
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise _no_plain_file(member.name)
            inside = archive.extractfile(member)
            assert inside is not None  # it is a plain file
            content.add(member.name, member.size, inside)
            yield


class _Metered:
    """A stream of which only so many bytes can be read."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self._stream = stream
        self.left = left

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self.left + 1 if size < 0 else min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise _refused("it has more bytes than its files explain", _REMEDY)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _one_line() -> Iterator[None]:
    """Errors of damaged archives as one line."""
    try:
        yield
    except (DataError, MemoryError):
        raise
    except Exception as error:  # a damaged byte can cause any error in the standard library
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise _refused(f"is no whole {_KINDS} ({type(error).__name__})", _REMEDY) from None


def _no_plain_file(name: str) -> DataError:
    return _refused(f"{printable(name, 60)} in it is a link or a device", _REMEDY)


def _refused(cause: str, remedy: str) -> DataError:
    return DataError("archive", cause, remedy)
