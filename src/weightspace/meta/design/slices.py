"""Rows of features from the slices of a zoo's nets, a few nets at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.features import SHORTEST, local, statistics
from weightspace.progress import Progress, silent
from weightspace.zoo.reading.slices import check_snapshots, choose

if TYPE_CHECKING:
    from weightspace.zoo import Zoo

SLICE_FEATURES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "statistics": statistics,
    "local": local,
    "values": lambda values: values,
}
"""Functions that compute features of slices, float32 [n, L] -> float32 [n, F], by name."""

_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """Which values of which vectors are read.

    `snapshots` count from 1, or back from -1; `part` is "all", "conv" or "fc"; without
    `running_stats` the running means and variances are skipped. A snapshot that is named twice,
    as -1 and as its number, is read once.
    """

    slice_length: int = 5000
    snapshots: tuple[int, ...] = (-1,)
    part: str = "all"
    running_stats: bool = True

    def require(self, zoo: Zoo, nets: Sequence[str]) -> None:
        """Raise UsageError if slices are too short for features or too long for a vector."""
        if self.slice_length < SHORTEST:
            raise UsageError(
                "slice_length",
                f"{self.slice_length} values are too few",
                f"give at least {SHORTEST}",
            )
        shortest, net = self.shortest(zoo, nets)
        if self.slice_length > shortest:
            raise UsageError(
                "slice_length",
                f"{self.slice_length:,} values do not fit the shortest vector (net {net}, part "
                f"{self.part!r}: {shortest:,})",
                f"lower it to {shortest} or less",
            )

    def shortest(self, zoo: Zoo, nets: Sequence[str]) -> tuple[int, str]:
        """The number of values read from the shortest of the nets' vectors, and that net."""
        sizes: dict[str, int] = {}
        known = dict(zoo.nets.select("net", "layout").iter_rows())
        for net in nets:
            if known[net] not in sizes:
                ranges = zoo.layout(net).select(self.part, self.running_stats)
                sizes[known[net]] = sum(stop - start for start, stop in ranges)
        return min((sizes[known[net]], net) for net in nets)


def held(zoo: Zoo, snapshots: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Those of `snapshots` that each net has, as ascending numbers; nets with none are left out.

    `snapshots` count from 1, or back from the net's last at -1. UsageError if there are none.
    """
    wanted = check_snapshots(snapshots)
    numbers = zoo.snapshots.group_by("net", maintain_order=True).agg(pl.col("snapshot").sort())
    found = {}
    for net, own in numbers.iter_rows():
        chosen = np.asarray(own)[choose(np.asarray(own), wanted)]
        if len(chosen):
            found[net] = tuple(chosen.tolist())
    return found


def random_slices(
    zoo: Zoo,
    nets: Sequence[str],
    functions: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    source: Source,
    *,
    per_net: int,
    seed: int,
    progress: Progress = silent,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Features of `per_net` random slices of every net; all functions read the same slices.

    Returns name -> float32 [n, F], and the net of each row as a position in `nets`, int64 [n].
    Only the slices of a few nets are in memory at a time.
    """
    place = {net: i for i, net in enumerate(nets)}
    rows: dict[str, list[np.ndarray]] = {name: [] for name in functions}
    owners = []
    for number, chunk in enumerate(_chunks(nets, per_net * source.slice_length * 4)):
        drawn = zoo.slices(
            per_net * len(chunk),
            source.slice_length,
            int(np.random.default_rng([seed, number]).integers(2**62)),
            nets=chunk,
            snapshots=source.snapshots,
            part=source.part,
            running_stats=source.running_stats,
        )
        owners.append(np.array([place[net] for net in drawn.net.tolist()], np.int64))
        for name, function in functions.items():
            rows[name].append(function(drawn.values))
        progress("reading slices", place[chunk[-1]] + 1, len(nets))
    return {name: np.concatenate(parts) for name, parts in rows.items()}, np.concatenate(owners)


def fresh_slices(
    zoo: Zoo, nets: Sequence[str], source: Source
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """Make a function that draws one random slice of each of some nets.

    The function takes positions in `nets`, int [b], and a random stream, and returns float32
    [b, L], different at every call. All nets must have one of the source's snapshots.
    """
    selected = zoo.select(nets, source.snapshots, source.part, source.running_stats)
    room = zoo.starts(selected, source.slice_length)

    def draw(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        picked = (rng.random(len(places)) * selected.counts[places]).astype(np.int64)
        starts = (rng.random(len(places)) * room[places]).astype(np.int64)
        out = np.empty((len(places), source.slice_length), np.float32)
        zoo.gather(selected, places, selected.rows[selected.first[places] + picked], starts, out)
        return out

    return draw


def even_slices(values: np.ndarray, length: int, count: int) -> np.ndarray:
    """Cut `count` slices of a vector [P] at equal distances, with both ends: [count, length]."""
    starts = np.linspace(0, len(values) - length, count).round().astype(np.int64)
    return np.stack([values[start : start + length] for start in starts])


def _chunks(nets: Sequence[str], bytes_per_net: int) -> Iterator[list[str]]:
    size = max(1, _BYTES // max(1, bytes_per_net))
    for start in range(0, len(nets), size):
        yield list(nets[start : start + size])
