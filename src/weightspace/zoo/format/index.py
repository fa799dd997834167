"""The index: all tables of a zoo in a few files, so that it opens fast, also over a network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from weightspace import disk
from weightspace.disk import InnerPath, explained, write_file
from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress, silent
from weightspace.zoo.files import places
from weightspace.zoo.files.sealed import seal, unseal
from weightspace.zoo.files.shardfiles import OpenShard
from weightspace.zoo.format import layouts, manifest, tables

CONTENTS = "contents.json"
_OWN = re.compile(r"(nets|snapshots|layouts)-\d{3,}-[0-9a-f]{32}\.parquet")
_VERSION = 1
_ENTRIES = ("version", "units", "files")
_LARGEST = 2**28  # bytes of contents.json
_MOST_BYTES = 2**32  # of one table of all stacks: some 30 million snapshots
_MANY = 200  # stacks; the tables of so many take some tenths of a second to read
_ROWS = 100_000  # in one file
_GROUP = 1_000  # in one row group: large groups are decoded in small steps
_LAYOUTS = pa.schema(
    [pa.field("key", pa.string(), nullable=False), pa.field("json", pa.string(), nullable=False)]
)
TABLES = {
    places.NETS: tables.NETS,
    places.SNAPSHOTS: tables.SNAPSHOTS,
    places.LAYOUTS: _LAYOUTS,
}


@dataclass(frozen=True)
class File:
    """What the index knows of a file: its size, the BLAKE2b hash of its bytes and its row count."""

    size: int
    digest: str
    rows: int

    @classmethod
    def of(cls, data: bytes, rows: int) -> File:
        """The description of a file with these bytes."""
        return cls(len(data), _digest(data), rows)

    def matches(self, data: bytes) -> bool:
        """Whether these are exactly the bytes that were described."""
        return len(data) == self.size and _digest(data) == self.digest

    def read(self, place: InnerPath) -> bytes | None:
        """The bytes of the file at `place` if they are those that were described, else None."""
        try:
            data = disk.read_bytes(place, self.size)
        except (OSError, DataError):
            return None
        return data if self.matches(data) else None


@dataclass(frozen=True)
class Unit:
    """A stack as it was indexed: its two table files, and where the data of its shard lies."""

    nets: File
    snapshots: File
    start: int
    end: int


@dataclass(frozen=True)
class Index:
    """The contents of an index: the stacks in the order of their rows, and its files by table."""

    units: dict[str, Unit]
    files: dict[str, dict[str, File]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        units = {
            name: [*vars(one.nets).values(), *vars(one.snapshots).values(), one.start, one.end]
            for name, one in self.units.items()
        }
        files = {
            table: {name: list(vars(file).values()) for name, file in those.items()}
            for table, those in self.files.items()
        }
        return {"version": _VERSION, "units": units, "files": files}

    @classmethod
    def from_json(cls, text: bytes) -> Index:
        """Parse what `to_dict` gave as JSON; ValueError if the text is not an index."""
        try:
            plain = unseal(json.loads(text), _ENTRIES)
            if plain["version"] != _VERSION:
                raise ValueError(f"it is of version {plain['version']}")
            units = {
                name: Unit(_file(row[:3]), _file(row[3:6]), _whole(row[6]), _whole(row[7]))
                for name, row in plain["units"].items()
            }
            files = {
                table: {name: _file(row) for name, row in plain["files"][table].items()}
                for table in TABLES
            }
            for name in (*units, *(n.removesuffix(".parquet") for t in files.values() for n in t)):
                places.check_unit(name)
        except (TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
            raise ValueError(f"it lacks something ({error!r})") from None
        except UsageError as error:
            raise ValueError(str(error)) from None
        return cls(units, files)


FOLDER = "index"


def folder(path: Path) -> Path:
    """The folder of a zoo's index."""
    return path / FOLDER


def place(path: Path) -> InnerPath:
    """The folder of a zoo's index, as a path that the module `disk` can open."""
    return InnerPath(path) / FOLDER


def read(path: Path) -> Index | None:
    """The index of the zoo at `path`; None if there is none or it is damaged."""
    try:
        return Index.from_json(disk.read_bytes(place(path) / CONTENTS, _LARGEST))
    except (OSError, ValueError, DataError):
        return None


def read_table(path: Path, index: Index, table: str) -> pa.Table:
    """One table of the index; DataError if its files are not those that the index describes."""
    parts = []
    for name, file in index.files[table].items():
        there = place(path) / name
        data = file.read(there)
        if data is None:
            raise DataError(there, "is damaged or missing", _AGAIN)
        parts.append(tables.parse(data, there, TABLES[table]))
        if parts[-1].num_rows != file.rows:
            raise DataError(there, "has another number of rows than the index states", _AGAIN)
    return tables.join(parts, TABLES[table])


def read_parts(path: Path, table: str, units: Sequence[str]) -> list[pa.Table]:
    """Tables that together hold the rows of all `units`, from the index where it is up to date.

    The rows of a stack are taken from the index if the stack's own table file is, byte for byte,
    the one that was indexed. Otherwise the stack's file is read. So an old or a damaged index does
    no harm.
    """
    index = read(path)
    rest, found = list(units), []
    with ThreadPoolExecutor(8) as pool:
        if index:
            known = [unit for unit in units if unit in index.units]
            same = pool.map(partial(_is_same, path, table, index), known)
            good = {unit for unit, is_same in zip(known, same, strict=True) if is_same}
            try:
                found = _rows_of(read_table(path, index, table), index, table, good)
                rest = [unit for unit in units if unit not in good]
            except DataError:  # the files of the stacks hold the same
                found = []
        files = [places.part(path, table, unit) for unit in rest]
        held = 0
        for part in pool.map(lambda file: tables.read(file, TABLES[table]), files):
            found.append(part)
            if (held := held + part.nbytes) > _MOST_BYTES:
                raise DataError(
                    path, f"its tables take more than {_MOST_BYTES:,} bytes", "split the zoo"
                )
    return found


def lies(path: Path, index: Index) -> Iterator[str]:
    """Find unchanged files whose content the index gives differently."""
    for table in (places.NETS, places.SNAPSHOTS):
        rows = read_table(path, index, table)
        for unit in index.units:
            part = places.part(path, table, unit)
            with suppress(DataError):  # damaged files are reported elsewhere
                if _is_same(path, table, index, unit):
                    (said,) = _rows_of(rows, index, table, {unit}) or [rows.slice(0, 0)]
                    there = tables.join([tables.read(part, TABLES[table])], TABLES[table])
                    said = tables.join([said, there.slice(0, 0)], TABLES[table])
                    own = tables.join([there, rows.slice(0, 0)], TABLES[table])
                    # Stacks may have different further columns, which stand in another order then.
                    if not said.equals(own.select(said.column_names)):
                        yield part.thing
    said_of = read_table(path, index, places.LAYOUTS).to_pydict()
    for key, text in zip(said_of["key"], said_of["json"], strict=True):
        with suppress(DataError):
            if layouts.read_layout(path, key).to_json() != text:
                yield places.layout_path(path, key).thing
    for unit, noted in index.units.items():
        with suppress(DataError):
            shard = OpenShard(places.part(path, places.SHARDS, unit))
            if (noted.start, noted.end) != (shard.first, shard.size):
                yield places.part(path, places.SHARDS, unit).thing


def write(path: str | Path, progress: Progress = silent) -> Path:
    """Write the index of a zoo, replacing an older one.

    Parameters
    ----------
    path : str or Path
        The folder of the zoo.
    progress : callable, optional
        Called as `progress(task, done, total)` after each stack.

    Returns
    -------
    Path
        The folder of the index.

    Raises
    ------
    DataError
        If `path` is not a zoo or one of its files is damaged. Run `weightspace check` to see all
        damage.
    """
    path = Path(path)
    manifest.read(path)
    names = places.units(path, places.NETS)
    parts: dict[str, list[pa.Table]] = {places.NETS: [], places.SNAPSHOTS: []}
    units = {}
    for i, name in enumerate(names):
        noted = []
        for table, read_so_far in parts.items():
            file = places.part(path, table, name)
            data = tables.content(file)
            read_so_far.append(tables.parse(data, file, TABLES[table]))
            noted.append(File.of(data, read_so_far[-1].num_rows))
        shard = OpenShard(places.part(path, places.SHARDS, name))
        units[name] = Unit(noted[0], noted[1], shard.first, shard.size)
        progress("indexing the zoo", i + 1, len(names))
    joined = {table: tables.join(those, TABLES[table]) for table, those in parts.items()}
    joined[places.LAYOUTS] = _layouts(path, joined[places.NETS])
    files = {table: _write_table(path, table, one) for table, one in joined.items()}
    text = json.dumps(seal(Index(units, files).to_dict()), separators=(",", ":"))
    write_file(place(path) / CONTENTS, text.encode() + b"\n")
    current = {CONTENTS, *(name for those in files.values() for name in those)}
    for stale in disk.names(place(path)):
        if stale not in current and _OWN.fullmatch(stale):
            disk.remove(place(path) / stale)
    disk.remove_leftovers(place(path))
    return folder(path)


def refresh(path: Path, progress: Progress = silent) -> None:
    """Write the index of a large zoo if it does not cover the current stacks.

    Zoos of few stacks open fast without an index, so nothing is written for them, and nothing if a
    file of the zoo is damaged.

    Parameters
    ----------
    path : Path
        The folder of the zoo.
    progress : callable, optional
        Called as `progress(task, done, total)` after each stack.
    """
    names, known = places.units(path, places.NETS), read(path)
    if len(names) >= _MANY and (known is None or set(known.units) != set(names)):
        with suppress(DataError):
            write(path, progress)


_AGAIN = "run `weightspace index`"


def _layouts(path: Path, nets: pa.Table) -> pa.Table:
    keys = sorted(set(nets["layout"].to_pylist()))
    texts = [layouts.read_layout(path, key).to_json() for key in keys]
    return pa.Table.from_arrays([pa.array(keys, pa.string()), pa.array(texts, pa.string())],
                                schema=_LAYOUTS)  # fmt: skip


def _write_table(path: Path, table: str, rows: pa.Table) -> dict[str, File]:
    """Write the table in files of some rows each, named by their hash: old files stay readable."""
    with explained(place(path)):
        disk.make_folder(place(path))
    files = {}
    for first in range(0, max(rows.num_rows, 1), _ROWS):
        part = tables.marked(rows.slice(first, _ROWS))
        data = tables.to_bytes(part, group=_GROUP)
        file = File.of(data, part.num_rows)
        name = f"{table}-{first // _ROWS:03d}-{file.digest}.parquet"
        write_file(place(path) / name, data)
        files[name] = file
    return files


def _rows_of(table: pa.Table, index: Index, kind: str, units: set[str]) -> list[pa.Table]:
    """The rows of these stacks, in as few pieces as possible."""
    counts = [vars(unit)[kind].rows for unit in index.units.values()]
    if sum(counts) != table.num_rows:
        raise DataError("the index", "has rows of other stacks than it lists", _AGAIN)
    spans: list[list[int]] = []
    at = 0
    for name, count in zip(index.units, counts, strict=True):
        if name in units:
            if spans and spans[-1][1] == at:
                spans[-1][1] += count
            else:
                spans.append([at, at + count])
        at += count
    return [table.slice(low, high - low) for low, high in spans]


def _is_same(path: Path, table: str, index: Index, unit: str) -> bool:
    file: File = vars(index.units[unit])[table]
    return file.read(places.part(path, table, unit)) is not None


def _file(row: Sequence[Any]) -> File:
    size, digest, rows = row
    if not isinstance(digest, str):
        raise ValueError("a hash that is not text")
    return File(_whole(size), digest, _whole(rows))


def _whole(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r} in place of a size")
    return value


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()
