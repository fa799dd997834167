"""Which slices to take: a balanced, reproducible draw over nets, snapshots and positions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from weightspace.errors import UsageError


@dataclass(frozen=True)
class Slices:
    """Consecutive values of snapshots, one slice a row.

    `values` is float32 [n, length]; `net` (text), `snapshot` (int64, from 1) and `start` (int64,
    position of the first value in the selected part) are [n].
    """

    values: np.ndarray
    net: np.ndarray
    snapshot: np.ndarray
    start: np.ndarray

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Vectors:
    """All asked for of one net: `snapshots` int64 [k] from 1, `values` float32 [k, length]."""

    net: str
    snapshots: np.ndarray
    values: np.ndarray


def choose(available: np.ndarray, wanted: Sequence[int] | None) -> np.ndarray:
    """Positions in one net's `available` snapshot numbers (ascending) that were asked for.

    Negative numbers count from the net's last snapshot; what the net lacks is left out.
    """
    if wanted is None:
        return np.arange(len(available))
    resolved = {len(available) + s if s < 0 else -1 for s in wanted} & set(range(len(available)))
    exact = np.flatnonzero(np.isin(available, [s for s in wanted if s > 0]))
    return np.array(sorted(resolved | set(exact.tolist())), np.int64)


def check_out(out: np.ndarray, n: int, length: int) -> np.ndarray:
    """The array that slices are to be put in; refused where they would not fit it."""
    if out.dtype != np.float32 or out.shape != (n, length) or not out.flags.c_contiguous:
        raise UsageError(
            f"out: is {out.dtype} {list(out.shape)}; give float32 [{n}, {length}] in C order"
        )
    return out


def check_snapshots(snapshots: Iterable[int] | None) -> list[int] | None:
    """The snapshot numbers as a list; 0 and nothing at all are refused."""
    if snapshots is None:
        return None
    wanted = [int(s) for s in snapshots]
    if not wanted or 0 in wanted:
        raise UsageError(
            f"snapshots {wanted}: count from 1, or from -1 at the end; name at least one"
        )
    return wanted


def draw(
    n: int, counts: np.ndarray, room: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of n slices: which net, which of its candidate snapshots, which start.

    `counts` [m] are the candidate snapshots of each net, `room` [m] its possible starts. Every net
    comes once in each block of m slices, so nets are equally often there, give or take one. Each
    of the three choices has its own random stream: the first n of a larger draw are a draw of n.
    """
    order, which, where = (np.random.default_rng([seed, tag]) for tag in (1, 2, 3))
    m = len(counts)
    net = np.concatenate([order.permutation(m) for _ in range(-(-n // m))])[:n]
    pick = (which.random(n) * counts[net]).astype(np.int64)
    start = (where.random(n) * room[net]).astype(np.int64)
    return net, pick, start


class Selection:
    """The ranges of a vector that a part selects, as if joined into one shorter vector."""

    def __init__(self, ranges: Sequence[tuple[int, int]]) -> None:
        self._ranges = list(ranges)
        sizes = [stop - start for start, stop in self._ranges]
        self._edges = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])

    @property
    def size(self) -> int:
        """Values that are selected."""
        return int(self._edges[-1])

    @property
    def only(self) -> int | None:
        """Where in the vector the selection begins, if it is of one piece."""
        return self._ranges[0][0] if len(self._ranges) == 1 else None

    def pieces(self, start: int, length: int) -> list[tuple[int, int]]:
        """`length` selected values from `start` on, as (position in the vector, count)."""
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
