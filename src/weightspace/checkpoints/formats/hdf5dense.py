"""Lists of many links or attributes in HDF5 files: B-trees of version 2 and fractal heaps.

`libver="latest"` keeps more than 8 of them so. The tree has a key of each, with which the heap
finds its message. Only what is asked for is read, and every block is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.formats.hdf5messages import NOWHERE, Bytes, newer

LINKS, ATTRIBUTES, _HUGE = 5, 8, 1  # types of trees
_DEEPEST = 16
_MOST_ROWS = 64
_LARGEST_BLOCK = 2**26
At = Callable[[int, int], bytes]
Spend = Callable[[], None]


def listed(at: At, spend: Spend, said: bytes, kind: int) -> Iterator[bytes]:
    """The messages of links or attributes; `said` is what the header of their object says."""
    head = Bytes(said, 1)
    counted = 8 if kind == LINKS else 2  # the bytes of the number of the last
    head.take(counted * (head.number(1) & 1))
    heap, tree = head.number(8), head.number(8)
    if heap == NOWHERE or tree == NOWHERE:
        return
    objects = Heap(at, spend, heap)
    for row in records(at, spend, tree, kind):
        if kind == LINKS:
            yield objects.object(row[4:])
        elif len(row) > 8 and not row[8] & 2:  # not shared with other objects
            yield objects.object(row[:8])


def width_of(limit: int) -> int:
    """How many bytes a number up to a limit takes."""
    return max(limit.bit_length() - 1, 0) // 8 + 1


def records(at: At, spend: Spend, address: int, *kinds: int) -> Iterator[bytes]:
    """The records of a B-tree of version 2, in its order."""
    head = Bytes(at(address, 38))
    if head.take(4) != b"BTHD" or head.number(1) or head.number(1) not in kinds:
        raise broken("a tree that is none")
    size, width, depth = head.number(4), head.number(2), head.number(2)
    head.take(2)
    root, count = head.number(8), head.number(2)
    if not 16 <= size <= _LARGEST_BLOCK or not 0 < width <= size or depth > _DEEPEST:
        raise broken("a tree of wrong sizes")
    most = (size - 10) // width  # records of a node, from the leaves upwards
    counted, totals, total = width_of(most), [0], most
    for _ in range(depth):
        pointer = 8 + counted + totals[-1]
        most = max(size - 10 - pointer, 0) // (width + pointer)
        total = (most + 1) * total + most
        totals.append(width_of(total))
    seen: set[int] = set()
    waiting = [(root, count, depth)] if root != NOWHERE else []
    while waiting:
        position, count, level = waiting.pop()
        if position in seen:
            raise broken("a tree within itself")
        seen.add(position)
        spend()
        pointer = 8 + counted + totals[level - 1] if level else 0
        length = 6 + count * width + (count + 1) * pointer * bool(level)
        if length > size:
            raise broken("a tree of wrong sizes")
        node = Bytes(at(position, length))
        if node.take(4) != (b"BTIN" if level else b"BTLF"):
            raise broken("a tree that is none")
        node.take(2)
        for _ in range(count):
            spend()
            yield node.take(width)
        for _ in range(count + 1 if level else 0):
            child, below = node.number(8), node.number(counted)
            node.take(totals[level - 1])
            waiting.append((child, below, level - 1))


@dataclass(frozen=True)
class _Table:
    """The blocks of a heap: rows of `width` blocks, which double in size from row to row."""

    width: int
    first: int
    largest: int
    root: int
    rows: int


class Heap:
    """The objects of a fractal heap.

    Parameters
    ----------
    at : callable
        The bytes of the file from a place on, so many.
    spend : callable
        Counts what is read.
    address : int
        Where the heap is.
    """

    def __init__(self, at: At, spend: Spend, address: int) -> None:
        self._at, self._spend = at, spend
        head = Bytes(at(address, 142))
        if head.take(4) != b"FRHP" or head.number(1):
            raise broken("a heap that is none")
        self._id, filters = head.number(2), head.number(2)
        head.take(1)
        most = head.number(4)
        head.take(8)
        self._huge = head.number(8)
        head.take(12 * 8 - 16)
        width, first, largest = head.number(2), head.number(8), head.number(8)
        bits = head.number(2)
        head.take(2)
        root, rows = head.number(8), head.number(2)
        if filters:
            raise newer("compressed list")
        powers = all(n and not n & (n - 1) for n in (width, first, largest))
        if not powers or first > largest or largest > _LARGEST_BLOCK or rows > _MOST_ROWS:
            raise broken("a heap of wrong sizes")
        self._table = _Table(width, first, largest, root, rows)
        self._offset = (bits + 7) // 8
        self._length = min((largest.bit_length() + 6) // 8, width_of(most))
        self._blocks: dict[int, bytes] = {}
        self._far: dict[int, tuple[int, int]] | None = None

    def object(self, key: bytes) -> bytes:
        """The bytes of an object."""
        said = Bytes(key)
        kind = said.number(1)
        if kind & 0xC0 or len(key) != self._id:
            raise broken("an object of a heap that is none")
        if kind >> 4 == 1:
            return self._of_huge(int.from_bytes(key[1:9], "little"))
        if kind >> 4 == 2:
            return said.take((kind & 15) + 1)
        offset, length = said.number(self._offset), said.number(self._length)
        return self._at(self._place(offset, length), length)

    def _of_huge(self, number: int) -> bytes:
        if self._id >= 17:
            raise newer("list of large attributes")
        if self._far is None:
            self._far = {}
            for record in records(self._at, self._spend, self._huge, _HUGE):
                row = Bytes(record)
                address, length, which = row.number(8), row.number(8), row.number(8)
                self._far[which] = address, length
        if number not in self._far:
            raise broken("an object of a heap that is nowhere")
        return self._at(*self._far[number])

    def _place(self, offset: int, length: int) -> int:
        """Where an object is in the file."""
        table = self._table
        address, rows = table.root, table.rows
        if not rows:
            return self._within(address, offset, length, table.first)
        for _ in range(_DEEPEST):
            row = (offset // (table.first * table.width)).bit_length()
            size = table.first << max(row - 1, 0)
            start = table.width * size if row else 0
            column = (offset - start) // size
            if row >= rows:
                break
            place = row * table.width + column
            address = int.from_bytes(self._indirect(address, rows)[8 * place :][:8], "little")
            offset -= start + column * size
            if size <= table.largest:
                return self._within(address, offset, length, size)
            rows = (size // (table.first * table.width)).bit_length()
        raise broken("an object of a heap that is nowhere")

    def _within(self, address: int, offset: int, length: int, size: int) -> int:
        if address == NOWHERE or offset + length > size:
            raise broken("an object of a heap that is nowhere")
        return address + offset

    def _indirect(self, address: int, rows: int) -> bytes:
        """The addresses of the blocks in an indirect block."""
        if address not in self._blocks:
            self._spend()
            head = 13 + self._offset
            block = self._at(address, head + 8 * rows * self._table.width)
            if block[:4] != b"FHIB":
                raise broken("a heap that is none")
            self._blocks[address] = block[head:]
        return self._blocks[address]
