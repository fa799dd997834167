"""`Zoo`: a population of trained nets on disk, opened for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.networks.layout import PARTS
from weightspace.space import Space
from weightspace.zoo.files import places, shard
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.format import manifest, splits, tables
from weightspace.zoo.format.rounds import Round
from weightspace.zoo.format.splits import Split
from weightspace.zoo.reading.damage import inconsistent, naming
from weightspace.zoo.reading.nets import read_nets, read_table
from weightspace.zoo.reading.remote.source import Remote, is_url
from weightspace.zoo.reading.rows import Rows
from weightspace.zoo.reading.selecting import Selected, extents, reads, wanted_rows, whole
from weightspace.zoo.reading.slices import (
    Selection,
    Slices,
    Vectors,
    check_out,
    check_snapshots,
    choose,
    draw,
)
from weightspace.zoo.reading.source import Folder, Source

_AHEAD = 2  # nets that the disk is told of while one is scanned
_SELECTIONS = 8  # kept for the next draw of the same arguments


class Zoo:
    """A zoo as it was when opened: units committed later are seen by opening it again.

    `path` is a folder or an fsspec URL (`https://`, `s3://` and so on; `storage_options` go to
    its file system). Of a zoo at a URL the tables are fetched, and of vectors what is asked for.
    Raises `DataError` where there is no zoo, a damaged one or one of a newer format.
    """

    def __repr__(self) -> str:
        name = self.meta["space"].get("name")
        return f"<Zoo {self.name!r}: {self.nets.height:,} nets of the space {name!r}>"

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

    def __reduce__(self) -> tuple[type[Zoo], tuple[str, dict[str, Any]]]:
        return Zoo, (self.name, self._options)

    @cached_property
    def snapshots(self) -> pl.DataFrame:
        """One row a vector: where it lies, when it was taken and how good the net was then."""
        order = self.nets.select("net", _shard=pl.col("unit") + places.SUFFIX[places.SHARDS])
        order = order.with_row_index("_position")
        frame = read_table(self._source, places.SNAPSHOTS, self._units, tables.SNAPSHOTS)
        frame = frame.join(order, on="net", how="left").sort("_position", "snapshot")
        stray = frame.filter(pl.col("_position").is_null())
        if len(stray):
            raise inconsistent(self.name, f"net {stray['net'][0]} has snapshots, no row in nets")
        if frame.select("net", "snapshot").is_duplicated().any():
            raise inconsistent(self.name, "a net has two rows for one snapshot")
        elsewhere = frame.filter(pl.col("shard") != pl.col("_shard"))
        if len(elsewhere):
            row = elsewhere.row(0, named=True)
            what = f"net {row['net']}, snapshot {row['snapshot']} names the shard {row['shard']!r}"
            raise inconsistent(self.name, f"{what}, which is not that of its unit")
        return frame.drop("_position", "_shard")

    @cached_property
    def rounds(self) -> dict[int, Round]:
        """Which nets were to be sampled, by the number of the round; empty if nobody said."""
        return self._source.rounds()

    def split(self, leave_out: tuple[str, Any] | None = None) -> Split:
        """Nets to learn from and nets to test on: as stored, or with one level left out.

        `leave_out=("depth_conv", 5)` trains on the nets that have another `depth_conv` and tests
        on those that have 5. Raises UsageError where a side would be empty.
        """
        if leave_out is None:
            return splits.stored(self.nets)
        return splits.leaving_out(self.nets, *leave_out)

    def layout(self, net: str) -> Layout:
        """Where every tensor of this net lies in its vectors."""
        return self._layout(self._layout_keys[self._layout_codes[self._at(net)]])

    def vector(self, net: str, snapshot: int = -1) -> np.ndarray:
        """One vector, float32 [layout.size], read-only.

        `snapshot` counts from 1, or back from -1, the last that the net has. Of a zoo at a URL
        it is compared with its checksum, as by `verified`.
        """
        if self._checks:
            return self.verified(net, snapshot)
        return self._widened(self._stored(net, self._row(net, snapshot)))

    def verified(self, net: str, snapshot: int = -1) -> np.ndarray:
        """As `vector`, and DataError where the values are not those that were written."""
        return self._widened(self._sound(self._row(net, snapshot)))

    def vectors(
        self,
        nets: Iterable[str] | None = None,
        snapshots: Iterable[int] | None = None,
        *,
        reuse: bool = False,
    ) -> Iterator[Vectors]:
        """Go through whole nets one after the other, at the speed of the disk.

        In the order of `nets`, or that of the table, which is not that on the disk; nets without
        any of the `snapshots` are left out. Each is read into an array of its own: memory stays
        that of one net for who lets go of it before the next. With `reuse` all are read into one,
        which is faster: the values of a net are gone when the next is asked for.
        """
        selected, table = self.select(nets, snapshots), self._rows
        buffer = np.empty(0, self.dtype.stored)
        last = len(selected.nets) - 1
        for i, (at, first, count, size) in enumerate(
            zip(selected.nets, selected.first, selected.counts, selected.sizes, strict=True)
        ):
            # The disk works on the next nets while this one is copied.
            for soon in range(i + _AHEAD if i else 0, min(i + _AHEAD, last) + 1):
                self._files.expect(self._extents(selected, soon))
            rows = selected.rows[first : first + count]
            if not reuse or buffer.size < count * size:
                buffer = np.empty(count * size, self.dtype.stored)
            stored = buffer[: count * size].reshape(count, size)
            self._files.scan(whole(table, rows, stored))
            if self._checks:
                for row, values in zip(rows.tolist(), stored, strict=True):
                    self._check_values(row, values)
            yield Vectors(str(self._names[at]), table.numbers[rows], self.dtype.widen(stored))

    def _extents(self, selected: Selected, i: int) -> Iterator[tuple[str, int, int]]:
        """Where the chosen vectors of one net lie; DataError where not within their files."""
        first, count = selected.first[i], selected.counts[i]
        rows = selected.rows[first : first + count]
        self._check_rows(rows)
        return extents(self._rows, rows, self.dtype.size * int(selected.sizes[i]))

    def read(self, net: str, snapshot: int, start: int, length: int) -> np.ndarray:
        """`length` consecutive values of a vector from position `start`, a read-only view."""
        vector = self.vector(net, snapshot)
        if start < 0 or length < 0 or start + length > len(vector):
            raise UsageError(
                f"net {net}: values {start}..{start + length} are not within its {len(vector)}"
            )
        return vector[start : start + length]

    def slices(
        self,
        n: int,
        length: int = 5000,
        seed: int = 0,
        *,
        nets: Iterable[str] | None = None,
        snapshots: Iterable[int] | None = None,
        part: str = "all",
        running_stats: bool = True,
        out: np.ndarray | None = None,
    ) -> Slices:
        """Draw `n` slices of `length` consecutive values of the selected part of vectors.

        Nets (`nets`, or all) take turns in random order, so each is there equally often, give or
        take one; the snapshot is uniform among those asked for (`snapshots`, or all; -1 is a net's
        last) that the net has, and the start is uniform. A net with none of them is left out.
        `part` is "all", "conv" or "fc"; without `running_stats` batch norm's running statistics
        are skipped over. The same arguments give the same slices, and a larger `n` begins with
        them. The values are put in `out`, float32 [n, length] in C order, if it is given. Raises
        `UsageError` where a slice is longer than a selected vector, or `seed` is below 0.
        """
        if seed < 0:
            raise UsageError(f"seed: {seed} is below 0; give a whole number from 0")
        if n < 1:
            raise UsageError(f"slices: {n} of {length} values; ask for at least one of one value")
        selected = self.select(nets, snapshots, part, running_stats)
        room = self.starts(selected, length)
        net, pick, start = draw(n, selected.counts, room, seed)
        rows = selected.rows[selected.first[net] + pick]
        values = np.empty((n, length), np.float32) if out is None else check_out(out, n, length)
        self.gather(selected, net, rows, start, values)
        return Slices(values, self._names[selected.nets[net]], self._rows.numbers[rows], start)

    def select(
        self,
        nets: Iterable[str] | None = None,
        snapshots: Iterable[int] | None = None,
        part: str = "all",
        running_stats: bool = True,
    ) -> Selected:
        """What `slices` of the same arguments are drawn from."""
        if part not in ("all", *PARTS):
            raise UsageError(f"part {part!r} is none of all, {', '.join(PARTS)}")
        wanted = check_snapshots(snapshots)
        key = (
            None if nets is None else tuple(str(net) for net in nets),
            None if wanted is None else tuple(wanted),
            part,
            running_stats,
        )
        found = self._selected.get(key)
        if found is None:
            found = self._select(*key)
            while len(self._selected) >= _SELECTIONS:
                self._selected.pop(next(iter(self._selected)), None)
            self._selected[key] = found
        return found

    def starts(self, selected: Selected, length: int) -> np.ndarray:
        """How many starts a slice of `length` has in each selected net, int64 [m].

        Raises `UsageError` where it fits not even one of them.
        """
        if length < 1:
            raise UsageError(f"slices of {length} values; ask for at least one value")
        room = selected.sizes - length + 1
        if room.min() < 1:
            short = int(room.argmin())
            size = int(selected.sizes[short])
            raise UsageError(
                f"net {self._names[selected.nets[short]]}: has {size:,} values in part "
                f"{selected.part!r}, a slice of {length:,} does not fit; use --slice-length {size} "
                "at most"
            )
        return room

    def gather(
        self,
        selected: Selected,
        which: np.ndarray,
        rows: np.ndarray,
        starts: np.ndarray,
        out: np.ndarray,
    ) -> None:
        """Fill `out` float32 [n, length], C order, with slices: net, row and start of each [n].

        `which` are positions in `selected.nets`, `rows` in the table of snapshots.
        """
        self._check_rows(rows)
        kinds = selected.kinds[which]
        narrow = self.dtype.size < out.itemsize
        stored = np.empty(out.shape, self.dtype.stored) if narrow else out
        self._files.fill(reads(self._rows, rows, selected.selections, kinds, starts, stored))
        if self._checks:
            wrong = self._checks.compare(
                self._rows, selected, which, rows, starts, stored, self._sound
            )
            if wrong is not None:
                raise DataError(
                    f"{self._vector_name(wrong)}: the server gives other values of a part than of "
                    "the whole; read the zoo from another server"
                )
        if narrow:
            self.dtype.widen(stored, out)

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
            raise UsageError(f"{self.name}: none of the {len(nets)} nets asked for has {what}")
        nets, counts = nets[counts > 0], counts[counts > 0]
        self._check_lengths(np.repeat(nets, counts), rows)
        known, kinds = np.unique(self._layout_codes[nets], return_inverse=True)
        keys = [self._layout_keys[code] for code in known]
        selections = [Selection(self._layout(key).select(part, running_stats)) for key in keys]
        sizes = np.array([selection.size for selection in selections])[kinds]
        first = np.cumsum(counts) - counts
        return Selected(part, nets, rows, first, counts, selections, kinds, sizes)

    def _positions_of(self, names: Sequence[str]) -> np.ndarray:
        nets = np.array([self._at(name) for name in names], np.int64)
        if len(set(names)) < len(names):
            raise UsageError("nets: one of them is named twice; name each once")
        return nets

    @cached_property
    def _rows(self) -> Rows:
        return Rows.of(self.nets, self.snapshots)

    @cached_property
    def _names(self) -> np.ndarray:
        return self.nets["net"].to_numpy().astype(str)

    @cached_property
    def _layout_keys(self) -> list[str]:
        return self.nets["layout"].unique().sort().to_list()

    @cached_property
    def _layout_codes(self) -> np.ndarray:
        """For each net the position of its layout in `_layout_keys`."""
        return np.searchsorted(np.array(self._layout_keys), self.nets["layout"].to_numpy())

    def _at(self, net: str) -> int:
        try:
            return self._position[net]
        except KeyError:
            raise UsageError(f"{self.name}: has no net {net}; see its table of nets") from None

    def _row(self, net: str, snapshot: int) -> int:
        at = self._at(net)
        low, high = self._rows.bounds[at : at + 2]
        numbers = self._rows.numbers[low:high]
        rows = choose(numbers, check_snapshots([snapshot]))
        if not len(rows):
            has = ", ".join(map(str, numbers)) or "none"
            raise UsageError(f"net {net}: has no snapshot {snapshot}; it has {has}")
        return int(low + rows[0])

    def _stored(self, net: str, row: int) -> np.ndarray:
        """The vector of a row as it is on the disk."""
        self._check_lengths(np.array([self._at(net)]), np.array([row]))
        self._check_rows(np.array([row]))
        table = self._rows
        name, offset = table.names[table.shards[row]], int(table.offsets[row])
        data = self._files.view(name, offset, self.dtype.size * int(table.lengths[row]))
        return data.view(self.dtype.stored)

    def _widened(self, stored: np.ndarray) -> np.ndarray:
        values = self.dtype.widen(stored)
        values.flags.writeable = False
        return values

    def _sound(self, row: int) -> np.ndarray:
        """As `_stored`, compared with its checksum."""
        stored = self._stored(str(self.snapshots["net"][row]), row)
        self._check_values(row, stored)
        return stored

    def _check_values(self, row: int, stored: np.ndarray) -> None:
        if shard.digest(stored.data) != self.snapshots["checksum"][row]:
            # A zoo at a URL is repaired by whoever made it.
            where = " where it lies" if self._checks else ""
            remedy = f"run `weightspace repair`{where}, then sample again"
            raise DataError(f"{self._vector_name(row)}: its values are damaged; {remedy}")

    def _vector_name(self, row: int) -> str:
        table = self._rows
        shard_name, net = table.names[table.shards[row]], self.snapshots["net"][row]
        place = f"{self.name}/{places.SHARDS}/{shard_name}"
        return f"{place}: net {net}, snapshot {table.numbers[row]}"

    def _check_lengths(self, nets: np.ndarray, rows: np.ndarray) -> None:
        """Vectors must have the length of their nets' layouts; `nets` and `rows` are [n]."""
        codes, kinds = np.unique(self._layout_codes[nets], return_inverse=True)
        sizes = np.array([self._layout(self._layout_keys[code]).size for code in codes])
        wrong = self._rows.lengths[rows] != sizes[kinds]
        if wrong.any():
            net = self._names[nets[wrong.argmax()]]
            what = f"net {net} has vectors longer or shorter than its layout"
            raise inconsistent(self.name, what)

    def _check_rows(self, rows: np.ndarray) -> None:
        """The vectors of these rows must lie within the data of their shards."""
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
                f"{self._vector_name(int(rows[wrong.argmax()]))} lies outside the file, which may "
                "be truncated; run `weightspace check`"
            )


def opened(zoo: Zoo | str | Path) -> Zoo:
    """The zoo itself, or the one at a path; DataError as `Zoo` raises it."""
    return zoo if isinstance(zoo, Zoo) else Zoo(zoo)
