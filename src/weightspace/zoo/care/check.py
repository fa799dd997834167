"""`check`: everything that can be wrong with a zoo on disk, found and named."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.progress import Progress, silent
from weightspace.zoo.files import hashing, places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.files.shard import Header
from weightspace.zoo.format import index, manifest, rounds, states, tables
from weightspace.zoo.format.layouts import read_layout
from weightspace.zoo.reading.reader import Zoo

_SEVERITIES = ("error", "warning", "info")

_Wrong = tuple[str, int, str]
"""Net, snapshot, and what is wrong with it."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    `severity` is "error" (part of the zoo is damaged), "warning" (a sampling run was stopped;
    readers are not affected) or "info"; `thing` the file, relative to the zoo; `message` what is
    wrong with it, naming net and snapshots, or the first of many nets; `remedy` what to do.
    """

    severity: str
    thing: str
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.thing}: {self.message}; {self.remedy}"


def check(path: str | Path, full: bool = False, progress: Progress = silent) -> list[Finding]:
    """Everything wrong with the zoo at `path`, errors first; an empty list for a sound one.

    Tables, sizes, headers and layouts are compared with one another; `full` also reads every
    vector and compares it with its checksum. Raises `DataError` where there is no zoo at all.
    """
    path = Path(path)
    if not any((path / name).exists() for name in (places.MANIFEST, *places.FOLDERS)):
        manifest.read(path)  # raises: it is none
    try:
        dtype = manifest.dtype(manifest.read(path))
    except DataError as error:
        return [_finding(error, path, places.MANIFEST)]
    if led_out := list(links(path)):
        return led_out  # nothing is looked at behind them
    findings = [*_leftovers(path), *_half_written(path), *_strangers(path), *_states(path, full)]
    findings += [*_unrepaired(path), *_index(path)]
    seen = _Seen({}, set(), defaultdict(list))
    units = places.units(path, places.NETS)
    for i, unit in enumerate(units):
        report = partial(_tell, progress, i, len(units))
        findings += _Unit(path, unit, dtype, seen).findings(full, report)
        report(1.0)
    findings += [*_layouts(path, seen.layouts), *_rounds(path, seen.present)]
    if not any(finding.severity == "error" for finding in findings):
        findings += _opened(path)
    return sorted(findings, key=lambda f: (_SEVERITIES.index(f.severity), f.thing))


def _tell(progress: Progress, done: int, total: int, share: float) -> None:
    progress("checking the zoo", done + share, total)


def links(path: Path) -> Iterator[Finding]:
    """Folders of the zoo that are links, or no folders: no command goes through them."""
    root, aside = InnerPath(path), InnerPath(path) / places.ASIDE
    folders = [root / name for name in (*places.FOLDERS, places.STATES, index.FOLDER, places.ASIDE)]
    if disk.is_folder(aside):
        numbered = [aside / name for name in disk.names(aside) if name.isdecimal()]
        folders += numbered
        folders += [one / places.KEPT for one in numbered if disk.is_folder(one)]
    for folder in folders:
        if disk.exists(folder) and not disk.is_folder(folder):
            message = "is a link or no folder, and is not followed"
            yield Finding("error", folder.thing, message, "put the folder itself there")


def _opened(path: Path) -> Iterator[Finding]:
    """What shows only when all parts are taken together, as every reader takes them."""
    try:
        zoo = Zoo(path)
        _ = zoo.snapshots, zoo.rounds  # read when they are asked for
    except DataError as error:
        yield _finding(error, path, places.NETS)


def _leftovers(path: Path) -> Iterator[Finding]:
    names = (*places.FOLDERS, places.STATES)
    stands_on = {states.shard_of(path, unit) for unit in places.units(path, places.STATES)}
    root = InnerPath(path)
    for folder in (root, *(root / name for name in names)):
        for file in disk.temporaries(folder):
            if file.name in stands_on:
                continue
            thing = file.thing
            if disk.is_being_written(file):
                yield Finding("info", thing, "is being written", "nothing needs to be done")
            else:
                message = "was left unfinished by a writer that was stopped"
                yield Finding("warning", thing, message, f"{_RESUME}, or delete it")


def _half_written(path: Path) -> Iterator[Finding]:
    committed = set(places.units(path, places.NETS))
    for folder in (places.SHARDS, places.SNAPSHOTS):
        for unit in places.units(path, folder):
            if unit not in committed:
                thing = f"{folder}/{unit}{places.SUFFIX[folder]}"
                message = f"unit {unit} is half-written, it has no part in nets and does not count"
                yield Finding("warning", thing, message, f"{_RESUME}, or delete it")


def _states(path: Path, full: bool) -> Iterator[Finding]:
    """Units in the middle of their training; readers know nothing of them."""
    folder = InnerPath(path) / places.STATES
    for file in (folder / name for name in disk.names(folder) if not name.startswith(".")):
        thing, unit = file.thing, file.stem
        shard_name = states.shard_of(path, unit)
        if file.suffix == states.ASIDE:
            message = "is a state that could not be used"
            yield Finding("info", thing, message, "delete it, or finish the unit")
        elif file.suffix != places.SUFFIX[places.STATES]:
            yield Finding("info", thing, "is no file of the zoo, readers ignore it", _MOVE)
        elif not shard_name or (full and not _readable(path, unit)):
            message = "is damaged, the unit will be trained from its beginning"
            yield Finding("warning", thing, message, _RESUME)
        elif disk.is_being_written(InnerPath(path) / places.SHARDS / shard_name):
            yield Finding("info", thing, f"unit {unit} is in training", "nothing needs to be done")
        else:
            message = f"unit {unit} was stopped in the middle of its training, its state is kept"
            yield Finding("warning", thing, message, _RESUME)


def _readable(path: Path, unit: str) -> bool:
    try:
        return states.read(path, unit) is not None
    except DataError:
        return False


def _strangers(path: Path) -> Iterator[Finding]:
    for folder in places.FOLDERS:
        known = {f"{stem}{places.SUFFIX[folder]}" for stem in places.units(path, folder)}
        for name in disk.names(InnerPath(path) / folder):
            if name not in known and not disk.is_temporary(name):
                message = "is no file of the zoo, readers ignore it"
                yield Finding("info", f"{folder}/{name}", message, _MOVE)


def _unrepaired(path: Path) -> Iterator[Finding]:
    for folder in places.unfinished_repairs(path):
        message = "a repair was stopped before it gave these nets back"
        remedy = "run `weightspace repair` again"
        yield Finding("warning", folder.thing, message, remedy)


def _index(path: Path) -> Iterator[Finding]:
    """Readers of a damaged or an old index take the parts themselves, and longer."""
    if not disk.exists(index.place(path) / index.CONTENTS):
        return
    found = index.read(path)
    try:
        if found:
            for table in index.TABLES:
                index.read_table(path, found, table)
    except DataError:
        found = None
    again = "run `weightspace index` again"
    if found is None:
        yield Finding("warning", "index", "is damaged, readers here do without it", again)
    elif wrong := next(index.lies(path, found), ""):
        yield Finding("error", index.FOLDER, f"says other things than {wrong}", again)
    elif set(found.units) != set(places.units(path, places.NETS)):
        yield Finding("info", "index", "is of other units than the zoo has now", again)


def _rounds(path: Path, present: set[int]) -> Iterator[Finding]:
    """What was to be sampled and is not there, from the nets' positions in the draw."""
    try:
        found = rounds.read(path)
    except DataError as error:
        yield _finding(error, path, str(error).removeprefix(f"{path}/").split(": ", 1)[0])
        return
    there = np.array(sorted(present), np.int64)
    for number, one in found.items():
        if missing := one.count - int(one.held(there).sum()):
            thing = rounds.file_of(path, number).thing
            message = f"{missing:,} of its {one.count:,} nets are not in the zoo"
            yield Finding("warning", thing, message, _RESUME.replace("the unit", "it"))


def _layouts(path: Path, found: Mapping[str, Sequence[str]]) -> Iterator[Finding]:
    """Layouts that cannot be read, each with the nets that have it."""
    for key, nets in found.items():
        try:
            read_layout(path, key)
        except DataError as error:
            thing = f"{places.LAYOUTS}/{key}{places.SUFFIX[places.LAYOUTS]}"
            yield _naming(_finding(error, path, thing), nets)


@dataclass(frozen=True)
class _Seen:
    """What the units before held: the unit of each net, positions in the draw, nets by layout."""

    where: dict[str, str]
    present: set[int]
    layouts: dict[str, list[str]]


class _Unit:
    """The checks of one committed unit."""

    def __init__(self, path: Path, name: str, dtype: Dtype, seen: _Seen) -> None:
        self.path, self.name, self.dtype, self.seen = path, name, dtype, seen
        self.shard = places.part(path, places.SHARDS, name)

    def findings(self, full: bool, progress: Callable[[float], None]) -> Iterator[Finding]:
        nets = moments = header = None
        file = places.part(self.path, places.NETS, self.name)
        try:
            nets = tables.read(file, tables.NETS)
            facts = tables.facts(file, nets)
        except DataError as error:
            yield self._again(error, places.NETS, self._named_by_header())
            return
        rows = nets.to_pylist()
        names = [row["net"] for row in rows]
        try:
            file = places.part(self.path, places.SNAPSHOTS, self.name)
            most = nets.num_rows * max(facts.snapshots, 0)
            moments = tables.read(file, tables.SNAPSHOTS, most).to_pylist()
        except DataError as error:
            yield self._again(error, places.SNAPSHOTS, names)
        try:
            header = self._header(facts)
        except OSError as error:
            why = f"{self.shard}: cannot be opened ({error.strerror}); sample again"
            yield self._again(DataError(why), places.SHARDS, names)
        except DataError as error:
            yield self._again(error, places.SHARDS, names)
        self.seen.present.update(row["index"] for row in rows)
        yield from self._nets(rows, header)
        yield from self._layouts(rows, header)
        if moments is not None:
            wrong = list(self._moments(moments, header, set(names))) if header else []
            yield from self._by_net(places.SNAPSHOTS, wrong)
            if full and not wrong and disk.is_file(self.shard):
                yield from self._by_net(places.SHARDS, self._values(moments, header, progress))

    def _header(self, facts: tables.ShardFacts) -> Header:
        if not disk.exists(self.shard):
            raise DataError(f"{self.shard}: is missing; sample again")
        size = disk.size(self.shard)
        if size != facts.bytes:
            raise DataError(
                f"{self.shard}: has {size:,} bytes where {facts.bytes:,} were written; sample again"
            )
        header = shard.read(self.shard, self.dtype)
        expected = (self.shard.name, facts.snapshots, facts.header)
        if (facts.shard, header.rows, header.checksum) != expected:
            raise DataError(f"{self.shard}: its header is not the one written; sample again")
        return header

    def _nets(self, rows: list[dict[str, Any]], header: Header | None) -> Iterator[Finding]:
        for net, count in Counter(row["net"] for row in rows).items():
            if count > 1:
                yield self._error(places.NETS, f"net {net} stands in it {count} times")
            if other := self.seen.where.get(net):
                yield self._error(places.NETS, f"net {net} also stands in unit {other}")
            self.seen.where[net] = self.name
        for row in rows:
            if row["unit"] != self.name:
                yield self._error(places.NETS, f"net {row['net']} says it is of unit {row['unit']}")
            if row["split"] not in ("train", "test"):
                yield self._error(places.NETS, f"net {row['net']} is in split {row['split']!r}")
        if header and (odd := {row["net"] for row in rows} ^ set(header.nets)):
            message = f"net {min(odd)} is in only one of the table and the shard"
            yield self._error(places.NETS, message)

    def _layouts(self, rows: list[dict[str, Any]], header: Header | None) -> Iterator[Finding]:
        for row in rows:
            self.seen.layouts[row["layout"]].append(row["net"])
        for key in sorted({row["layout"] for row in rows}):
            try:
                size = read_layout(self.path, key).size
            except DataError:
                continue  # told once, with the nets of all units
            if header and size != header.columns:
                message = (
                    f"the layout {key} has {size:,} values, the shard's vectors {header.columns:,}"
                )
                yield self._error(places.NETS, message)

    def _moments(
        self, rows: list[dict[str, Any]], header: Header, nets: set[str]
    ) -> Iterator[_Wrong]:
        positions = {net: i for i, net in enumerate(header.nets)}
        seen = set()
        for row in rows:
            net, snapshot = row["net"], row["snapshot"]
            if net not in nets or net not in positions or not 1 <= snapshot <= header.rows:
                yield net, snapshot, "there is no such vector"
            elif (net, snapshot) in seen:
                yield net, snapshot, "stands in it twice"
            elif row["shard"] != self.shard.name:
                shown = printable(repr(row["shard"]), 60)
                yield net, snapshot, f"names the shard {shown}, which is not that of its unit"
            elif (row["offset"], row["length"]) != (
                header.offset(positions[net], snapshot),
                header.columns,
            ):
                yield net, snapshot, "does not say where its values lie"
            elif not re.fullmatch("[0-9a-f]{16}", row["checksum"]):
                yield net, snapshot, "has no checksum"
            seen.add((net, snapshot))

    def _values(
        self, rows: list[dict[str, Any]], header: Header | None, progress: Callable[[float], None]
    ) -> Iterator[_Wrong]:
        """Read every vector: the listed against their checksums, the others for being zero."""
        for at in hashing.damaged(self.shard, rows, self.dtype.size, progress):
            yield rows[at]["net"], rows[at]["snapshot"], "its values are damaged"
        if header is None:
            return
        listed = {(row["net"], row["snapshot"]) for row in rows}
        with disk.open_file(self.shard) as file:
            for i, net in enumerate(header.nets):
                for snapshot in range(1, header.rows + 1):
                    if (net, snapshot) in listed:
                        continue
                    file.seek(header.offset(i, snapshot))
                    data = file.read(header.length)
                    if data.count(0) < len(data):
                        yield net, snapshot, "has values but is in no table"

    def _by_net(self, folder: str, wrong: Iterable[_Wrong]) -> Iterator[Finding]:
        """One finding for all snapshots of a net that have the same wrong with them."""
        found: dict[tuple[str, str], list[int]] = defaultdict(list)
        for net, snapshot, what in wrong:
            found[net, what].append(snapshot)
        for (net, what), snapshots in found.items():
            yield self._error(folder, f"net {net}, {_spans(snapshots)}: {what}")

    def _named_by_header(self) -> Sequence[str]:
        try:
            return shard.read(self.shard, self.dtype).nets
        except DataError:
            return ()

    def _error(self, folder: str, message: str) -> Finding:
        thing = f"{folder}/{self.name}{places.SUFFIX[folder]}"
        return Finding("error", thing, message, _REPAIR)

    def _again(self, error: DataError, folder: str, nets: Sequence[str]) -> Finding:
        """An error about a whole file, with the nets that it is about."""
        found = _finding(error, self.path, "")
        return _naming(self._error(folder, found.message), nets)


def _naming(found: Finding, nets: Sequence[str]) -> Finding:
    """The finding, with the first of the nets that its file holds."""
    if not nets:
        return found
    more = f" and {len(nets) - 1:,} more" if len(nets) > 1 else ""
    message = f"{found.message}, which concerns net {printable(nets[0], 64)}{more}"
    return dataclasses.replace(found, message=message)


def _spans(numbers: Sequence[int]) -> str:
    """Snapshots in few words, such as "snapshot 7" or "snapshots 1-3, 9"."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ", ".join(f"{low}" if low == high else f"{low}-{high}" for low, high in spans)
    return (
        f"snapshot {text}"
        if len(spans) == 1 and spans[0][0] == spans[0][1]
        else f"snapshots {text}"
    )


_MOVE = "move it elsewhere"
_RESUME = "run the same `weightspace sample` command again to finish the unit"
_REPAIR = "run `weightspace repair`, then the same `weightspace sample` command again"


def _finding(error: DataError, path: Path, thing: str) -> Finding:
    """An error's line, `file: what is wrong; remedy`, taken apart."""
    message, _, remedy = str(error).rpartition("; ")
    message = message.removeprefix(str(path)).removeprefix(f"/{thing}").lstrip("/")
    return Finding("error", thing, message.split(": ", 1)[-1], remedy)
