"""`Writer`: nets into a zoo, unit by unit, each there whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from weightspace.errors import UsageError
from weightspace.networks import Layout
from weightspace.space import Space
from weightspace.zoo import manifest, places, rounds, shard, tables
from weightspace.zoo.disk import Temporary, explained, remove_leftovers, write_file
from weightspace.zoo.rounds import Round
from weightspace.zoo.tables import Row, ShardFacts


class Writer:
    """Creates a zoo, or opens the same zoo again to continue it.

    `info` is what else is worth keeping in `zoo.json` (plain JSON values); its `snapshots`, if
    given, is part of the zoo's identity together with space and seed. Its `versions` and
    `created` replace the defaults of those fields. Any number of processes may hold a writer of
    one zoo. Raises `UsageError`, with nothing touched, where the directory holds another zoo or
    other files, and `DataError` where it cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        space: Space,
        seed: int,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        here = manifest.compose(space, seed, dict(info or {}))
        with explained(self.path, 0):
            if not (self.path / places.MANIFEST).exists():
                _refuse_foreign(self.path)
                _create(self.path, here)
        self.meta = manifest.read(self.path)
        manifest.refuse_other(self.path, self.meta, here)
        with explained(self.path, 0):
            for folder in places.FOLDERS:
                (self.path / folder).mkdir(exist_ok=True)
        remove_leftovers(self.path)
        remove_leftovers(self.path / places.ROUNDS)

    @property
    def finished(self) -> set[str]:
        """The names of the units that are committed, by whomever."""
        return set(places.units(self.path, places.NETS))

    def begin(self, number: int, added: Round) -> bool:
        """Add round `number`; False where another process was first: read the rounds again."""
        return rounds.add(self.path, number, added)

    def unit(self, name: str, *, nets: Sequence[str], layout: Layout, snapshots: int) -> UnitWriter:
        """A unit to be filled in a `with` block: nets of one layout, up to `snapshots` of each.

        Leaving the block without `commit` leaves the zoo as it was.
        """
        return UnitWriter(self.path, name, list(nets), layout, snapshots)


class UnitWriter:
    """One unit on its way into the zoo; made by `Writer.unit`.

    On entry the shard's space is taken, so a full disk is found before anything is computed.
    """

    def __init__(
        self, path: Path, name: str, nets: list[str], layout: Layout, snapshots: int
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
        self._blob, self._header = shard.compose(nets, snapshots, layout.size, layout.key)
        self._checksums: dict[tuple[str, int], str] = {}
        self._file: Temporary | None = None

    def __enter__(self) -> UnitWriter:
        for folder in (places.SHARDS, places.SNAPSHOTS, places.NETS):
            remove_leftovers(self._path / folder, self.name)
        self._keep_layout()
        self._file = Temporary(self._target(places.SHARDS), self._header.size)
        try:
            self._file.write(self._blob, 0)
        except BaseException:
            self._file.discard()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file:
            self._file.discard()
            self._file = None

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
        data = np.ascontiguousarray(vector, "<f4").data
        file.write(data, self._header.offset(self._positions[net], snapshot))
        self._checksums[net, int(snapshot)] = shard.digest(data)

    def commit(self, *, nets: Iterable[Row], snapshots: Iterable[Row]) -> None:
        """Make the unit part of the zoo, all at once.

        `nets` holds one row for each net of the unit: net, index, split ("train" or "test"), every
        recipe field, steps, diverged, diverged_step, dead; `snapshots` one row for each vector
        that was put: net, snapshot, step, epoch and the metrics that were measured. Where to find
        a vector, its checksum, unit, layout and, unless given, the net's test_accuracy (that of
        its last snapshot) are filled in. Further columns are kept as they are.
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
        # All three lie on the disk before the first gets its name, so that a full disk cannot
        # stop the commit half-way; the nets part is last, and its name is the commit.
        parts = [file]
        try:
            for folder, data in contents.items():
                parts.append(Temporary(self._target(folder), len(data)))
                parts[-1].write(data, 0)
            for part in parts:
                part.sync()
            for part in parts:
                part.publish()
        finally:
            for part in parts:
                part.discard()
            self._file = None

    def _open(self) -> Temporary:
        if self._file is None:
            raise UsageError(f"unit {self.name}: is not open; use it in a `with`, before commit")
        return self._file

    def _target(self, folder: str) -> Path:
        return places.part(self._path, folder, self.name)

    def _keep_layout(self) -> None:
        target = places.layout_path(self._path, self._layout.key)
        text = self._layout.to_json().encode()
        with explained(target, len(text)):
            there = target.read_bytes() if target.exists() else b""
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


def _refuse_foreign(path: Path) -> None:
    """Only an absent or an empty directory becomes a zoo."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path}: is a file; choose another --out")
    # Another process may be creating the same zoo at this moment.
    if path.is_dir() and any(not places.is_temporary(entry.name) for entry in path.iterdir()):
        if (path / places.MANIFEST).exists():
            return
        raise UsageError(
            f"{path}: has other files in it and is no zoo; choose another --out, or an empty one"
        )


def _create(path: Path, meta: dict[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    text = json.dumps(meta, indent=1).encode() + b"\n"
    # Whoever creates it first wins; the others then compare their settings with it.
    write_file(path / places.MANIFEST, text, replace=False)
