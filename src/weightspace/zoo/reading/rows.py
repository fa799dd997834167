"""The tables as plain arrays, built once, so that reading a slice needs no search in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from weightspace.zoo.reading.frames import numbers, one_chunk


@dataclass(frozen=True)
class Rows:
    """Where every vector lies, in the order of the table of snapshots.

    `bounds` int64 [nets + 1]: the rows of net i are bounds[i]..bounds[i + 1]. `numbers` (of
    snapshots), `offsets` (bytes), `lengths` (values) and `shards` (positions in `names`) are int64
    [rows]. `starts` and `ends` int64 [names] say where the data of each shard lies, in bytes; the
    reader sets them when it first opens the shard, and until then the end is -1.
    """

    bounds: np.ndarray
    numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    shards: np.ndarray
    names: list[str]
    starts: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, nets: int, owners: np.ndarray, snapshots: pa.Table) -> Rows:
        """Make the arrays from the table of snapshots, whose rows are in the order of the nets.

        `owners` int64 [rows] are the positions of the rows' nets, of which there are `nets`.
        """
        shards = one_chunk(snapshots["shard"]).dictionary_encode()
        found = shards.dictionary.to_pylist()
        names = sorted(found)
        place = {name: code for code, name in enumerate(names)}
        codes = np.array([place[name] for name in found], np.int64)
        return cls(
            np.searchsorted(owners, np.arange(nets + 1)),
            numbers(snapshots["snapshot"]),
            numbers(snapshots["offset"]),
            numbers(snapshots["length"]),
            codes[shards.indices.to_numpy(zero_copy_only=False)],
            names,
            np.zeros(len(names), np.int64),
            np.full(len(names), -1, np.int64),
        )
