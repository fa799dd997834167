"""`Writer`: nets into a zoo, unit by unit, each there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath, Temporary, explained, remove_leftovers, write_file
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.space import Space
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.dtypes import FLOAT32, Dtype
from weightspace.zoo.files.sealed import seal
from weightspace.zoo.format import layouts, manifest, rounds, states, tables
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.format.states import Saved
from weightspace.zoo.format.tables import Row, ShardFacts
from weightspace.zoo.reading.nets import read_nets
from weightspace.zoo.reading.source import Folder


class Writer:
    """Creates a zoo, or opens the same zoo again to continue it.

    `info` is what else is worth keeping in `zoo.json` (plain JSON values); its `snapshots`, if
    given, is part of the zoo's identity together with space, seed and `dtype`. Its `versions` and
    `created` replace the defaults of those fields. `dtype` "bfloat16" halves the zoo: values are
    rounded to the nearest of 8 significant bits when they are put. Any number of processes may
    hold a writer of one zoo. Raises `UsageError`, with nothing touched, where the directory holds
    another zoo or other files, and `DataError` where it cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        space: Space,
        seed: int,
        info: Mapping[str, Any] | None = None,
        dtype: str = FLOAT32.name,
    ) -> None:
        places.refuse_url(path)
        self.path = Path(path)
        here = manifest.compose(space, seed, dict(info or {}), dtype)
        root = InnerPath(self.path)
        with explained(self.path):
            if not disk.exists(root / places.MANIFEST):
                _refuse_foreign(root)
                _create(root, here)
        self.meta = manifest.read(self.path)
        manifest.refuse_other(self.path, self.meta, here)
        with explained(self.path):
            for folder in places.FOLDERS:
                disk.make_folder(root / folder)
        remove_leftovers(root)
        remove_leftovers(root / places.ROUNDS)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Remove what was begun and then finished by another process."""
        finished = self.finished
        for unit in finished.intersection(places.units(self.path, places.STATES)):
            states.remove(self.path, unit)
        for folder in (places.SHARDS, places.SNAPSHOTS, places.NETS):
            place = InnerPath(self.path) / folder
            for file in disk.temporaries(place):
                if (unit := file.name.split(".")[1]) in finished:
                    remove_leftovers(place, unit)

    @property
    def finished(self) -> set[str]:
        """The names of the units that are committed, by whomever."""
        return set(places.units(self.path, places.NETS))

    @property
    def nets(self) -> set[str]:
        """The ids of the nets that are committed; DataError where a part of theirs is damaged."""
        source = Folder(self.path)
        return set(read_nets(source, source.units())["net"])

    def begin(self, number: int, added: Round) -> bool:
        """Add round `number`; False where another process was first: read the rounds again."""
        return rounds.add(self.path, number, added)

    def unit(
        self,
        name: str,
        *,
        nets: Sequence[str],
        layout: Layout,
        snapshots: int,
        going_on: bool = False,
    ) -> UnitWriter:
        """A unit to be filled in a `with` block: nets of one layout, up to `snapshots` of each.

        Leaving the block without `commit` leaves the zoo as it was, but for a state that was saved:
        whoever opens the unit `going_on` finds it in `UnitWriter.saved`.
        """
        dtype = manifest.dtype(self.meta)
        return UnitWriter(self.path, name, list(nets), layout, snapshots, dtype, going_on)


class UnitWriter:
    """One unit on its way into the zoo; made by `Writer.unit`.

    On entry the shard's space is taken, so a full disk is found before anything is computed. Then
    `saved` is the state to go on from (the vectors put before it are there), or None; `trouble`
    says in one line why a state that was found is of no use.
    """

    def __init__(
        self,
        path: Path,
        name: str,
        nets: list[str],
        layout: Layout,
        snapshots: int,
        dtype: Dtype,
        going_on: bool,
    ) -> None:
        places.check_unit(name)
        if not nets or layout.size == 0 or snapshots < 1:
            raise UsageError(f"unit {name}: needs nets, values and snapshots, at least one of each")
        for net in nets:
            if not places.is_net(net):
                raise UsageError(f"net {net!r}: use 1 to 64 letters, digits, dots and hyphens")
        self._positions = {net: i for i, net in enumerate(nets)}
        if len(self._positions) < len(nets):
            twice = next(net for i, net in enumerate(nets) if net in nets[:i])
            raise UsageError(f"unit {name}: net {twice} stands in it twice")
        self.name = name
        self._path = path
        self._layout = layout
        self._dtype = dtype
        self._blob, self._header = shard.compose(nets, snapshots, layout.size, layout.key, dtype)
        self._checksums: dict[tuple[str, int], str] = {}
        self._file: Temporary | None = None
        self._going_on = going_on
        self._kept = False  # a state that lies on the disk stands on the shard in the making
        self.saved: Saved | None = None
        self.trouble = ""

    def __enter__(self) -> UnitWriter:
        self._keep_layout()
        if self._going_on:
            try:
                self._go_on()
            except DataError as error:
                self.trouble = str(error)
                self._set_aside()
        for folder in (places.SHARDS, places.SNAPSHOTS, places.NETS):
            remove_leftovers(InnerPath(self._path) / folder, self.name)
        if self._file is None:
            self._begin()
        return self

    def begin_again(self) -> None:
        """Set the saved state aside and forget all vectors."""
        self._open().discard()
        self._set_aside()
        self._begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            if self._kept:  # whoever opens the unit next goes on from there
                self._file.leave()
            else:
                self._file.discard()
            self._file = None

    def save(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Keep a state of the unit's maker, and all vectors put so far, for going on after a kill.

        `arrays` of float32, float64 or int64, `facts` of what JSON holds; in place of what was
        saved before.
        """
        file = self._open()
        file.sync()
        file.sync_name()
        saved = Saved(arrays, facts, file.name, self._checksums)
        states.write(self._path, self.name, saved)
        self._kept = True

    def put(self, net: str, snapshot: int, vector: np.ndarray) -> None:
        """Store one vector, float32 [layout.size]; `snapshot` counts from 1."""
        file = self._open()
        if net not in self._positions:
            raise UsageError(f"unit {self.name}: net {net} is not one of its nets")
        if not 1 <= snapshot <= self._header.rows:
            raise UsageError(f"net {net}: snapshot {snapshot} is not in 1..{self._header.rows}")
        if vector.dtype != np.float32 or vector.shape != (self._layout.size,):
            raise UsageError(
                f"net {net}, snapshot {snapshot}: the vector is {vector.dtype} "
                f"{list(vector.shape)}; give float32 [{self._layout.size}]"
            )
        data = self._dtype.narrow(vector).data
        file.write(data, self._header.offset(self._positions[net], snapshot))
        self._checksums[net, int(snapshot)] = shard.digest(data)

    def commit(self, *, nets: Iterable[Row], snapshots: Iterable[Row]) -> None:
        """Make the unit part of the zoo, all at once.

        `nets` holds one row for each net of the unit: net, index, split ("train" or "test"), every
        recipe field, steps, diverged, diverged_step, dead; `snapshots` one row for each vector
        that was put: net, snapshot, step, epoch and the metrics that were measured. Where to find
        a vector, its checksum, unit, layout and, unless given, the net's test_accuracy (that of
        its last snapshot) are filled in. Further columns are kept as they are. Where another
        process has committed the unit meanwhile, its files stay.
        """
        file = self._open()
        moments = self._snapshot_rows(snapshots)
        facts = ShardFacts(
            self._target(places.SHARDS).name,
            self._header.size,
            self._header.rows,
            self._header.checksum,
        )
        contents = {
            places.SNAPSHOTS: tables.compose(moments, tables.SNAPSHOTS),
            places.NETS: tables.compose(self._net_rows(nets, moments), tables.NETS, facts),
        }
        if disk.exists(places.part(self._path, places.NETS, self.name)):
            self._kept = False  # readers may hold the other's files; leaving the block removes ours
            states.remove(self._path, self.name)
            return
        # All three lie on the disk before the first gets its name, so that a full disk cannot
        # stop the commit half-way; the nets part is last, and its name is the commit.
        small: list[Temporary] = []
        try:
            for folder, data in contents.items():
                small.append(Temporary(self._target(folder), len(data)))
                small[-1].write(data, 0)
            for part in (file, *small):
                part.sync()
            for part in (file, *small):
                part.publish()
        finally:
            for part in small:
                part.discard()
        self._file = None
        states.remove(self._path, self.name)

    def _set_aside(self) -> None:
        with explained(self._target(places.STATES)):
            states.set_aside(self._path, self.name)
        self._kept, self.saved, self._checksums = False, None, {}

    def _begin(self) -> None:
        """An empty shard."""
        self._file = Temporary(self._target(places.SHARDS), self._header.size)
        try:
            self._file.write(self._blob, 0)
        except BaseException:
            self._file.discard()
            raise

    def _go_on(self) -> None:
        """Open the shard that a saved state stands on, checked; DataError where that fails."""
        saved = states.read(self._path, self.name)
        if saved is None:
            return
        if not disk.is_temporary(saved.shard):
            raise DataError(f"{self.name}: its state names {saved.shard!r}, which is no shard")
        file = Temporary.again(self._target(places.SHARDS), saved.shard, self._header.size)
        if file is None:
            return  # another process is training this very unit
        try:
            self._check_vectors(file, saved)
        except BaseException:
            file.leave()
            raise
        self._file, self.saved, self._kept = file, saved, True
        self._checksums = dict(saved.checksums)

    def _check_vectors(self, file: Temporary, saved: Saved) -> None:
        """Refuse a shard that has not the vectors it should, and clear what came after them."""
        if file.read(len(self._blob), 0) != self._blob:
            raise DataError(f"{file.place}: is damaged, its header is another")
        length = self._header.length
        for net, position in self._positions.items():
            for snapshot in range(1, self._header.rows + 1):
                at = self._header.offset(position, snapshot)
                data = file.read(length, at)
                checksum = saved.checksums.get((net, snapshot))
                if checksum is None and data.count(0) < length:
                    file.write(bytes(length), at)
                elif checksum is not None and shard.digest(data) != checksum:
                    raise DataError(f"{file.place}: net {net}, snapshot {snapshot} is damaged")

    def _open(self) -> Temporary:
        if self._file is None:
            raise UsageError(f"unit {self.name}: is not open; use it in a `with`, before commit")
        return self._file

    def _target(self, folder: str) -> InnerPath:
        return places.part(self._path, folder, self.name)

    def _keep_layout(self) -> None:
        target = places.layout_path(self._path, self._layout.key)
        text = self._layout.to_json().encode()
        with explained(target, len(text)):
            there = disk.read_bytes(target, layouts.LARGEST) if disk.exists(target) else b""
        remove_leftovers(target.parent, self._layout.key)
        if there != text:
            write_file(target, text)

    def _snapshot_rows(self, rows: Iterable[Row]) -> list[Row]:
        found: dict[tuple[str, int], Row] = {}
        for row in rows:
            key = (row.get("net"), row.get("snapshot"))
            if key not in self._checksums:
                raise UsageError(f"net {key[0]}, snapshot {key[1]}: has a row but no vector")
            if key in found:
                raise UsageError(f"net {key[0]}, snapshot {key[1]}: has two rows")
            net, snapshot = key
            found[net, snapshot] = {
                **row,
                "shard": self._target(places.SHARDS).name,
                "offset": self._header.offset(self._positions[net], snapshot),
                "length": self._layout.size,
                "checksum": self._checksums[net, snapshot],
            }
        for net, snapshot in self._checksums:
            if (net, snapshot) not in found:
                raise UsageError(f"net {net}, snapshot {snapshot}: has a vector but no row")
        return [found[key] for key in sorted(found, key=lambda k: (self._positions[k[0]], k[1]))]

    def _net_rows(self, rows: Iterable[Row], moments: Iterable[Row]) -> list[Row]:
        last = {row["net"]: row.get("test_accuracy") for row in moments}
        found: dict[str, Row] = {}
        for row in rows:
            net = str(row.get("net"))
            if net not in self._positions or net in found:
                why = "has two rows" if net in found else "is not one of its nets"
                raise UsageError(f"unit {self.name}: net {net} {why}")
            if row.get("split") not in ("train", "test"):
                raise UsageError(f"net {net}: split {row.get('split')!r} is not train or test")
            filled = {"unit": self.name, "layout": self._layout.key}
            found[net] = {"test_accuracy": last.get(net), **row, **filled}
        for net in self._positions:
            if net not in found:
                raise UsageError(f"unit {self.name}: net {net} has no row")
        return [found[net] for net in self._positions]


def reclaimable(path: str | Path) -> int:
    """Bytes on disk of unfinished shards and of states: who continues the units frees them."""
    root = InnerPath(Path(path))
    states_of = (root / places.STATES / name for name in disk.names(root / places.STATES))
    kept = sum(disk.size(place) for place in states_of if disk.is_file(place))
    return disk.held_by_leftovers(root / places.SHARDS) + kept


def _refuse_foreign(root: InnerPath) -> None:
    """Only an absent or an empty directory becomes a zoo."""
    if root.path.exists() and not root.path.is_dir():
        raise UsageError(f"{root}: is a file; choose another --out")
    # Another process may be creating the same zoo at this moment.
    if any(not disk.is_temporary(name) for name in disk.names(root)):
        if disk.exists(root / places.MANIFEST):
            return
        raise UsageError(
            f"{root}: has other files in it and is no zoo; choose another --out, or an empty one"
        )


def _create(root: InnerPath, meta: dict[str, Any]) -> None:
    disk.make_root(root.path)
    text = json.dumps(seal(meta), indent=1).encode() + b"\n"
    # Whoever creates it first wins; the others then compare their settings with it.
    write_file(root / places.MANIFEST, text, replace=False)
