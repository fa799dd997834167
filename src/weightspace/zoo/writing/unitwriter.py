"""`UnitWriter`: writes one stack of nets into a zoo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.arrays import Asked, Shaped
from weightspace.disk import InnerPath, Temporary, explained, remove_leftovers, write_file
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.format import layouts, states, tables
from weightspace.zoo.format.states import Saved
from weightspace.zoo.format.tables import Row, ShardFacts


class UnitWriter:
    """Writes one stack of nets into a zoo; made by `Writer.unit`.

    The space on disk is reserved when the `with` block is entered, so that a full disk is noticed
    before anything is computed.

    Parameters
    ----------
    path : Path
        The folder of the zoo.
    name, nets, layout, snapshots, going_on
        As for `Writer.unit`.
    dtype : Dtype
        How the zoo stores values.

    Attributes
    ----------
    saved : Saved or None
        The state to continue from. Vectors that were written before it was saved are in the stack.
    trouble : str
        Why a saved state cannot be used, as one line; empty if there was none.
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
            raise UsageError(
                f"stack {name}", "needs nets, values and snapshots, at least one of each"
            )
        for net in nets:
            if not places.is_net(net):
                raise UsageError(f"net {net!r}", "use 1 to 64 letters, digits, dots and hyphens")
        self._positions = {net: i for i, net in enumerate(nets)}
        if len(self._positions) < len(nets):
            twice = next(net for i, net in enumerate(nets) if net in nets[:i])
            raise UsageError(f"stack {name}", f"net {twice} is given twice")
        self.name = name
        self._path = path
        self._layout = layout
        self._dtype = dtype
        self._blob, self._header = shard.compose(nets, snapshots, layout.size, layout.key, dtype)
        self._checksums: dict[tuple[str, int], str] = {}
        self._file: Temporary | None = None
        self._going_on = going_on
        self._kept = False  # whether a state on the disk needs the unfinished shard
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
        """Discard the saved state and all vectors."""
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
            if self._kept:  # the next writer of the stack continues from it
                self._file.leave()
            else:
                self._file.discard()
            self._file = None

    def save(
        self, arrays: Mapping[str, Shaped[np.ndarray, "..."]], facts: Mapping[str, Any]
    ) -> None:
        """Save a state of the caller, and all vectors so far, to continue from after a kill.

        A new state replaces the one before.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Arrays of float32, float64 or int64.
        facts : mapping
            Plain JSON values.
        """
        file = self._open()
        file.sync()
        file.sync_name()
        saved = Saved(arrays, facts, file.name, self._checksums)
        states.write(self._path, self.name, saved)
        self._kept = True

    def put(self, net: str, snapshot: int, vector: Asked[np.ndarray, " P"]) -> None:
        """Write one vector.

        Parameters
        ----------
        net : str
            The name of a net of this stack.
        snapshot : int
            The number of the snapshot, from 1.
        vector : ndarray of float32, shape (layout.size,)
            The values.
        """
        file = self._open()
        if net not in self._positions:
            raise UsageError(f"stack {self.name}", f"net {net} is not one of its nets")
        if not 1 <= snapshot <= self._header.rows:
            raise UsageError(f"net {net}", f"snapshot {snapshot} is not in 1..{self._header.rows}")
        if vector.dtype != np.float32 or vector.shape != (self._layout.size,):
            raise UsageError(
                f"net {net}, snapshot {snapshot}",
                f"the vector is {vector.dtype} {list(vector.shape)}",
                f"give float32 [{self._layout.size}]",
            )
        data = self._dtype.narrow(vector).data
        file.write(data, self._header.offset(self._positions[net], snapshot))
        self._checksums[net, int(snapshot)] = shard.digest(data)

    def commit(self, *, nets: Iterable[Row], snapshots: Iterable[Row]) -> None:
        """Add the stack to the zoo, all of it at once.

        The columns that say where a vector lies are filled in, and so are its checksum, the stack
        and the layout. The net's test_accuracy is that of its last snapshot, unless a row has
        another. Further columns are kept. If another process has committed the stack in the
        meantime, its files stay.

        Parameters
        ----------
        nets : iterable of mapping
            One row for each net: net, index, split ("train" or "test"), every recipe field, steps,
            diverged, diverged_step, dead.
        snapshots : iterable of mapping
            One row for each vector: net, snapshot, step, epoch and the metrics that were measured.
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
            self._kept = False  # readers may use the other files; leaving the block removes ours
            states.remove(self._path, self.name)
            return
        # All three files are on the disk before the first is renamed, so that a full disk cannot
        # interrupt the commit. The table of nets is last: renaming it commits the stack.
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
        """Start an empty shard."""
        self._file = Temporary(self._target(places.SHARDS), self._header.size)
        try:
            self._file.write(self._blob, 0)
        except BaseException:
            self._file.discard()
            raise

    def _go_on(self) -> None:
        """Open and check the shard of a saved state; DataError if that fails."""
        saved = states.read(self._path, self.name)
        if saved is None:
            return
        if not disk.is_temporary(saved.shard):
            raise DataError(self.name, f"its state names {saved.shard!r}, which is not a shard")
        file = Temporary.again(self._target(places.SHARDS), saved.shard, self._header.size)
        if file is None:
            return  # another process is training this stack
        try:
            self._check_vectors(file, saved)
        except BaseException:
            file.leave()
            raise
        self._file, self.saved, self._kept = file, saved, True
        self._checksums = dict(saved.checksums)

    def _check_vectors(self, file: Temporary, saved: Saved) -> None:
        """Refuse a shard that lacks vectors of the state, and clear vectors written after it."""
        if file.read(len(self._blob), 0) != self._blob:
            raise DataError(file.place, "is damaged, its header has changed")
        length = self._header.length
        for net, position in self._positions.items():
            for snapshot in range(1, self._header.rows + 1):
                at = self._header.offset(position, snapshot)
                data = file.read(length, at)
                checksum = saved.checksums.get((net, snapshot))
                if checksum is None and data.count(0) < length:
                    file.write(bytes(length), at)
                elif checksum is not None and shard.digest(data) != checksum:
                    raise DataError(file.place, f"net {net}, snapshot {snapshot} is damaged")

    def _open(self) -> Temporary:
        if self._file is None:
            raise UsageError(
                f"stack {self.name}", "is not open", "use it in a `with`, before commit"
            )
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
                raise UsageError(f"net {key[0]}, snapshot {key[1]}", "has a row but no vector")
            if key in found:
                raise UsageError(f"net {key[0]}, snapshot {key[1]}", "has two rows")
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
                raise UsageError(f"net {net}, snapshot {snapshot}", "has a vector but no row")
        return [found[key] for key in sorted(found, key=lambda k: (self._positions[k[0]], k[1]))]

    def _net_rows(self, rows: Iterable[Row], moments: Iterable[Row]) -> list[Row]:
        last = {row["net"]: row.get("test_accuracy") for row in moments}
        found: dict[str, Row] = {}
        for row in rows:
            net = str(row.get("net"))
            if net not in self._positions or net in found:
                why = "has two rows" if net in found else "is not one of its nets"
                raise UsageError(f"stack {self.name}", f"net {net} {why}")
            if row.get("split") not in ("train", "test"):
                raise UsageError(f"net {net}", f"split {row.get('split')!r} is not train or test")
            filled = {"unit": self.name, "layout": self._layout.key}
            found[net] = {"test_accuracy": last.get(net), **row, **filled}
        for net in self._positions:
            if net not in found:
                raise UsageError(f"stack {self.name}", f"net {net} has no row")
        return [found[net] for net in self._positions]
