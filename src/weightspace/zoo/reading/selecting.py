"""What slices are drawn from: nets, their snapshots and the values that a part selects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from weightspace.arrays import Int, Shaped
from weightspace.zoo.files.shardfiles import Read
from weightspace.zoo.reading.rows import Rows
from weightspace.zoo.reading.slices import Selection

_MOST_BUFFERS = 500  # in one read; systems allow 1,024
_JUNK = memoryview(bytearray(2**16))  # bytes between two pieces are read into this buffer


@dataclass(frozen=True)
class Selected:
    """The nets to draw slices from, as arrays, so that a slice needs no search.

    `nets` are positions in the zoo's table. `rows` are rows of the table of snapshots;
    net i has `counts[i]` of them from `first[i]`. `selections[kinds[i]]` says which values of its
    vectors are selected, and `sizes[i]` how many.
    """

    part: str
    nets: Int[np.ndarray, " m"]
    rows: Int[np.ndarray, " rows"]
    first: Int[np.ndarray, " m"]
    counts: Int[np.ndarray, " m"]
    selections: Sequence[Selection]
    kinds: Int[np.ndarray, " m"]
    sizes: Int[np.ndarray, " m"]


def wanted_rows(
    bounds: Int[np.ndarray, " bounds"],
    numbers: Int[np.ndarray, " rows"],
    nets: Int[np.ndarray, " m"],
    wanted: Sequence[int] | None,
) -> tuple[Int[np.ndarray, " found"], Int[np.ndarray, " m"]]:
    """The rows of the wanted snapshots, net after net, and how many each net has.

    `bounds` and `numbers` describe the whole zoo: the rows of net i are bounds[i]..bounds[i + 1],
    in ascending order of their numbers. Negative numbers count back from a net's last snapshot.
    Snapshots that a net does not have are left out.
    """
    sizes = np.diff(bounds)[nets]
    rows = np.repeat(bounds[nets] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    if wanted is None:
        return rows, sizes
    from_end = rows - np.repeat(bounds[nets + 1], sizes)
    keep = np.isin(numbers[rows], [s for s in wanted if s > 0])
    keep |= np.isin(from_end, [s for s in wanted if s < 0])
    owners = np.repeat(np.arange(len(nets)), sizes)[keep]
    return rows[keep], np.bincount(owners, minlength=len(nets))


def reads(
    table: Rows,
    rows: Int[np.ndarray, " n"],
    selections: Sequence[Selection],
    kinds: Int[np.ndarray, " n"],
    starts: Int[np.ndarray, " n"],
    out: Shaped[np.ndarray, "n length"],
) -> Iterator[Read]:
    """The reads that fill `out` with stored values, sorted by shard and position.

    For each slice, `rows` is its row of the table, `kinds` its position in `selections`, and
    `starts` its first value in the selected part.
    """
    length = out.shape[1]
    each = out.itemsize
    size = each * length
    view = out.data.cast("B")
    lows = np.array([-1 if one.only is None else one.only for one in selections])[kinds]
    offsets, shards, names = table.offsets[rows], table.shards[rows], table.names
    at = offsets + each * (lows + starts)
    order = np.lexsort((at, shards))
    for i, offset, code in zip(
        order.tolist(), at[order].tolist(), shards[order].tolist(), strict=True
    ):
        values = view[i * size : (i + 1) * size]
        if lows[i] >= 0:
            yield names[code], offset, (values,), size
        else:
            pieces = selections[kinds[i]].pieces(int(starts[i]), length)
            yield from _gathered(names[code], int(offsets[i]), pieces, values, each)


def extents(table: Rows, rows: Int[np.ndarray, " k"], size: int) -> Iterator[tuple[str, int, int]]:
    """Where vectors of `size` bytes lie: shard, first byte and bytes; neighbours are joined."""
    offsets, shards = table.offsets[rows], table.shards[rows]
    apart = (np.diff(offsets) != size) | (np.diff(shards) != 0)
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(rows)]
    for low, high in pairwise(edges):
        yield table.names[shards[low]], int(offsets[low]), (high - low) * size


def whole(
    table: Rows, rows: Int[np.ndarray, " k"], out: Shaped[np.ndarray, "k P"]
) -> Iterator[Read]:
    """The reads that fill `out` with whole stored vectors; neighbours are joined."""
    view = out.data.cast("B")
    for name, offset, size in extents(table, rows, out.itemsize * out.shape[1]):
        yield name, offset, (view[:size],), size
        view = view[size:]


def _gathered(
    name: str, offset: int, pieces: Sequence[tuple[int, int]], out: memoryview, each: int
) -> Iterator[Read]:
    """One read for pieces that are close together; the bytes between them are read and ignored."""
    buffers: list[memoryview] = []
    first = end = done = 0
    for low, count in pieces:
        gap = each * low - end
        if buffers and (gap > len(_JUNK) or len(buffers) > _MOST_BUFFERS):
            yield name, offset + first, buffers, end - first
            buffers = []
        if buffers:
            buffers.append(_JUNK[:gap])
        else:
            first = each * low
        buffers.append(out[done : done + each * count])
        done, end = done + each * count, each * (low + count)
    if buffers:
        yield name, offset + first, buffers, end - first
