"""What `Zoo` knows of the files it opened: tables, where each vector lies, and the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.arrays import Float32, Int, Int64, Shaped
from weightspace.errors import DataError, UsageError
from weightspace.space import Space
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.format import manifest, tables
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.reading.damage import inconsistent, naming
from weightspace.zoo.reading.nets import read_nets, read_table
from weightspace.zoo.reading.remote.source import Remote, is_url
from weightspace.zoo.reading.rows import Rows
from weightspace.zoo.reading.selecting import Selected, extents, wanted_rows
from weightspace.zoo.reading.slices import (
    Selection,
    check_snapshots,
    choose,
)
from weightspace.zoo.reading.source import Folder, Source


class OpenedZoo:
    """The tables of a zoo, and its vectors by row, checked before they are given out."""

    def __init__(self, path: str | Path, storage_options: Mapping[str, Any] | None = None) -> None:
        self._options = dict(storage_options or {})
        self._source: Source = (
            Remote(str(path), self._options) if is_url(path) else Folder(Path(path))
        )
        self.path = self._source.path
        self.name = self._source.name
        self.meta: dict[str, Any] = self._source.meta()
        self.space: Space = manifest.space_of(self.meta)
        self.dtype: Dtype = manifest.dtype(self.meta)
        self._units = self._source.units()
        self.nets: pl.DataFrame = read_nets(self._source, self._units)
        self._position = {net: i for i, net in enumerate(self.nets["net"])}
        self._files = self._source.files
        self._checks = self._source.checks
        self._layout = self._source.layout
        self._selected: dict[tuple[Any, ...], Selected] = {}

    @cached_property
    def snapshots(self) -> pl.DataFrame:
        """The table of snapshots: one row for each vector.

        A row says where the vector lies, when the snapshot was taken and how good the net was. The
        columns are listed in docs/format.md.
        """
        order = self.nets.select("net", _shard=pl.col("unit") + places.SUFFIX[places.SHARDS])
        order = order.with_row_index("_position")
        frame = read_table(self._source, places.SNAPSHOTS, self._units, tables.SNAPSHOTS)
        frame = frame.join(order, on="net", how="left").sort("_position", "snapshot")
        stray = frame.filter(pl.col("_position").is_null())
        if len(stray):
            raise inconsistent(self.name, f"net {stray['net'][0]} has snapshots but no row in nets")
        if frame.select("net", "snapshot").is_duplicated().any():
            raise inconsistent(self.name, "a net has two rows for one snapshot")
        elsewhere = frame.filter(pl.col("shard") != pl.col("_shard"))
        if len(elsewhere):
            row = elsewhere.row(0, named=True)
            what = f"net {row['net']}, snapshot {row['snapshot']} names the shard {row['shard']!r}"
            raise inconsistent(self.name, f"{what}, which belongs to another stack")
        return frame.drop("_position", "_shard")

    @cached_property
    def rounds(self) -> dict[int, Round]:
        """The nets that each sampling run set out to train, by the number of the round.

        Empty for a zoo without rounds, such as an imported one.
        """
        return self._source.rounds()

    def _extents(self, selected: Selected, i: int) -> Iterator[tuple[str, int, int]]:
        """Where the chosen vectors of one net lie; DataError if they lie outside their files."""
        first, count = selected.first[i], selected.counts[i]
        rows = selected.rows[first : first + count]
        self._check_rows(rows)
        return extents(self._rows, rows, self.dtype.size * int(selected.sizes[i]))

    def _select(
        self,
        names: Sequence[str] | None,
        wanted: Sequence[int] | None,
        part: str,
        running_stats: bool,
    ) -> Selected:
        nets = np.arange(len(self.nets)) if names is None else self._positions_of(names)
        rows, counts = wanted_rows(self._rows.bounds, self._rows.numbers, nets, wanted)
        if not len(rows):
            what = "any snapshot" if wanted is None else f"any of the snapshots {list(wanted)}"
            raise UsageError(self.name, f"none of the {len(nets)} nets has {what}")
        nets, counts = nets[counts > 0], counts[counts > 0]
        self._check_lengths(np.repeat(nets, counts), rows)
        known, kinds = np.unique(self._layout_codes[nets], return_inverse=True)
        keys = [self._layout_keys[code] for code in known]
        selections = [Selection(self._layout(key).select(part, running_stats)) for key in keys]
        sizes = np.array([selection.size for selection in selections])[kinds]
        first = np.cumsum(counts) - counts
        return Selected(part, nets, rows, first, counts, selections, kinds, sizes)

    def _positions_of(self, names: Sequence[str]) -> Int64[np.ndarray, " m"]:
        nets = np.array([self._at(name) for name in names], np.int64)
        if len(set(names)) < len(names):
            raise UsageError("nets", "one of them is given twice", "give each once")
        return nets

    @cached_property
    def _rows(self) -> Rows:
        return Rows.of(self.nets, self.snapshots)

    @cached_property
    def _names(self) -> Shaped[np.ndarray, " nets"]:
        return self.nets["net"].to_numpy().astype(str)

    @cached_property
    def _layout_keys(self) -> list[str]:
        return self.nets["layout"].unique().sort().to_list()

    @cached_property
    def _layout_codes(self) -> Int[np.ndarray, " nets"]:
        """For each net the position of its layout in `_layout_keys`."""
        return np.searchsorted(np.array(self._layout_keys), self.nets["layout"].to_numpy())

    def _at(self, net: str) -> int:
        try:
            return self._position[net]
        except KeyError:
            raise UsageError(self.name, f"has no net {net}", "see its table of nets") from None

    def _row(self, net: str, snapshot: int) -> int:
        at = self._at(net)
        low, high = self._rows.bounds[at : at + 2]
        numbers = self._rows.numbers[low:high]
        rows = choose(numbers, check_snapshots([snapshot]))
        if not len(rows):
            has = ", ".join(map(str, numbers)) or "none"
            raise UsageError(f"net {net}", f"has no snapshot {snapshot}", f"it has {has}")
        return int(low + rows[0])

    def _stored(self, net: str, row: int) -> Shaped[np.ndarray, " P"]:
        """The vector of a row as it is on the disk."""
        self._check_lengths(np.array([self._at(net)]), np.array([row]))
        self._check_rows(np.array([row]))
        table = self._rows
        name, offset = table.names[table.shards[row]], int(table.offsets[row])
        data = self._files.view(name, offset, self.dtype.size * int(table.lengths[row]))
        return data.view(self.dtype.stored)

    def _widened(self, stored: Shaped[np.ndarray, " P"]) -> Float32[np.ndarray, " P"]:
        values = self.dtype.widen(stored)
        values.flags.writeable = False
        return values

    def _sound(self, row: int) -> Shaped[np.ndarray, " P"]:
        """As `_stored`, after comparing the vector with its checksum."""
        stored = self._stored(str(self.snapshots["net"][row]), row)
        self._check_values(row, stored)
        return stored

    def _check_values(self, row: int, stored: Shaped[np.ndarray, " P"]) -> None:
        if shard.digest(stored.data) != self.snapshots["checksum"][row]:
            remedy = places.REPAIR_THERE if self._checks else places.REPAIR
            raise DataError(self._vector_name(row), "its values are damaged", remedy)

    def _vector_name(self, row: int) -> str:
        table = self._rows
        shard_name, net = table.names[table.shards[row]], self.snapshots["net"][row]
        place = f"{self.name}/{places.SHARDS}/{shard_name}"
        return f"{place}: net {net}, snapshot {table.numbers[row]}"

    def _check_lengths(
        self, nets: Int[np.ndarray, " rows"], rows: Int[np.ndarray, " rows"]
    ) -> None:
        """Refuse vectors that do not fit the layout of the net of each row."""
        codes, kinds = np.unique(self._layout_codes[nets], return_inverse=True)
        sizes = np.array([self._layout(self._layout_keys[code]).size for code in codes])
        wrong = self._rows.lengths[rows] != sizes[kinds]
        if wrong.any():
            net = self._names[nets[wrong.argmax()]]
            what = f"net {net} has vectors longer or shorter than its layout"
            raise inconsistent(self.name, what)

    def _check_rows(self, rows: Int[np.ndarray, " n"]) -> None:
        """Refuse rows whose vectors do not lie within the data of their shards."""
        table = self._rows
        codes = table.shards[rows]
        for code in np.unique(codes[table.ends[codes] < 0]):
            net = self.snapshots["net"][int(rows[(codes == code).argmax()])]
            with naming(net):
                table.starts[code], table.ends[code] = self._files.extent(table.names[code])
        offsets = table.offsets[rows]
        size = self.dtype.size
        wrong = (offsets % size != 0) | (offsets < table.starts[codes])
        wrong |= offsets > table.ends[codes] - size * table.lengths[rows]
        if wrong.any():
            raise DataError(
                self._vector_name(int(rows[wrong.argmax()])),
                "lies outside the file, which may be truncated",
                "run `weightspace check`",
            )
