"""The tables as plain arrays, built once, so that reading a slice needs no search in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from weightspace.arrays import Int, Int64
from weightspace.zoo.reading.frames import numbers, one_chunk


@dataclass(frozen=True)
class Rows:
    """Where every vector lies, in the order of the table of snapshots.

    The rows of net i are bounds[i]..bounds[i + 1]. `numbers` (of snapshots), `offsets` (bytes),
    `lengths` (values) and `shards` (positions in `names`) have an entry for each row. `starts` and
    `ends` say where the data of each shard lies, in bytes; the reader sets them when it first opens
    the shard, and until then the end is -1.
    """

    bounds: Int[np.ndarray, " bounds"]  # one more than nets
    numbers: Int[np.ndarray, " rows"]
    offsets: Int64[np.ndarray, " rows"]
    lengths: Int64[np.ndarray, " rows"]
    shards: Int[np.ndarray, " rows"]
    names: list[str]
    starts: Int64[np.ndarray, " names"]
    ends: Int64[np.ndarray, " names"]

    @classmethod
    def of(cls, nets: int, owners: Int64[np.ndarray, " rows"], snapshots: pa.Table) -> Rows:
        """Make the arrays from the table of snapshots, whose rows are in the order of the nets.

        `owners` are the positions of the rows' nets, of which there are `nets`.
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
