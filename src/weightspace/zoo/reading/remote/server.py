"""Files at a URL, through fsspec: whole files up to a limit, and exact byte ranges.

The module `web` reads from `http://` and `https://`, because such a server may not be trusted and
fsspec hides its answer headers. `file://` goes through the package's own file access (`disk`). All
other URLs are read by fsspec.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import UsageError
from weightspace.zoo.reading.remote.wanted import (
    AT_ONCE,
    Data,
    Files,
    Wanted,
    explained,
    other_length,
    reason,
)

_WEB = ("http://", "https://")
_TIME = 60.0  # seconds to wait for an answer of other file systems
_RATE = 50_000  # bytes in a second; larger files get more time

_INHERITED: list[Any] = []
"""Files of the process that this one was forked from. The garbage collector must not close them
here: both processes share the kernel objects of their event loop, and the parent would hang."""


class Server:
    """Files below a URL; every failure is a DataError that names the file.

    `sizes` holds the known sizes of files, in bytes. Over HTTP every answer must agree with them.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        self.sizes: dict[str, int] = {}
        self._options = dict(options)
        self._opened: tuple[int, Files] | None = None
        self._files()

    def whole(self, asked: Sequence[tuple[str, int]]) -> list[Data | None]:
        """Fetch whole files; None for a file with more bytes than the given limit."""
        return self._fetch([Wanted(name, 0, most, whole=True) for name, most in asked])

    def ranges(self, asked: Sequence[tuple[str, int, int]]) -> list[Data]:
        """Fetch bytes start..stop of files, each of exactly that length."""
        wanted = [Wanted(*one) for one in asked]
        found = []
        for one, data in zip(wanted, self._fetch(wanted), strict=True):
            if data is None or len(data) != one.most:
                raise other_length(f"{self.url}/{one.name}", one, len(data or b""))
            found.append(data)
        return found

    def size(self, name: str) -> int:
        """Bytes of a file."""
        if name not in self.sizes:
            self.sizes[name] = self._files().size(name)
        return self.sizes[name]

    def names(self, folder: str) -> list[str]:
        """The names in a folder, if the server lists it."""
        return self._files().names(folder)

    def _fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        return self._files().fetch(wanted) if wanted else []

    def _files(self) -> Files:
        """The files, opened once in each process because file systems use threads."""
        if self._opened is None or self._opened[0] != os.getpid():
            if self._opened is not None:
                _INHERITED.append(self._opened)
            self._opened = (os.getpid(), _open(self.url, self._options, self.sizes))
        return self._opened[1]


def _open(url: str, options: Mapping[str, Any], sizes: dict[str, int]) -> Files:
    if "::" in url and any(scheme in url for scheme in _WEB):
        raise UsageError(
            url,
            "cannot be opened, answers of servers behind `::` cannot be checked",
            "give the address that begins with http",
        )
    try:
        import fsspec  # an extra
    except ImportError:
        raise UsageError(url, "needs fsspec", "`pip install 'weightspace[remote]'`") from None
    try:
        system, root = fsspec.core.url_to_fs(url, skip_instance_cache=True, **options)
        if url.startswith(_WEB):
            from weightspace.zoo.reading.remote.web import Web  # needs aiohttp, of the same extra

            return Web(url, system, sizes)
    except ImportError as error:
        raise UsageError(
            url,
            f"cannot be opened ({reason(error)})",
            "`pip install 'weightspace[remote]'`, or what it names",
        ) from None
    except (ValueError, TypeError) as error:
        raise UsageError(url, f"cannot be opened ({reason(error)})") from None
    if isinstance(system, fsspec.implementations.local.LocalFileSystem):
        return _Local(url, Path(root))
    return _FileSystem(url, system, root.rstrip("/"))


class _FileSystem:
    """Any file system of fsspec, as `Files`."""

    def __init__(self, url: str, system: Any, root: str) -> None:
        self._url, self._system, self._root = url, system, root

    def fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """See `Files`."""
        paths = [f"{self._root}/{one.name}" for one in wanted]
        starts = [one.start for one in wanted]
        stops = [one.stop + one.whole for one in wanted]  # +1: a longer file
        with explained(f"{self._url}/{wanted[0].name}"):
            found = self._asked(paths, starts, stops)
        for one, data in zip(wanted, found, strict=True):
            if isinstance(data, BaseException):
                with explained(f"{self._url}/{one.name}"):
                    raise data
        return [
            None if one.whole and len(data) > one.stop else data
            for one, data in zip(wanted, found, strict=True)
        ]

    def size(self, name: str) -> int:
        """See `Files`."""
        with explained(f"{self._url}/{name}"):
            return int(self._system.info(f"{self._root}/{name}")["size"])

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        with explained(f"{self._url}/{folder}"):
            found = self._system.ls(f"{self._root}/{folder}", detail=False)
        return [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found]

    def _asked(self, paths: list[str], starts: list[int], stops: list[int]) -> list[Any]:
        answers: list[Any]
        if not self._system.async_impl:
            answers = self._system.cat_ranges(paths, starts, stops, on_error="return")
            return answers
        from fsspec.asyn import sync

        seconds = (
            _TIME + sum(stop - start for start, stop in zip(starts, stops, strict=True)) / _RATE
        )
        answers = sync(
            self._system.loop,
            self._system._cat_ranges,
            paths,
            starts,
            stops,
            batch_size=AT_ONCE,
            on_error="return",
            timeout=seconds,
        )
        return answers


class _Local:
    """A folder on this machine, as `Files`."""

    def __init__(self, url: str, root: Path) -> None:
        self._url, self._root = url, InnerPath(root)

    def fetch(self, wanted: Sequence[Wanted]) -> list[Data | None]:
        """See `Files`."""
        return [self._read(one) for one in wanted]

    def size(self, name: str) -> int:
        """See `Files`."""
        with explained(f"{self._url}/{name}"):
            return disk.size(self._place(name))

    def names(self, folder: str) -> list[str]:
        """See `Files`."""
        return disk.names(self._place(folder))

    def _read(self, wanted: Wanted) -> bytes | None:
        with (
            explained(f"{self._url}/{wanted.name}"),
            disk.open_file(self._place(wanted.name)) as file,
        ):
            file.seek(wanted.start)
            data = file.read(wanted.most + wanted.whole)
        return None if wanted.whole and len(data) > wanted.most else data

    def _place(self, name: str) -> InnerPath:
        return InnerPath(self._root.root, tuple(name.split("/")))
