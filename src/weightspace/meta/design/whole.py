"""Rows of whole nets, one for each net and snapshot: of layers, weights, tokens or slices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from weightspace.errors import UsageError
from weightspace.features import SLICES, pooled, tokens
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import Source, even_slices, held
from weightspace.progress import Progress, silent

if TYPE_CHECKING:
    from weightspace.networks import Layout
    from weightspace.zoo import Zoo

MOST_BYTES = 2**30
"""The most bytes of raw weights in memory; parallel folds hold a copy each."""


@dataclass(frozen=True)
class Alignment:
    """The structure that nets must share, so that their weights can be compared one by one.

    `key` is a hash of the roles, parts and shapes of the tensors that are read, in order (names of
    tensors do not matter); `values` is the number of their weights.
    """

    key: str
    values: int

    @classmethod
    def of(cls, layout: Layout, part: str = "all", running_stats: bool = True) -> Alignment:
        """The alignment of the tensors of a layout that are read."""
        chosen = [
            spec
            for spec in layout.tensors
            if part in ("all", spec.part) and (running_stats or not spec.role.startswith("running"))
        ]
        text = json.dumps([(spec.role, spec.part, spec.shape) for spec in chosen])
        key = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return cls(key, sum(spec.size for spec in chosen))


def alignments(zoo: Zoo, nets: Sequence[str], source: Source) -> set[Alignment]:
    """The alignments of these nets; a single one if their weights can be compared."""
    one_of_each = zoo.nets.filter(zoo.nets["net"].is_in(list(nets))).unique("layout")["net"]
    return {Alignment.of(zoo.layout(net), source.part, source.running_stats) for net in one_of_each}


def can_align(zoo: Zoo, nets: Sequence[str], source: Source) -> bool:
    """Whether raw weights of these nets can be compared and fit in memory."""
    found = alignments(zoo, nets, source)
    return len(found) == 1 and _bytes(zoo, nets, source, found) <= MOST_BYTES


def aligned(zoo: Zoo, nets: Sequence[str], source: Source) -> Alignment:
    """The alignment that these nets share; UsageError if they share none, or do not fit memory."""
    found = alignments(zoo, nets, source)
    if len(found) > 1:
        raise UsageError(
            "raw", f"needs nets of one layout, this zoo has {len(found):,}", "use layers"
        )
    size = _bytes(zoo, nets, source, found)
    if size > MOST_BYTES:
        raise UsageError(
            "raw",
            f"holds at most {MOST_BYTES / 1e9:.1f} GB of weights, these are {size / 1e9:.1f} "
            f"({len(nets):,} nets of {next(iter(found)).values:,} weights)",
            "read one snapshot or a part, or use layers",
        )
    return next(iter(found))


def _bytes(zoo: Zoo, nets: Sequence[str], source: Source, found: set[Alignment]) -> int:
    snapshots = held(zoo, source.snapshots)
    return 4 * next(iter(found)).values * sum(len(snapshots[net]) for net in nets)


def weight_rows(
    zoo: Zoo, nets: Sequence[str], source: Source, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Raw weights of nets that share a layout: float32 [n, P], and their nets, int64 [n].

    UsageError if the nets share no layout, or need more than `MOST_BYTES`.
    """
    width = aligned(zoo, nets, source).values
    snapshots = held(zoo, source.snapshots)
    owners = np.repeat(np.arange(len(nets)), [len(snapshots[net]) for net in nets])
    rows, row = np.empty((len(owners), width), np.float32), 0
    for i, net in enumerate(nets):
        ranges = zoo.layout(net).select(source.part, source.running_stats)
        for snapshot in snapshots[net]:
            vector = zoo.vector(net, snapshot)
            np.concatenate([vector[start:stop] for start, stop in ranges], out=rows[row])
            row += 1
        progress("reading weights", i + 1, len(nets))
    return rows, owners


def token_rows(
    zoo: Zoo, nets: Sequence[str], source: Source, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Layers of whole nets as tokens, float32 [n, F], and the nets of the rows, int64 [n]."""
    rows, owners = [], []
    snapshots = held(zoo, source.snapshots)
    with threadpool_limits(1, "blas"):  # matrices are small: threads would cost more than they save
        for i, net in enumerate(nets):
            layout = zoo.layout(net)
            for snapshot in snapshots[net]:
                vector = zoo.vector(net, snapshot)
                rows.append(
                    tokens(vector, layout, part=source.part, running_stats=source.running_stats)
                )
                owners.append(i)
            progress("reading tokens", i + 1, len(nets))
    return np.stack(rows), np.array(owners, np.int64)


def pooled_rows(
    zoo: Zoo, nets: Sequence[str], source: Source, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Slices of whole nets jointly, float32 [n, F], and the nets of the rows, int64 [n]."""
    rows, owners = [], []
    snapshots = held(zoo, source.snapshots)
    for i, net in enumerate(nets):
        ranges = zoo.layout(net).select(source.part, source.running_stats)
        for snapshot in snapshots[net]:
            vector = zoo.vector(net, snapshot)
            values = np.concatenate([vector[start:stop] for start, stop in ranges])
            rows.append(pooled(even_slices(values, source.slice_length, SLICES)))
            owners.append(i)
        progress("reading slices jointly", i + 1, len(nets))
    return np.stack(rows), np.array(owners, np.int64)


WHOLE_ROWS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "layers": net_rows,
    "weights": weight_rows,
    "tokens": token_rows,
    "pooled": pooled_rows,
}
"""Functions (zoo, nets, source, progress) -> rows [n, F] and their nets [n], by name."""
