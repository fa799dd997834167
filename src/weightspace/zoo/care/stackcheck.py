"""The checks of one stack: its two tables, its shard and its layout against one another."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.zoo.care.findings import Finding, from_error, naming
from weightspace.zoo.files import hashing, places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.files.places import REPAIR
from weightspace.zoo.files.shard import Header
from weightspace.zoo.format import tables
from weightspace.zoo.format.layouts import read_layout

_Wrong = tuple[str, int, str]
"""Net, snapshot, and what is wrong."""


@dataclass(frozen=True)
class Seen:
    """What earlier stacks contain: the stack of each net, positions in the draw, nets by layout."""

    where: dict[str, str]
    present: set[int]
    layouts: dict[str, list[str]]


class StackCheck:
    """The checks of one committed stack."""

    def __init__(self, path: Path, name: str, dtype: Dtype, seen: Seen) -> None:
        self.path, self.name, self.dtype, self.seen = path, name, dtype, seen
        self.shard = places.part(path, places.SHARDS, name)

    def findings(self, full: bool, progress: Callable[[float], None]) -> Iterator[Finding]:
        """Everything that is wrong with the stack; `full` also reads its vectors."""
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
            found = DataError(self.shard, f"cannot be opened ({error.strerror})", "sample again")
            yield self._again(found, places.SHARDS, names)
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
            raise DataError(self.shard, "is missing", "sample again")
        size = disk.size(self.shard)
        if size != facts.bytes:
            what = f"has {size:,} bytes, but {facts.bytes:,} were written"
            raise DataError(self.shard, what, "sample again")
        header = shard.read(self.shard, self.dtype)
        expected = (self.shard.name, facts.snapshots, facts.header)
        if (facts.shard, header.rows, header.checksum) != expected:
            raise DataError(self.shard, "its header is not the one written", "sample again")
        return header

    def _nets(self, rows: list[dict[str, Any]], header: Header | None) -> Iterator[Finding]:
        for net, count in Counter(row["net"] for row in rows).items():
            if count > 1:
                yield self._error(places.NETS, f"net {net} is in it {count} times")
            if other := self.seen.where.get(net):
                yield self._error(places.NETS, f"net {net} is also in stack {other}")
            self.seen.where[net] = self.name
        for row in rows:
            if row["unit"] != self.name:
                message = f"net {row['net']} names another stack, {row['unit']}"
                yield self._error(places.NETS, message)
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
                continue  # reported once, with the nets of all stacks
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
                yield net, snapshot, "has two rows"
            elif row["shard"] != self.shard.name:
                shown = printable(repr(row["shard"]), 60)
                yield net, snapshot, f"names the shard {shown}, which belongs to another stack"
            elif (row["offset"], row["length"]) != (
                header.offset(positions[net], snapshot),
                header.columns,
            ):
                yield net, snapshot, "has a wrong offset or length"
            elif not re.fullmatch("[0-9a-f]{16}", row["checksum"]):
                yield net, snapshot, "has no checksum"
            seen.add((net, snapshot))

    def _values(
        self, rows: list[dict[str, Any]], header: Header | None, progress: Callable[[float], None]
    ) -> Iterator[_Wrong]:
        """Read every vector; those in no table must be zero."""
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
        """Join the snapshots of a net that have the same problem in one finding."""
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
        return Finding("error", thing, message, REPAIR)

    def _again(self, error: DataError, folder: str, nets: Sequence[str]) -> Finding:
        """The finding for an error that concerns a whole file, with the nets in it."""
        found = from_error(error, "")
        return naming(self._error(folder, found.message), nets)


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
