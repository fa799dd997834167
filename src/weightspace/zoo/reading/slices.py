"""Which slices to read: a balanced, reproducible draw over nets, snapshots and positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from weightspace.arrays import Asked, Float32, Int, Int64, Shaped
from weightspace.errors import UsageError


@dataclass(frozen=True)
class Slices:
    """Consecutive values of vectors, one slice in each row.

    Attributes
    ----------
    values : ndarray of float32, shape (n, length)
        The values.
    net : ndarray of str, shape (n,)
        The name of each slice's net.
    snapshot : ndarray of int64, shape (n,)
        The number of the snapshot, from 1.
    start : ndarray of int64, shape (n,)
        The position of the first value in the selected part of the vector.
    """

    values: Float32[np.ndarray, "n length"]
    net: Shaped[np.ndarray, " n"]
    snapshot: Int64[np.ndarray, " n"]
    start: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Vectors:
    """Snapshots of one net.

    Attributes
    ----------
    net : str
        The name of the net.
    snapshots : ndarray of int64, shape (k,)
        Their numbers, from 1.
    values : ndarray of float32, shape (k, layout.size)
        One flat vector in each row.
    """

    net: str
    snapshots: Int64[np.ndarray, " k"]
    values: Float32[np.ndarray, "k P"]


def choose(
    available: Int[np.ndarray, " k"], wanted: Sequence[int] | None
) -> Int64[np.ndarray, " chosen"]:
    """The positions of wanted numbers among the snapshot numbers of one net, which ascend.

    Negative numbers count back from the net's last snapshot. Snapshots that it lacks are left out.
    """
    if wanted is None:
        return np.arange(len(available))
    resolved = {len(available) + s if s < 0 else -1 for s in wanted} & set(range(len(available)))
    exact = np.flatnonzero(np.isin(available, [s for s in wanted if s > 0]))
    return np.array(sorted(resolved | set(exact.tolist())), np.int64)


def check_out(
    out: Asked[np.ndarray, "n length"], n: int, length: int
) -> Float32[np.ndarray, "{n} {length}"]:
    """The array that receives slices; UsageError if its type or shape does not fit."""
    if out.dtype != np.float32 or out.shape != (n, length) or not out.flags.c_contiguous:
        raise UsageError(
            "out", f"is {out.dtype} {list(out.shape)}", f"give float32 [{n}, {length}] in C order"
        )
    return out


def check_snapshots(snapshots: Iterable[int] | None) -> list[int] | None:
    """The snapshot numbers as a list; UsageError for an empty list or a 0."""
    if snapshots is None:
        return None
    wanted = [int(s) for s in snapshots]
    if not wanted or 0 in wanted:
        raise UsageError(
            f"snapshots {wanted}", "count from 1, or from -1 at the end", "name at least one"
        )
    return wanted


def draw(
    n: int, counts: Int[np.ndarray, " m"], room: Int[np.ndarray, " m"], seed: int
) -> tuple[Int64[np.ndarray, " {n}"], Int64[np.ndarray, " {n}"], Int64[np.ndarray, " {n}"]]:
    """For each of n slices: which net, which of its candidate snapshots, which start.

    `counts` are the candidate snapshots of each net, `room` its possible starts. In each
    block of m slices every net occurs once, so all nets are drawn equally often, up to one draw.
    Each of the three choices has its own random stream, so the first n slices of a larger draw are
    a draw of n.
    """
    order, which, where = (np.random.default_rng([seed, tag]) for tag in (1, 2, 3))
    m = len(counts)
    net = np.concatenate([order.permutation(m) for _ in range(-(-n // m))])[:n]
    pick = (which.random(n) * counts[net]).astype(np.int64)
    start = (where.random(n) * room[net]).astype(np.int64)
    return net, pick, start


class Selection:
    """The ranges of a vector that a part selects, treated as one shorter vector."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = list(ranges)
        sizes = [stop - start for start, stop in self._ranges]
        self._edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @property
    def size(self) -> int:
        """The number of selected values."""
        return int(self._edges[-1])

    @property
    def only(self) -> int | None:
        """Where the selection begins in the vector, if it is one range."""
        return self._ranges[0][0] if len(self._ranges) == 1 else None

    def pieces(self, start: int, length: int) -> list[tuple[int, int]]:
        """`length` selected values from `start`, as (position in the vector, count)."""
        at = int(np.searchsorted(self._edges, start, "right")) - 1
        found, done = [], 0
        while done < length:
            low, high = self._ranges[at]
            low += start + done - int(self._edges[at])
            take = min(high - low, length - done)
            found.append((low, take))
            done += take
            at += 1
        return found
