"""The tables as plain arrays, built once, so that reading a slice needs no search in a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from weightspace.arrays import Int, Int64


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
    def of(cls, nets: pl.DataFrame, snapshots: pl.DataFrame) -> Rows:
        """Make the arrays from a zoo's two tables; snapshots must be in the order of the nets."""
        order = nets.select("net").with_row_index("at")
        owners = snapshots.select("net").join(order, on="net", how="left", maintain_order="left")
        names = snapshots["shard"].unique().sort()
        return cls(
            np.searchsorted(owners["at"].to_numpy(), np.arange(len(nets) + 1)),
            snapshots["snapshot"].to_numpy(),
            snapshots["offset"].to_numpy(),
            snapshots["length"].to_numpy(),
            np.searchsorted(names.to_numpy(), snapshots["shard"].to_numpy()),
            names.to_list(),
            np.zeros(len(names), np.int64),
            np.full(len(names), -1, np.int64),
        )
