"""A zoo at a URL: its tables are fetched whole, and of its shards only the bytes that are needed.

Whole files are kept in a temporary folder, where they are checked like the files of a zoo on this
machine; messages name the URL. The number of bytes that are fetched is limited, whatever the server
sends, and so is the time (see `web`).
"""

from __future__ import annotations

import os
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa

from weightspace import disk
from weightspace.disk import InnerPath, inner_of
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.zoo.files import places
from weightspace.zoo.format import index, layouts, manifest, rounds
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.remote.server import Server
from weightspace.zoo.reading.remote.shards import RemoteShards
from weightspace.zoo.reading.spotchecks import SpotChecks

_MOST_FETCHED = 2**31  # bytes kept in the temporary folder
_MOST_FILES = 10_000  # stacks, or rounds, in a list; more need an index
_HELD = 2**28  # bytes of answers in memory at a time
_WINDOW = 256  # files that are requested together
_MOST = {
    places.MANIFEST: 2**24,
    "index/contents.json": 2**28,
    places.LAYOUTS: 2**26,
    places.ROUNDS: 2**26,
    places.NETS: 2**29,
    places.SNAPSHOTS: 2**29,
    "index": 2**29,
}
"""The most bytes of a file of this name or in this folder, as its reader allows."""


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL for fsspec."""
    return isinstance(path, str) and "://" in path


class Remote:
    """A zoo at a URL, as `source.Source`.

    `options` are fsspec's, except `checksums`: "all" compares every vector with its checksum when a
    slice of it is read, "sample", the default, compares some of them.
    """

    def __init__(self, url: str, options: Mapping[str, Any]) -> None:
        self.name = url
        more = dict(options)
        checksums = more.pop("checksums", "sample")
        if checksums not in ("sample", "all"):
            raise UsageError(f"checksums {checksums!r}", "give sample or all")
        self.checks = SpotChecks(every=checksums == "all")
        self._server = Server(url, more)
        self.path = Path(tempfile.mkdtemp(prefix="weightspace-"))  # only this user may read it
        self._owner = os.getpid()
        weakref.finalize(self, _remove, self.path, self._owner)
        self._kept: set[str] = set()
        self._room = _MOST_FETCHED
        self._lock = threading.Lock()
        self._fetch([places.MANIFEST])
        # A server without byte ranges would send whole shards, so find that out now.
        self._server.ranges([(places.MANIFEST, 0, 2)])
        self._index = self._fetched_index()
        self.files = RemoteShards(self._server, self._index)
        self._layouts: dict[str, Layout] = {}

    def meta(self) -> dict[str, Any]:
        """See `Source`."""
        with self._renamed():
            return manifest.read(self.path)

    def units(self) -> list[str]:
        """See `Source`; from the index, or from the server's list of files if there is no index."""
        if self._index:
            return list(self._index.units)
        try:
            return self._listed(places.NETS)
        except DataError as error:
            raise DataError(
                self.name,
                f"has no index that can be read, and no list of its files ({error.cause})",
                "run `weightspace index` where it lies",
            ) from None

    def tables(self, table: str, units: list[str]) -> list[pa.Table]:
        """See `Source`."""
        with self._renamed():
            if self._index:
                files = self._index.files[table]
                if len(files) > _MOST_FILES:
                    raise self._too_many(f"index names {len(files):,} files")
                noted = {f"index/{name}": file.size for name, file in files.items()}
                self._fetch(list(noted), noted)
                return [index.read_table(self.path, self._index, table)]
            self._fetch([f"{table}/{unit}{places.SUFFIX[table]}" for unit in units])
            return index.read_parts(self.path, table, units)

    def layout(self, key: str) -> Layout:
        """See `Source`."""
        if key not in self._layouts:
            with self._renamed():
                file = f"{places.LAYOUTS}/{places.layout_path(self.path, key).name}"
                if self._index and file not in self._kept:
                    self._unpack_layouts(self._index)
                self._fetch([file])
                self._layouts[key] = layouts.read_layout(self.path, key)
        return self._layouts[key]

    def rounds(self) -> dict[int, Round]:
        """See `Source`; empty if the server does not list the files."""
        try:
            stems = self._listed(places.ROUNDS)
        except DataError:
            return {}
        self._fetch([f"{places.ROUNDS}/{stem}{places.SUFFIX[places.ROUNDS]}" for stem in stems])
        with self._renamed():
            return rounds.read(self.path)

    def _listed(self, folder: str) -> list[str]:
        """The names in a folder that are valid names of stacks; other names are ignored."""
        suffix = places.SUFFIX[folder]
        names = self._server.names(folder)
        stems = {name.removesuffix(suffix) for name in names if name.endswith(suffix)}
        found = sorted(filter(_is_unit, stems))
        if len(found) > _MOST_FILES:
            raise self._too_many(f"{folder} has {len(found):,} files")
        return found

    def _fetched_index(self) -> index.Index | None:
        try:
            self._fetch([f"index/{index.CONTENTS}"])
        except DataError:
            return None
        return index.read(self.path)

    def _unpack_layouts(self, found: index.Index) -> None:
        (table,) = self.tables(places.LAYOUTS, [])
        for key, text in zip(table["key"].to_pylist(), table["json"].to_pylist(), strict=True):
            self._keep(f"{places.LAYOUTS}/{places.layout_path(self.path, key).name}", text.encode())

    def _fetch(self, names: Sequence[str], sizes: Mapping[str, int] | None = None) -> None:
        """Fetch files into the temporary folder, some at a time, up to `sizes` where known."""
        sizes = sizes or {}
        missing = [name for name in names if name not in self._kept]
        if sum(sizes.get(name, 0) for name in missing) > self._room:
            raise self._too_much()
        most = {name: min(_most(name), sizes.get(name, _most(name))) for name in missing}
        guess = _HELD // min(len(missing) or 1, _WINDOW)
        guessed = {name: min(most[name], sizes.get(name, guess)) for name in missing}
        for some in _windows(guessed):
            for name, data in zip(
                some, self._server.whole([(name, guessed[name]) for name in some]), strict=True
            ):
                if data is None and guessed[name] < most[name]:
                    (data,) = self._server.whole([(name, most[name])])
                if data is None:
                    raise self._too_long(name, most[name])
                self._keep(name, data)

    def _keep(self, name: str, data: bytes | bytearray) -> None:
        """Write a file into the temporary folder; its name may come from the server."""
        place = InnerPath(self.path, tuple(name.split("/")))
        with self._lock if os.getpid() == self._owner else nullcontext():
            if name in self._kept:
                return
            if len(data) > self._room:
                raise self._too_much()
            try:
                disk.make_folder(place.parent)
                if os.getpid() == self._owner:
                    with suppress(FileExistsError):  # a forked worker wrote it already
                        disk.put(place, bytes(data))
                else:  # the parent and its other workers may use the folder at this moment
                    disk.write_file(place, bytes(data))
            except OSError as error:
                disk.remove(place)
                raise DataError(
                    self.name,
                    f"its tables cannot be kept in {self.path} ({error.strerror})",
                    "free space there, or name another folder in TMPDIR",
                ) from None
            self._room -= len(data)
            self._kept.add(name)

    def _too_long(self, name: str, most: int) -> DataError:
        return DataError(
            f"{self.name}/{name}",
            f"has more than {most:,} bytes, more than any zoo needs",
            "fetch the zoo anew from where it was made",
        )

    def _too_much(self) -> DataError:
        return DataError(
            self.name,
            f"its tables have more than {_MOST_FETCHED:,} bytes",
            "copy the zoo to this machine and read it here",
        )

    def _too_many(self, what: str) -> DataError:
        return DataError(
            self.name,
            f"its {what}, at most {_MOST_FILES:,} can be read",
            "run `weightspace index` where it lies",
        )

    @contextmanager
    def _renamed(self) -> Iterator[None]:
        """Errors about fetched files name the URL instead of the temporary folder."""
        try:
            yield
        except DataError as error:
            here, there = str(self.path), self.name
            raise error.but(
                thing=error.thing.replace(here, there),
                cause=error.cause.replace(here, there),
                remedy=error.remedy.replace(here, there),
            ) from None


def _is_unit(stem: str) -> bool:
    try:
        places.check_unit(stem)
    except UsageError:
        return False
    return True


def _most(name: str) -> int:
    return _MOST[name if name in _MOST else name.partition("/")[0]]


def _windows(guessed: Mapping[str, int]) -> Iterator[list[str]]:
    """Names to request together, so that the answers fit in memory."""
    some: list[str] = []
    held = 0
    for name, size in guessed.items():
        if some and (len(some) == _WINDOW or held + size > _HELD):
            yield some
            some, held = [], 0
        some.append(name)
        held += size
    if some:
        yield some


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked worker: its parent still needs the folder
        with suppress(OSError, DataError):
            disk.remove_tree(inner_of(folder))
