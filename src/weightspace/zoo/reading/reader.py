"""`Zoo`: a population of trained nets on disk, opened for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.arrays import Asked, Float32, Int
from weightspace.errors import DataError, UsageError
from weightspace.networks import Layout
from weightspace.networks.layout import PARTS
from weightspace.zoo.format import splits
from weightspace.zoo.format.splits import Split
from weightspace.zoo.reading.notebook import markup_of
from weightspace.zoo.reading.openedzoo import OpenedZoo
from weightspace.zoo.reading.selecting import Selected, reads, whole
from weightspace.zoo.reading.slices import (
    Slices,
    Vectors,
    check_out,
    check_snapshots,
    draw,
)

_AHEAD = 2  # nets that are announced to the disk while one is read
_SELECTIONS = 8  # kept for later draws with the same arguments


class Zoo(OpenedZoo):
    """A population of trained nets, opened for reading.

    A zoo is shown as it was when it was opened. Open it again to see stacks that were committed
    later. Of a zoo at a URL, the tables are fetched, and of the vectors only the bytes that are
    needed.

    Parameters
    ----------
    path : str or Path
        A folder, or a URL that fsspec knows (`https://`, `s3://` and so on).
    storage_options : mapping, optional
        Options of fsspec's file system, for a URL.

    Attributes
    ----------
    nets : polars.DataFrame
        One row for each net: name, hyper-parameters, split and outcome of training.
    meta : dict
        The content of `zoo.json`.
    space : Space
        The space from which the nets were drawn.
    dtype : Dtype
        How values are stored. Reading always gives float32.
    name : str
        The path or URL.

    Raises
    ------
    DataError
        If there is no zoo at `path`, it is damaged, or its format is newer than this package.

    Notes
    -----
    The columns of the tables and the files are specified in docs/format.md.
    """

    def __repr__(self) -> str:
        name = self.meta["space"].get("name")
        return f"<Zoo {self.name!r}: {self.nets.height:,} nets of the space {name!r}>"

    def _repr_html_(self) -> str:
        return markup_of(self)

    def __reduce__(self) -> tuple[type[Zoo], tuple[str, dict[str, Any]]]:
        return Zoo, (self.name, self._options)

    def split(self, leave_out: tuple[str, Any] | None = None) -> Split:
        """Training nets and test nets: the stored split, or one that leaves one level out.

        Parameters
        ----------
        leave_out : tuple of (str, value), optional
            A hyper-parameter and one of its levels. `("depth_conv", 5)` trains on the nets with
            another `depth_conv` and tests on those with 5.

        Returns
        -------
        Split

        Raises
        ------
        UsageError
            If one side would be empty.
        """
        if leave_out is None:
            return splits.stored(self.nets)
        return splits.leaving_out(self.nets, *leave_out)

    def layout(self, net: str) -> Layout:
        """The layout of a net: where each tensor lies in its vectors.

        Parameters
        ----------
        net : str
            The name of the net.

        Returns
        -------
        Layout
        """
        return self._layout(self._layout_keys[self._layout_codes[self._at(net)]])

    def vector(self, net: str, snapshot: int = -1) -> Float32[np.ndarray, " P"]:
        """Read one snapshot of a net as a flat vector.

        Of a zoo at a URL the vector is compared with its checksum, as `verified` does.

        Parameters
        ----------
        net : str
            The name of the net.
        snapshot : int
            The number of the snapshot from 1, or counted back from -1, the net's last.

        Returns
        -------
        ndarray of float32, shape (layout.size,)
            Read-only.
        """
        if self._checks:
            return self.verified(net, snapshot)
        return self._widened(self._stored(net, self._row(net, snapshot)))

    def verified(self, net: str, snapshot: int = -1) -> Float32[np.ndarray, " P"]:
        """Read one vector and compare it with its checksum.

        Parameters
        ----------
        net : str
            The name of the net.
        snapshot : int
            As for `vector`.

        Returns
        -------
        ndarray of float32, shape (layout.size,)
            Read-only.

        Raises
        ------
        DataError
            If the values are not those that were written.
        """
        return self._widened(self._sound(self._row(net, snapshot)))

    def vectors(
        self,
        nets: Iterable[str] | None = None,
        snapshots: Iterable[int] | None = None,
        *,
        reuse: bool = False,
    ) -> Iterator[Vectors]:
        """Iterate over whole nets at the speed of the disk.

        Parameters
        ----------
        nets : iterable of str, optional
            Names of nets; they come in this order. By default all nets come, in the order of
            `self.nets`.
        snapshots : iterable of int, optional
            Numbers from 1, or counted back from -1; all by default. Nets with none of them are left
            out.
        reuse : bool
            Read every net into the same array. This is faster, but the values of a net are lost
            when the next one is read. Without it, memory holds one net at a time if the caller
            drops it.

        Yields
        ------
        Vectors
            The snapshots of one net.
        """
        selected, table = self.select(nets, snapshots), self._rows
        buffer = np.empty(0, self.dtype.stored)
        last = len(selected.nets) - 1
        for i, (at, first, count, size) in enumerate(
            zip(selected.nets, selected.first, selected.counts, selected.sizes, strict=True)
        ):
            # The disk reads the next nets while this one is copied.
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

    def read(
        self, net: str, snapshot: int, start: int, length: int
    ) -> Float32[np.ndarray, " {length}"]:
        """Read consecutive values of one vector.

        Parameters
        ----------
        net : str
            The name of the net.
        snapshot : int
            As for `vector`.
        start : int
            The position of the first value.
        length : int
            The number of values.

        Returns
        -------
        ndarray of float32, shape (length,)
            A read-only view.
        """
        vector = self.vector(net, snapshot)
        if start < 0 or length < 0 or start + length > len(vector):
            raise UsageError(
                f"net {net}", f"values {start}..{start + length} are not within its {len(vector)}"
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
        out: Asked[np.ndarray, "n length"] | None = None,
    ) -> Slices:
        """Draw random slices: consecutive values of the selected part of vectors.

        Nets take turns in random order, so all nets are drawn equally often, up to one draw. The
        snapshot and the start are uniform. The same arguments give the same slices, and a larger
        `n` begins with the slices of a smaller one.

        Parameters
        ----------
        n : int
            The number of slices.
        length : int
            Values of a slice.
        seed : int
            A whole number from 0.
        nets : iterable of str, optional
            Names of nets; all by default. Nets with none of the `snapshots` are left out.
        snapshots : iterable of int, optional
            Numbers from 1, or counted back from -1, a net's last; all by default.
        part : {"all", "conv", "fc"}
            The layers whose values are drawn.
        running_stats : bool
            Whether the running statistics of batch norm are included.
        out : ndarray of float32, shape (n, length), optional
            An array in C order that is filled with the values.

        Returns
        -------
        Slices

        Raises
        ------
        UsageError
            If a slice is longer than a selected vector, or an argument is not possible.
        """
        if seed < 0:
            raise UsageError("seed", f"{seed} is below 0", "give a whole number from 0")
        if n < 1:
            raise UsageError(
                "slices", f"{n} of {length} values", "ask for at least one of one value"
            )
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
        """Find the vectors that `slices` with the same arguments draws from.

        Parameters
        ----------
        nets, snapshots, part, running_stats
            As for `slices`.

        Returns
        -------
        Selected
            The selection, for `starts` and `gather`.
        """
        if part not in ("all", *PARTS):
            raise UsageError("part", f"{part!r} is not one of all, {', '.join(PARTS)}")
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

    def starts(self, selected: Selected, length: int) -> Int[np.ndarray, " m"]:
        """Count the possible starts of a slice in each selected net.

        Parameters
        ----------
        selected : Selected
            What `select` returned.
        length : int
            Values of a slice.

        Returns
        -------
        ndarray of int64, shape (nets,)

        Raises
        ------
        UsageError
            If a slice is longer than the selected part of one of the nets.
        """
        if length < 1:
            raise UsageError("length", f"slices of {length} values", "ask for at least one value")
        room = selected.sizes - length + 1
        if room.min() < 1:
            short = int(room.argmin())
            size = int(selected.sizes[short])
            raise UsageError(
                f"net {self._names[selected.nets[short]]}",
                f"has {size:,} values in part {selected.part!r}, a slice of {length:,} does not "
                "fit",
                f"use `slice_length={size}` at most",
            )
        return room

    def gather(
        self,
        selected: Selected,
        which: Int[np.ndarray, " n"],
        rows: Int[np.ndarray, " n"],
        starts: Int[np.ndarray, " n"],
        out: Float32[np.ndarray, "n length"],
    ) -> None:
        """Read given slices into an array.

        Parameters
        ----------
        selected : Selected
            What `select` returned.
        which : ndarray of int64, shape (n,)
            Positions in `selected.nets`.
        rows : ndarray of int64, shape (n,)
            Rows of the table of snapshots.
        starts : ndarray of int64, shape (n,)
            Positions of the first values in the selected part.
        out : ndarray of float32, shape (n, length)
            An array in C order that is filled.
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
                    self._vector_name(wrong),
                    "the server gives other values for a slice than for the whole vector",
                    "read the zoo from another server",
                )
        if narrow:
            self.dtype.widen(stored, out)


def opened(zoo: Zoo | str | Path) -> Zoo:
    """Return a zoo unchanged, or open the one at a path.

    Parameters
    ----------
    zoo : Zoo, str or Path
        A zoo, or where it lies.

    Returns
    -------
    Zoo

    Raises
    ------
    DataError
        As `Zoo` raises it.
    """
    return zoo if isinstance(zoo, Zoo) else Zoo(zoo)
