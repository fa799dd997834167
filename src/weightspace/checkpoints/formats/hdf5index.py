"""Where the chunks of an HDF5 dataset lie, as `libver="latest"` keeps it.

A dataset of fixed size has a fixed array, or none at all. One that may grow along one axis has an
extensible array, and along several a B-tree of version 2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.formats.hdf5chunks import Chunk
from weightspace.checkpoints.formats.hdf5dense import At, Spend, records
from weightspace.checkpoints.formats.hdf5messages import (
    ARRAY,
    EXTENSIBLE,
    IMPLICIT,
    NOWHERE,
    TREE,
    Bytes,
    newer,
)

_PLAIN, _FILTERED = 10, 11  # types of trees
_MOST_BITS = 40


@dataclass(frozen=True)
class Grid:
    """The chunks of a dataset: how many along each axis, of what sides and how many bytes.

    `growing` is the axis that has no end; -1 if none or several have none.
    """

    counts: tuple[int, ...]
    sides: tuple[int, ...]
    nbytes: int
    growing: int = -1

    def offset(self, index: int) -> tuple[int, ...]:
        """The first place of a chunk in the dataset, by its number."""
        axes = list(range(len(self.counts)))
        if self.growing > 0:  # it is the first one of an extensible array
            axes.insert(0, axes.pop(self.growing))
        place = [0] * len(axes)
        for axis in reversed(axes[1:]):
            index, place[axis] = divmod(index, self.counts[axis])
        place[axes[0]] = index
        return tuple(at * side for at, side in zip(place, self.sides, strict=True))


def grid(space: bytes, sides: tuple[int, ...], width: int) -> Grid:
    """The chunks of a dataset with a dataspace, sides of chunks, and bytes of a value."""
    head = Bytes(space)
    version, rank, flags = head.number(1), head.number(1), head.number(1)
    head.take(5 if version == 1 else 1)
    shape = [head.number(8) for _ in range(rank)]
    most = [head.number(8) for _ in range(rank)] if flags & 1 else shape
    endless = [axis for axis, end in enumerate(most) if end == NOWHERE]
    ends = [now if end == NOWHERE else end for now, end in zip(shape, most, strict=True)]
    counts = tuple(-(-end // side) for end, side in zip(ends, sides, strict=True))
    growing = endless[0] if len(endless) == 1 else -1
    return Grid(counts, sides, math.prod(sides) * width, growing)


def chunks(at: At, spend: Spend, kind: int, address: int, where: Grid) -> Iterator[Chunk]:
    """The chunks that were written."""
    if kind == TREE:
        yield from _of_tree(at, spend, address, where)
        return
    if kind == IMPLICIT:
        found: Iterator[tuple[int, int, int]] = (
            (address + number * where.nbytes, where.nbytes, 0)
            for number in range(math.prod(where.counts))
        )
    elif kind == ARRAY:
        found = _of_fixed(at, address, where)
    elif kind == EXTENSIBLE and where.growing >= 0:
        found = _of_extensible(at, spend, address, where)
    else:
        raise newer("index of chunks")
    for number, (position, size, mask) in enumerate(found):
        spend()
        if position != NOWHERE:
            yield Chunk(where.offset(number), position, size, mask)


def _of_tree(at: At, spend: Spend, address: int, where: Grid) -> Iterator[Chunk]:
    rank = len(where.sides)
    for record in records(at, spend, address, _PLAIN, _FILTERED):
        row = Bytes(record)
        position, size, mask = row.number(8), where.nbytes, 0
        if (left := row.left - 8 * rank) > 0:
            size, mask = row.number(left - 4), row.number(4)
        places = [row.number(8) for _ in range(rank)]
        offset = tuple(at * side for at, side in zip(places, where.sides, strict=True))
        yield Chunk(offset, position, size, mask)


def _elements(data: bytes, width: int, where: Grid) -> Iterator[tuple[int, int, int]]:
    """Address, bytes and filter mask of each element."""
    row = Bytes(data)
    while row.left:
        if width == 8:
            yield row.number(8), where.nbytes, 0
        else:
            yield row.number(8), row.number(width - 12), row.number(4)


def _checked(width: int, filtered: int, bits: int) -> None:
    good = width == 8 if not filtered else 12 < width <= 20
    if filtered > 1 or not good or bits > _MOST_BITS:
        raise broken("an index of chunks of wrong sizes")


def _of_fixed(at: At, address: int, where: Grid) -> Iterator[tuple[int, int, int]]:
    head = Bytes(at(address, 24))
    if head.take(4) != b"FAHD" or head.number(1):
        raise broken("an index of chunks that is none")
    filtered, width, bits = head.number(1), head.number(1), head.number(1)
    count, block = head.number(8), head.number(8)
    _checked(width, filtered, bits)
    if count != math.prod(where.counts):
        raise broken("an index of other chunks")
    if block == NOWHERE:
        return
    if at(block, 4) != b"FADB":
        raise broken("an index of chunks that is none")
    yield from _paged(at, block + 14, count, 1 << bits, width, where)


def _paged(
    at: At, start: int, count: int, page: int, width: int, where: Grid, marks: bytes | None = None
) -> Iterator[tuple[int, int, int]]:
    """The elements of a block: in one piece, or in pages with a checksum each.

    `marks` has a bit for each page that was written; a fixed array keeps it at its start.
    """
    if count <= page:
        yield from _elements(at(start, count * width), width, where)
        return
    pages = -(-count // page)
    if marks is None:
        marks = at(start, -(-pages // 8))
        start += len(marks)
    start += 4
    for number in range(pages):
        length = min(page, count - number * page)
        if marks[number // 8] >> (7 - number % 8) & 1:
            data = at(start + number * (page * width + 4), length * width)
            yield from _elements(data, width, where)
        else:
            yield from ((NOWHERE, 0, 0) for _ in range(length))


def _of_extensible(
    at: At, spend: Spend, address: int, where: Grid
) -> Iterator[tuple[int, int, int]]:
    head = Bytes(at(address, 72))
    if head.take(4) != b"EAHD" or head.number(1):
        raise broken("an index of chunks that is none")
    filtered, width, bits, first, least, pointers, paged = head.take(7)
    head.take(32)
    left, _, block = head.number(8), head.number(8), head.number(8)
    _checked(width, filtered, max(bits, paged))
    if least & (least - 1) or not least or pointers & (pointers - 1) or not pointers:
        raise broken("an index of chunks of wrong sizes")
    if block == NOWHERE:
        return
    left = min(left, math.prod(where.counts))
    offset = (bits + 7) // 8
    direct = 2 * (pointers.bit_length() - 1)  # super blocks whose blocks are known here
    supers = max(1 + bits - (least.bit_length() - 1), direct)
    inner = 2 * (pointers - 1)
    index = Bytes(at(block, 14 + first * width + 8 * (inner + supers - direct)))
    if index.take(4) != b"EAIB":
        raise broken("an index of chunks that is none")
    index.take(10)
    yield from _elements(index.take(min(first, left) * width), width, where)
    index.take(max(first - left, 0) * width)
    left -= min(first, left)
    known = [index.number(8) for _ in range(inner)]
    for number in range(supers):
        if left <= 0:
            return
        count, size = 1 << number // 2, least << (number + 1) // 2
        marks: list[bytes | None] = [None] * count
        if number < direct:
            blocks, known = known[:count], known[count:]
        else:
            blocks, marks = _super(at, index.number(8), count, size, 1 << paged, offset)
        for place, mark in zip(blocks, marks, strict=True):
            if left <= 0:
                return
            spend()
            if mark is None and size > 1 << paged:
                raise newer("index of chunks")
            taken = min(size, left)
            left -= taken
            if place == NOWHERE:
                yield from ((NOWHERE, 0, 0) for _ in range(taken))
                continue
            if at(place, 4) != b"EADB":
                raise broken("an index of chunks that is none")
            found = _paged(at, place + 14 + offset, size, 1 << paged, width, where, mark)
            yield from (element for element, _ in zip(found, range(taken), strict=False))


def _super(
    at: At, address: int, count: int, size: int, page: int, offset: int
) -> tuple[list[int], list[bytes | None]]:
    """The blocks of a super block, and which of their pages were written."""
    if address == NOWHERE:
        return [NOWHERE] * count, [None] * count
    marked = -(-(size // page) // 8) if size > page else 0
    block = Bytes(at(address, 14 + offset + count * (marked + 8)))
    if block.take(4) != b"EASB":
        raise broken("an index of chunks that is none")
    block.take(10 + offset)
    marks = [block.take(marked) if marked else None for _ in range(count)]
    return [block.number(8) for _ in range(count)], marks
