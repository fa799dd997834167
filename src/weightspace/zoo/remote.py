"""A zoo at a URL: its tables are fetched, of its shards only the bytes that are asked for.

What is fetched whole lies in a temporary folder, where it is read with the same suspicion as the
files of a zoo on this machine; messages name the URL.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from weightspace import disk
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.printable import printable
from weightspace.zoo import index, layouts, manifest, places, rounds, shard
from weightspace.zoo.rounds import Round
from weightspace.zoo.shardfiles import Read

_WINDOW = 256  # ranges whose answers are held in memory
_AT_ONCE = 32  # of them on their way
_CONNECT, _READ = 30, 60  # seconds to wait for an HTTP server's connection, and for its next byte

_INHERITED: list[Any] = []
"""File systems of the process that this one was forked from. The collector must not close them
here: their event loop is the kernel's as well, and the parent would never hear an answer again."""


def is_url(path: str | Path) -> bool:
    """Whether a path is meant for fsspec."""
    return isinstance(path, str) and "://" in path


class Server:
    """Files below a URL, through fsspec; every failure is a DataError that names the file."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.url = url.rstrip("/")
        self._options = dict(options)
        self._opened: tuple[int, Any, str] | None = None
        self._system()

    def _system(self) -> tuple[Any, str]:
        """The file system and the root in it; one for each process, since they have threads."""
        if self._opened is None or self._opened[0] != os.getpid():
            if self._opened is not None:
                _INHERITED.append(self._opened)
            try:
                import fsspec  # an extra
            except ImportError:
                raise UsageError(
                    f"{self.url}: needs fsspec; `pip install 'weightspace[remote]'`"
                ) from None
            try:
                options = {**_defaults(self.url), **self._options}
                made = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **options)
            except ImportError as error:
                raise UsageError(
                    f"{self.url}: cannot be opened ({_reason(error)}); "
                    "`pip install 'weightspace[remote]'`, or what it names"
                ) from None
            except (ValueError, TypeError) as error:
                raise UsageError(f"{self.url}: cannot be opened ({_reason(error)})") from None
            self._opened = (os.getpid(), *made)
        return self._opened[1], self._opened[2].rstrip("/")

    def read(self, *names: str) -> list[bytes]:
        """Whole files."""
        return self._asked([(name, None, None) for name in names])

    def ranges(self, asked: Sequence[tuple[str, int, int]]) -> list[bytes]:
        """Bytes start..stop of files, each of exactly that length."""
        found = self._asked(asked)
        for (name, start, stop), data in zip(asked, found, strict=True):
            if len(data) != stop - start:
                raise DataError(
                    f"{self.url}/{name}: the server gave {len(data):,} bytes where "
                    f"{stop - start:,} were asked for; it must know ranges and hold the whole file"
                )
        return found

    def _asked(self, asked: Sequence[tuple[str, int | None, int | None]]) -> list[bytes]:
        system, root = self._system()
        if not asked:
            return []
        names, starts, stops = (list(column) for column in zip(*asked, strict=True))
        with self._explained(names[0]):
            paths = [f"{root}/{name}" for name in names]
            more = {"batch_size": _AT_ONCE} if system.async_impl else {}
            found = system.cat_ranges(paths, starts, stops, on_error="return", **more)
        for name, data in zip(names, found, strict=True):
            if isinstance(data, BaseException):
                with self._explained(name):
                    raise data
        return found

    def size(self, name: str) -> int:
        """Bytes of a file."""
        system, root = self._system()
        with self._explained(name):
            return int(system.info(f"{root}/{name}")["size"])

    def names(self, folder: str) -> list[str]:
        """The files of a folder, where the server lists it."""
        system, root = self._system()
        with self._explained(folder):
            found = system.ls(f"{root}/{folder}", detail=False)
        return [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found]

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each file system has errors of its own
            raise DataError(
                f"{self.url}/{name}: cannot be read ({_reason(error)}); check the address, the "
                "network and your permissions"
            ) from None


class Remote:
    """A zoo at a URL, as `source.Source`."""

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.name = url
        self._server = Server(url, options)
        self.path = Path(tempfile.mkdtemp(prefix="weightspace-"))
        weakref.finalize(self, _remove, self.path, os.getpid())
        self._fetch([places.MANIFEST])
        # A server that does not know ranges would send whole shards: better found out here.
        self._server.ranges([(places.MANIFEST, 0, 2)])
        self._index = self._fetched_index()
        self.files = RemoteShards(self._server, self._index)
        self._layouts: dict[str, Layout] = {}

    def meta(self) -> dict[str, Any]:
        """As `Source` says."""
        with self._renamed():
            return manifest.read(self.path)

    def units(self) -> list[str]:
        """As `Source` says: from the index, or else from a list that the server gives."""
        if self._index:
            return list(self._index.units)
        try:
            names = self._server.names(places.NETS)
        except DataError as error:
            raise DataError(
                f"{self.name}: has no index that can be read, and no list of its files "
                f"({str(error).partition(': ')[2]}); run `weightspace index` where it lies"
            ) from None
        suffix = places.SUFFIX[places.NETS]
        units = sorted(n.removesuffix(suffix) for n in names if n.endswith(suffix))
        for unit in units:
            places.check_unit(unit)
        return units

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """As `Source` says."""
        with self._renamed():
            if self._index:
                self._fetch([f"index/{name}" for name in self._index.files[table]])
                return [index.read_table(self.path, self._index, table)]
            self._fetch([f"{table}/{unit}{places.SUFFIX[table]}" for unit in units])
            return index.read_parts(self.path, table, units)

    def layout(self, key: str) -> Layout:
        """As `Source` says."""
        if key not in self._layouts:
            with self._renamed():
                file = places.layout_path(self.path, key)
                if self._index and not disk.exists(file.parent):
                    self._unpack_layouts(self._index)
                if not disk.exists(file):
                    self._fetch([f"{places.LAYOUTS}/{file.name}"])
                self._layouts[key] = layouts.read_layout(self.path, key)
        return self._layouts[key]

    def rounds(self) -> dict[int, Round]:
        """As `Source` says; none where the server gives no list of them."""
        suffix = places.SUFFIX[places.ROUNDS]
        try:
            names = self._server.names(places.ROUNDS)
        except DataError:
            return {}
        self._fetch([f"{places.ROUNDS}/{n}" for n in names if n.endswith(suffix)])
        with self._renamed():
            return rounds.read(self.path)

    def _fetched_index(self) -> index.Index | None:
        name = f"index/{index.CONTENTS}"
        try:
            self._fetch([name])
        except DataError:
            return None
        return index.read(self.path)

    def _unpack_layouts(self, found: index.Index) -> None:
        (table,) = self.tables(places.LAYOUTS, [])
        for key, text in zip(table["key"].to_pylist(), table["json"].to_pylist(), strict=True):
            file = places.layout_path(self.path, key)
            disk.make_folder(file.parent)
            disk.write_file(file, text.encode())

    def _fetch(self, names: list[str]) -> None:
        """Bring files here, some at a time."""
        every = iter(names)
        while some := list(islice(every, _WINDOW)):
            for name, data in zip(some, self._server.read(*some), strict=True):
                file = self.path / name
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(data)

    @contextmanager
    def _renamed(self) -> Iterator[None]:
        """What is wrong with a file that was fetched is told of the one at the URL."""
        try:
            yield
        except DataError as error:
            raise DataError(str(error).replace(str(self.path), self.name)) from None


class RemoteShards:
    """The shards at a URL, as `source.Shards`."""

    def __init__(self, server: Server, known: index.Index | None) -> None:
        self._server = server
        self._known = known

    def extent(self, name: str) -> tuple[int, int]:
        """As `Shards` says."""
        file = self._file(name)
        unit = self._known.units.get(Path(name).stem) if self._known else None
        if unit:
            return unit.start, unit.end
        size = self._server.size(file)
        (start,) = self._server.ranges([(file, 0, min(8, size))])
        return shard.data_start(Path(name), size, start), size

    def fill(self, reads: Iterable[Read]) -> None:
        """As `Shards` says."""
        every = iter(reads)
        while window := list(islice(every, _WINDOW)):
            asked = [(self._file(name), at, at + size) for name, at, _, size in window]
            for (_, _, buffers, _), data in zip(window, self._server.ranges(asked), strict=True):
                view = memoryview(data)
                for buffer in buffers:
                    buffer[:] = view[: len(buffer)]
                    view = view[len(buffer) :]

    def expect(self, extents: Iterable[tuple[str, int, int]]) -> None:
        """As `Shards` says: nothing is fetched ahead."""

    def scan(self, reads: Iterable[Read]) -> None:
        """As `Shards` says."""
        for read in reads:
            self.fill([read])

    def view(self, name: str, offset: int, size: int) -> np.ndarray:
        """As `Shards` says: fetched anew each time."""
        (data,) = self._server.ranges([(self._file(name), offset, offset + size)])
        return np.frombuffer(data, np.uint8)

    def _file(self, name: str) -> str:
        return places.shard_path(Path(), name).thing


def _defaults(url: str) -> dict[str, Any]:
    """Options where the user gives none: a server that falls silent is not waited for for ever."""
    if not url.startswith(("http://", "https://")):
        return {}
    try:
        import aiohttp
    except ImportError:
        return {}  # fsspec says what to install
    waits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_READ)
    return {"client_kwargs": {"timeout": waits}}


def _reason(error: BaseException) -> str:
    lines = str(error).splitlines()
    return printable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__, 200)


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked worker, whose parent still reads there
        shutil.rmtree(folder, ignore_errors=True)
