"""A finished stack that is sent from one zoo to another: its tables, then its vectors by net."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.arrays import Float32
from weightspace.errors import DataError
from weightspace.networks import Layout
from weightspace.zoo.files import places, shard
from weightspace.zoo.format import manifest
from weightspace.zoo.reading.reader import Zoo
from weightspace.zoo.writing.writer import Writer


@dataclass(frozen=True)
class Parcel:
    """The rows of a stack's two tables, with checksums; everything but the vectors.

    `rows` is the number of snapshots of a net for which the shard has room.
    """

    unit: str
    layout: Layout
    rows: int
    nets: list[dict[str, Any]]
    snapshots: list[dict[str, Any]]


def pack(zoo: Zoo, unit: str) -> Parcel:
    """The parcel of a committed stack of `zoo`, with nets in the order of the shard."""
    header = shard.read(places.part(zoo.path, places.SHARDS, unit), zoo.dtype)
    nets = zoo.nets.filter(unit=unit).to_dicts()
    nets.sort(key=lambda row: header.nets.index(row["net"]))
    moments = zoo.snapshots.filter(pl.col("net").is_in(list(header.nets)))
    return Parcel(
        unit, zoo.layout(header.nets[0]), header.rows, nets, moments.drop("shard").to_dicts()
    )


def vectors(zoo: Zoo, parcel: Parcel) -> Iterator[Float32[np.ndarray, "k P"]]:
    """The vectors of each net of a parcel."""
    for row in parcel.nets:
        found = [zoo.vector(row["net"], number) for number in _numbers(parcel, row["net"])]
        yield np.stack(found) if found else np.empty((0, parcel.layout.size), np.float32)


def accept(writer: Writer, parcel: Parcel, stacks: Iterable[Float32[np.ndarray, "k P"]]) -> None:
    """Commit a parcel under the name of its stack; `stacks` are vectors as `vectors` gives them.

    Raises `DataError`, with the zoo unchanged, if a vector does not fit its checksum.
    """
    dtype = manifest.dtype(writer.meta)
    checksums = {(row["net"], row["snapshot"]): row["checksum"] for row in parcel.snapshots}
    nets = [row["net"] for row in parcel.nets]
    with writer.unit(parcel.unit, nets=nets, layout=parcel.layout, snapshots=parcel.rows) as out:
        for net, stack in zip(nets, stacks, strict=True):
            for number, vector in zip(_numbers(parcel, net), stack, strict=True):
                if shard.digest(dtype.narrow(vector).data) != checksums[net, number]:
                    raise DataError(
                        parcel.unit,
                        f"net {net}, snapshot {number} was damaged in transit",
                        "run the same command again to continue",
                    )
                out.put(net, number, vector)
        out.commit(nets=parcel.nets, snapshots=parcel.snapshots)


def twin(writer: Writer, path: Path) -> Writer:
    """A writer of an empty zoo elsewhere, whose stacks belong in the zoo of `writer`."""
    meta = writer.meta
    return Writer(
        path,
        space=manifest.space_of(meta),
        seed=meta["seed"],
        info=meta["info"],
        dtype=manifest.dtype(meta).name,
    )


def _numbers(parcel: Parcel, net: str) -> list[int]:
    return sorted(row["snapshot"] for row in parcel.snapshots if row["net"] == net)
