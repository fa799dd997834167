"""`Zoo`: a population of trained nets on disk, opened for reading."""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.networks.layout import PARTS
from weightspace.space import Space
from weightspace.zoo import manifest, places, rounds, shard, splits, tables
from weightspace.zoo.rounds import Round
from weightspace.zoo.slices import Selection, Slices, check_snapshots, choose, draw
from weightspace.zoo.splits import Split

_OPEN_SHARDS = 128  # memory maps held at once, each one file descriptor
_LARGEST_LAYOUT = 2**26  # bytes of its file
_MOST_VALUES = 2**40  # of a vector
_MOST_DIMENSIONS = 32


class Zoo:
    """A zoo as it was when opened: units committed later are seen by opening it again.

    Raises `DataError` where `path` holds no zoo, a damaged one or one of a newer format.
    """

    def __repr__(self) -> str:
        name = self.meta["space"].get("name")
        return f"<Zoo {str(self.path)!r}: {self.nets.height:,} nets of the space {name!r}>"

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.meta: dict[str, Any] = manifest.read(self.path)
        self.space: Space = manifest.space_of(self.meta)
        self._units = places.units(self.path, places.NETS)
        self.nets: pl.DataFrame = self._read(places.NETS, tables.NETS).sort("index", "net")
        if self.nets["net"].n_unique() < len(self.nets):
            raise _two_units(self.path, self.nets)
        self._position = {net: i for i, net in enumerate(self.nets["net"])}
        self._map = lru_cache(_OPEN_SHARDS)(self._open)
        self._layout = lru_cache(None)(lambda key: read_layout(self.path, key))

    def __reduce__(self) -> tuple[type[Zoo], tuple[Path]]:
        return Zoo, (self.path,)

    @cached_property
    def snapshots(self) -> pl.DataFrame:
        """One row a vector: where it lies, when it was taken and how good the net was then."""
        order = self.nets.select("net", _shard=pl.col("unit") + places.SUFFIX[places.SHARDS])
        order = order.with_row_index("_position")
        frame = self._read(places.SNAPSHOTS, tables.SNAPSHOTS)
        frame = frame.join(order, on="net", how="left").sort("_position", "snapshot")
        stray = frame.filter(pl.col("_position").is_null())
        if len(stray):
            raise _inconsistent(self.path, f"net {stray['net'][0]} has snapshots, no row in nets")
        if frame.select("net", "snapshot").is_duplicated().any():
            raise _inconsistent(self.path, "a net has two rows for one snapshot")
        elsewhere = frame.filter(pl.col("shard") != pl.col("_shard"))
        if len(elsewhere):
            row = elsewhere.row(0, named=True)
            what = f"net {row['net']}, snapshot {row['snapshot']} names the shard {row['shard']!r}"
            raise _inconsistent(self.path, f"{what}, which is not that of its unit")
        return frame.drop("_position", "_shard")

    @cached_property
    def rounds(self) -> dict[int, Round]:
        """Which nets were to be sampled, by the number of the round; empty if nobody said."""
        return rounds.read(self.path)

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
        return self._layout(self._layout_keys[self._at(net)])

    def vector(self, net: str, snapshot: int = -1) -> np.ndarray:
        """One vector, float32 [layout.size], a read-only view of the file.

        `snapshot` counts from 1, or back from -1, the last that the net has.
        """
        return self._vector(self._row(net, snapshot))

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
    ) -> Slices:
        """Draw `n` slices of `length` consecutive values of the selected part of vectors.

        Nets (`nets`, or all) take turns in random order, so each is there equally often, give or
        take one; the snapshot is uniform among those asked for (`snapshots`, or all; -1 is a net's
        last) that the net has, and the start is uniform. A net with none of them is left out.
        `part` is "all", "conv" or "fc"; without `running_stats` batch norm's running statistics
        are skipped over. The same arguments give the same slices, and a larger `n` begins with
        them. Raises `UsageError` where a slice is longer than a selected vector, or `seed` is
        below 0.
        """
        if seed < 0:
            raise UsageError(f"seed: {seed} is below 0; give a whole number from 0")
        if n < 1 or length < 1:
            raise UsageError(f"slices: {n} of {length} values; ask for at least one of one value")
        if part not in ("all", *PARTS):
            raise UsageError(f"part {part!r} is none of all, {', '.join(PARTS)}")
        chosen, candidates = self._candidates(nets, snapshots)
        selections = self._selections(chosen, part, running_stats)
        sizes = np.array([selection.size for selection in selections])
        if sizes.min() < length:
            short = int(sizes.argmin())
            raise UsageError(
                f"net {self.nets['net'][int(chosen[short])]}: has {sizes[short]:,} values in part "
                f"{part!r}, a slice of {length:,} does not fit; use --slice-length {sizes[short]} "
                "at most"
            )
        counts = np.array([len(c) for c in candidates])
        net, pick, start = draw(n, counts, sizes - length + 1, seed)
        first = np.cumsum(counts) - counts
        rows = np.concatenate(candidates)[first[net] + pick]
        values = np.empty((n, length), np.float32)
        for i in np.lexsort((self._offsets[rows], self._shards[rows])):  # each shard in one go
            selections[net[i]].copy(self._vector(rows[i]), int(start[i]), values[i])
        names = self.nets["net"].to_numpy().astype(str)
        return Slices(values, names[chosen[net]], self._numbers[rows], start)

    def _candidates(
        self, nets: Iterable[str] | None, snapshots: Iterable[int] | None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Positions of the nets to draw from, and for each the table rows of its snapshots."""
        wanted = check_snapshots(snapshots)
        asked = range(len(self.nets)) if nets is None else [self._at(str(net)) for net in nets]
        if len(set(asked)) < len(asked):
            raise UsageError("nets: one of them is named twice; name each once")
        chosen, candidates = [], []
        for at in asked:
            low, high = self._bounds[at : at + 2]
            rows = low + choose(self._numbers[low:high], wanted)
            if len(rows):
                chosen.append(at)
                candidates.append(rows)
        if not chosen:
            what = "any snapshot" if wanted is None else f"any of the snapshots {wanted}"
            raise UsageError(f"{self.path}: none of the {len(asked)} nets asked for has {what}")
        return np.array(chosen), candidates

    def _selections(self, nets: np.ndarray, part: str, running_stats: bool) -> list[Selection]:
        made: dict[str, Selection] = {}
        for key in {self._layout_keys[at] for at in nets}:
            made[key] = Selection(self._layout(key).select(part, running_stats))
        return [made[self._layout_keys[at]] for at in nets]

    # The tables as plain arrays, built once: a slice must not cost a search in a frame.

    @cached_property
    def _layout_keys(self) -> list[str]:
        return self.nets["layout"].to_list()

    @cached_property
    def _bounds(self) -> np.ndarray:
        """Row range of each net in `snapshots`: rows bounds[i]..bounds[i + 1]."""
        positions = np.array([self._position[net] for net in self.snapshots["net"]], np.int64)
        return np.searchsorted(positions, np.arange(len(self.nets) + 1))

    @cached_property
    def _numbers(self) -> np.ndarray:
        return self.snapshots["snapshot"].to_numpy()

    @cached_property
    def _offsets(self) -> np.ndarray:
        return self.snapshots["offset"].to_numpy()

    @cached_property
    def _shard_names(self) -> list[str]:
        return self.snapshots["shard"].unique().sort().to_list()

    @cached_property
    def _shards(self) -> np.ndarray:
        code = {name: i for i, name in enumerate(self._shard_names)}
        return np.array([code[name] for name in self.snapshots["shard"]], np.int64)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """Length of every vector, which must be that of its net's layout."""
        lengths = self.snapshots["length"].to_numpy()
        sizes = [self._layout(key).size for key in self._layout_keys]
        expected = np.repeat(sizes, np.diff(self._bounds))
        if (lengths != expected).any():
            net = self.snapshots["net"][int((lengths != expected).argmax())]
            raise _inconsistent(
                self.path, f"net {net} has vectors longer or shorter than its layout"
            )
        return lengths

    def _at(self, net: str) -> int:
        try:
            return self._position[net]
        except KeyError:
            raise UsageError(f"{self.path}: has no net {net}; see its table of nets") from None

    def _row(self, net: str, snapshot: int) -> int:
        at = self._at(net)
        low, high = self._bounds[at : at + 2]
        rows = choose(self._numbers[low:high], check_snapshots([snapshot]))
        if not len(rows):
            has = ", ".join(map(str, self._numbers[low:high])) or "none"
            raise UsageError(f"net {net}: has no snapshot {snapshot}; it has {has}")
        return int(low + rows[0])

    def _vector(self, row: int) -> np.ndarray:
        try:
            values, first = self._map(int(self._shards[row]))
        except DataError as error:
            message, _, remedy = str(error).rpartition("; ")
            net = self.snapshots["net"][int(row)]
            raise DataError(f"{message}, net {net} is in it; {remedy}") from None
        offset, length = int(self._offsets[row]), int(self._lengths[row])
        if offset % 4 or not first <= offset <= 4 * len(values) - 4 * length:
            name = self._shard_names[self._shards[row]]
            raise DataError(
                f"{self.path / places.SHARDS / name}: net {self.snapshots['net'][int(row)]}, "
                f"snapshot {self._numbers[row]} lies outside the file, which may be truncated; "
                "run `weightspace check`"
            )
        return values[offset // 4 : offset // 4 + length]

    def _open(self, code: int) -> tuple[np.ndarray, int]:
        """A shard as float32 values from its first byte on, and where its data begins."""
        path = places.shard_path(self.path, self._shard_names[code])
        try:
            with path.open("rb") as file:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise DataError(
                f"{path}: cannot be opened ({getattr(error, 'strerror', error)}); "
                "run `weightspace check`"
            ) from None
        first = shard.data_start(path, len(data), data[:8])
        return np.frombuffer(data, "<f4", count=len(data) // 4), first

    def _read(self, folder: str, schema: pa.Schema) -> pl.DataFrame:
        files = [places.part(self.path, folder, unit) for unit in self._units]
        with ThreadPoolExecutor(8) as pool:
            parts = list(pool.map(lambda file: tables.read(file, schema), files))
        frame = pl.from_arrow(tables.join(parts, schema))
        assert isinstance(frame, pl.DataFrame)
        return frame


def read_layout(path: Path, key: str) -> Layout:
    """The layout of this key in the zoo at `path`, checked against its key."""
    file = places.layout_path(path, key)
    again = "restore it from a copy, or run `weightspace repair`"
    try:
        if file.stat().st_size > _LARGEST_LAYOUT:
            raise ValueError("larger than any layout")
        text = file.read_text(encoding="utf-8")
        _check_numbers(json.loads(text))
        layout = Layout.from_json(text)
        sound = layout.key == key and 0 < layout.size < _MOST_VALUES
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}); {again}") from None
    except (DataError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise DataError(f"{file}: is damaged, its layout is not of that key; {again}")
    return layout


def _check_numbers(rows: list[dict[str, Any]]) -> None:
    """Refuse layers, offsets and shapes that are no whole numbers from 0, or too many or large.

    Asked before sizes are made of them: the product of a long shape takes seconds.
    """
    for row in rows:
        if len(row["shape"]) > _MOST_DIMENSIONS:
            raise ValueError("a shape of too many dimensions")
        for number in (row["layer"], row["offset"], *row["shape"]):
            if type(number) is not int or not 0 <= number < _MOST_VALUES:
                raise ValueError("a number that is none of a layout")


def _two_units(path: Path, nets: pl.DataFrame) -> DataError:
    twice = nets.filter(pl.col("net").is_duplicated())
    units = " and ".join(twice.filter(pl.col("net") == twice["net"][0])["unit"].to_list())
    return _inconsistent(path, f"net {twice['net'][0]} stands in the units {units}")


def _inconsistent(path: Path, what: str) -> DataError:
    return DataError(f"{path}: is damaged, {what}; run `weightspace check`")


def opened(zoo: Zoo | str | Path) -> Zoo:
    """The zoo itself, or the one at a path; DataError as `Zoo` raises it."""
    return zoo if isinstance(zoo, Zoo) else Zoo(zoo)
