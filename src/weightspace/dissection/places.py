"""Places in a net: which values of a vector belong to each place, for any layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from weightspace.errors import UsageError
from weightspace.features import SHORTEST

if TYPE_CHECKING:
    from weightspace.networks import Layout

Ranges = list[tuple[int, int]]
PARTS = ("conv", "fc")
_APART = 20
"""The most windows along a vector that do not overlap; more windows have the same length."""


@dataclass(frozen=True)
class Place:
    """A place to read: `select` returns the ranges [start, stop) of a vector from its layout.

    `count` slices of `length` values are read there; both are the same for every net.
    """

    axis: str
    name: str
    select: Callable[[Layout], Ranges]
    running_stats: bool = True
    length: int = 0
    count: int = 1

    def room(self, layout: Layout) -> int:
        """How many values a vector of this layout has at this place."""
        return sum(stop - start for start, stop in self.select(layout))

    def read(self, vector: np.ndarray, layout: Layout) -> np.ndarray:
        """Read `count` evenly spaced slices at this place: float32 [count, length]."""
        pieces = [vector[start:stop] for start, stop in self.select(layout)]
        joined = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        starts = slice_starts(len(joined), self.length, self.count)
        return np.stack([joined[start : start + self.length] for start in starts])

    def extent(self, layout: Layout) -> tuple[float, float]:
        """The relative range, within 0..1, from the first to the last value that is read."""
        ranges = self.select(layout)
        if len(ranges) > 1 or self.count > 1:
            return ranges[0][0] / layout.size, ranges[-1][1] / layout.size
        start = ranges[0][0] + int(slice_starts(self.room(layout), self.length, 1)[0])
        return start / layout.size, (start + self.length) / layout.size


def slice_starts(size: int, length: int, count: int) -> np.ndarray:
    """The starts of `count` slices of `length` among `size` values: centred, or with both ends."""
    if count == 1:
        return np.array([(size - length) // 2], np.int64)
    return np.linspace(0, size - length, count).round().astype(np.int64)


def whole(layouts: Sequence[Layout], slice_length: int, count: int) -> Place:
    """The whole vector, read in `count` slices at equal distances."""
    place = Place("whole", "all", lambda layout: [(0, layout.size)], count=count)
    return _fitted(place, layouts, slice_length)


def along(layouts: Sequence[Layout], slice_length: int, positions: int) -> list[Place]:
    """Windows at the same relative positions of every vector, from its start to its end.

    Up to `_APART` windows do not overlap. More windows overlap, so that each has enough values.
    """
    if positions < 1:
        raise UsageError("positions", f"{positions} is no number of places", "give at least 1")
    windows = [
        Place("position", _window_name(i, positions), _window(i, positions))
        for i in range(positions)
    ]
    return _alike(windows, layouts, slice_length)


def parts(layouts: Sequence[Layout], slice_length: int, count: int) -> list[Place]:
    """The parts conv and fc, each with and without running statistics, read at one length.

    If no net has running statistics, there is one place for each part. If a net has only one part,
    there is no place.
    """
    if not all(layout.select(part) for layout in layouts for part in PARTS):
        return []
    running = any(len(layout.indices("all", False)) < layout.size for layout in layouts)
    found = [
        Place("part", part, _part(part, keep), keep, count=count)
        for part in PARTS
        for keep in ((True, False) if running else (True,))
    ]
    return _alike(found, layouts, slice_length)


def depths(layouts: Sequence[Layout], slice_length: int) -> list[Place]:
    """The first, middle and last layer of each part; a short layer is read with its neighbours.

    There is a middle layer if every net has three layers of the part, and a first and a last one if
    every net has two. Otherwise the place is called the only layer.
    """
    found = []
    for part in PARTS:
        fewest = min(len(_layers(layout, part)) for layout in layouts)
        names = {0: (), 1: ("only",), 2: ("first", "last")}.get(fewest, ("first", "middle", "last"))
        found += [Place("depth", f"{name} {part}", _layer(part, name)) for name in names]
    return [_fitted(place, layouts, slice_length) for place in found]


def _alike(found: Sequence[Place], layouts: Sequence[Layout], slice_length: int) -> list[Place]:
    """The places, all with the longest length that fits each of them."""
    length = min(_fitted(place, layouts, slice_length).length for place in found)
    return [replace(place, length=length) for place in found]


def _fitted(place: Place, layouts: Sequence[Layout], slice_length: int) -> Place:
    """The place with the longest slices that fit every layout, of at most `slice_length`."""
    shortest = min(place.room(layout) for layout in layouts)
    if min(shortest, slice_length) < SHORTEST:
        what = "slice_length" if slice_length < SHORTEST else f"{place.axis} {place.name}"
        raise UsageError(
            what,
            f"{min(shortest, slice_length)} values are too few to read",
            f"{SHORTEST} are needed",
        )
    return replace(place, length=min(shortest, slice_length))


def _window_ends(index: int, positions: int) -> tuple[Fraction, Fraction]:
    """The relative range, within 0..1, of window `index` of `positions`."""
    share = Fraction(1, min(positions, _APART))
    start = Fraction(index, max(1, positions - 1)) * (1 - share)
    return start, start + share


def _window_name(index: int, positions: int) -> str:
    start, stop = (float(100 * end) for end in _window_ends(index, positions))
    return f"{start:.3g}–{stop:.3g} %"


def _window(index: int, positions: int) -> Callable[[Layout], Ranges]:
    start, stop = _window_ends(index, positions)

    def select(layout: Layout) -> Ranges:
        return [_widened(int(start * layout.size), int(stop * layout.size), layout.size)]

    return select


def _part(part: str, running_stats: bool) -> Callable[[Layout], Ranges]:
    return lambda layout: layout.select(part, running_stats)


def _layer(part: str, name: str) -> Callable[[Layout], Ranges]:
    def select(layout: Layout) -> Ranges:
        ranges = _layers(layout, part)
        index = {"middle": len(ranges) // 2, "last": len(ranges) - 1}.get(name, 0)
        return [_widened(*ranges[index], layout.size)]

    return select


def _layers(layout: Layout, part: str) -> Ranges:
    """The range of each layer of a part, in order."""
    found: dict[int, tuple[int, int]] = {}
    for tensor in layout.tensors:
        if tensor.part == part:
            start, _ = found.get(tensor.layer, (tensor.offset, 0))
            found[tensor.layer] = (start, tensor.stop)
    return list(found.values())


def _widened(start: int, stop: int, size: int) -> tuple[int, int]:
    """The range, widened around its centre to the length that features need, within 0..size."""
    missing = max(0, min(SHORTEST, size) - (stop - start))
    start = min(max(0, start - missing // 2), size - (stop - start) - missing)
    return start, max(stop, start + min(SHORTEST, size))
