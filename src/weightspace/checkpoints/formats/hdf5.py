"""HDF5 files: groups, attributes, and where the values of each dataset lie.

Read by the description of the format; neither h5py nor the HDF5 library is needed, which can hang
on a damaged file. Links to other places are not followed, and no filter is run but gzip's, shuffle
and the checksum's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from weightspace.checkpoints.dtypes import DTYPES, UINT8
from weightspace.checkpoints.formats import hdf5dense as dense
from weightspace.checkpoints.formats import hdf5index
from weightspace.checkpoints.formats import hdf5messages as messages
from weightspace.checkpoints.formats.apart import overlap
from weightspace.checkpoints.formats.cursor import broken, cut_short
from weightspace.checkpoints.formats.hdf5chunks import Chunk, Chunked, chunk_of, known_filters
from weightspace.checkpoints.formats.hdf5messages import NOWHERE, Attribute, Bytes
from weightspace.checkpoints.formats.hdf5objects import LAYOUT, Object
from weightspace.checkpoints.formats.part import Part
from weightspace.checkpoints.formats.unpacking import check_unpacked
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.tensors import Storage, Tensor, contiguous
from weightspace.printable import printable

MAGIC = b"\x89HDF\r\n\x1a\n"
_SPACE, _LINKS, _TYPE, _OUTSIDE, _LINK = 0x1, 0x2, 0x3, 0x7, 0x6
_FILTERS, _MORE, _TABLE = 0xB, 0x10, 0x11
_MOST_OBJECTS = 2**17
_MOST_BYTES = 2**26  # of all structures
_DEEPEST = 24
_MOST_TEXTS = 2**16


class Hdf5:
    """The groups and datasets of a file.

    Parameters
    ----------
    part : Part
        The bytes of the file.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._objects = _MOST_OBJECTS
        self._bytes = _MOST_BYTES
        self._members: dict[int, dict[str, int]] = {}
        self._known: dict[int, Object] = {}
        self.unpacked = 0  # bytes of datasets that are not stored as they are
        self._packed = 0
        self._values: list[tuple[int, int]] = []  # start and end of all values
        self._structures = [(0, 48)]  # and of what describes them, the least of the first block
        self.root = self.object(self._root())

    def _at(self, position: int, length: int) -> bytes:
        self._bytes -= length
        if self._bytes < 0:
            raise broken(f"more than {_MOST_BYTES:,} bytes that describe its values")
        if not 0 <= position <= self._part.size - length:
            raise cut_short()
        data = bytearray(length)
        self._part.seek(position)
        if self._part.readinto(data) < length:
            raise cut_short()
        return bytes(data)

    def _block(self, position: int, length: int) -> Bytes:
        """A part of a structure; no values may lie in it."""
        self._structures.append((position, position + length))
        return Bytes(self._at(position, length))

    def check_apart(self) -> None:
        """Refuse a file in which values lie in a structure, or in those of another dataset."""
        if found := overlap(self._values, self._structures):
            raise broken(f"the values at byte {found[0]:,} are something else, too")

    def _spend(self) -> None:
        self._objects -= 1
        if self._objects < 0:
            raise broken(f"more than {_MOST_OBJECTS:,} objects")

    def _root(self) -> int:
        head = Bytes(self._at(0, min(96, self._part.size)))
        if head.take(8) != MAGIC:
            raise broken("no HDF5 file")
        version = head.number(1)
        if version in (0, 1):
            head.take(4)
            widths = head.take(2)
            head.take(9 + 4 * version)
            base = head.number(8)
            head.take(8)
            end = head.number(8)
            head.take(16)
        elif version in (2, 3):
            widths = head.take(2)
            head.take(1)
            base = head.number(8)
            head.take(8)
            end = head.number(8)
        else:
            raise messages.newer("superblock")
        if widths != b"\x08\x08" or base:
            raise Refusal(
                "an HDF5 file with short addresses or a user block", "write it again with h5py"
            )
        if end > self._part.size:
            raise cut_short()
        return head.number(8)

    # ---- objects

    def object(self, address: int) -> Object:
        """The object at an address."""
        if address not in self._known:
            self._spend()
            new = self._at(address, 4) == b"OHDR"
            found = list(self._new_header(address) if new else self._old_header(address))
            self._known[address] = Object(address, found, self._dense)
        return self._known[address]

    def _old_header(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        head = self._block(address, 16)
        if head.number(1) != 1:
            raise broken("an object without a header")
        head.take(1)
        count = head.number(2)
        head.take(4)
        blocks = [(address + 16, head.number(4))]
        for position, length in blocks:  # grows while it is walked
            block = self._block(position, length)
            while block.left >= 8 and count:
                kind, size = block.number(2), block.number(2)
                flags = block.number(1)
                block.take(3)
                data = block.take(size)
                count -= 1
                self._spend()
                if kind == _MORE:
                    blocks.append((Bytes(data).number(8), Bytes(data, 8).number(8)))
                else:
                    yield kind, flags, data

    def _new_header(self, address: int) -> Iterator[tuple[int, int, bytes]]:
        head = Bytes(self._at(address, min(64, self._part.size - address)))
        head.take(4)
        if head.number(1) != 2:
            raise messages.newer("header of an object")
        flags = head.number(1)
        head.take((16 if flags & 32 else 0) + (4 if flags & 16 else 0))
        length = head.number(1 << (flags & 3))
        blocks = [(address + head.at, length)]
        for number, (position, size) in enumerate(blocks):  # grows while it is walked
            if number:  # a mark before, and a checksum behind
                position, size = position + 4, size - 8
            block = self._block(position, max(size, 0))
            while block.left >= (6 if flags & 4 else 4):
                kind, length = block.number(1), block.number(2)
                said = block.number(1)
                block.take(2 if flags & 4 else 0)
                data = block.take(length)
                self._spend()
                if kind == _MORE:
                    blocks.append((Bytes(data).number(8), Bytes(data, 8).number(8)))
                else:
                    yield kind, said, data

    # ---- groups

    def members(self, group: Object) -> dict[str, int]:
        """The names in a group, and the addresses of their objects; no links to other places."""
        if group.address not in self._members:
            table = group.message(_TABLE)
            found = self._linked(group) if table is None else self._listed(Bytes(table))
            self._members[group.address] = {k: at for k, at in found if at != NOWHERE}
        return self._members[group.address]

    def _linked(self, group: Object) -> list[tuple[str, int]]:
        found = [messages.member(data) for kind, _, data in group.messages if kind == _LINK]
        if (said := group.message(_LINKS)) is not None:
            found += sorted(map(messages.member, self._dense(said, dense.LINKS)))
        return found

    def _dense(self, said: bytes, kind: int) -> Iterator[bytes]:
        """The messages of links or attributes that are not in the header of their object."""
        return dense.listed(self._at, self._spend, said, kind)

    def _listed(self, table: Bytes) -> list[tuple[str, int]]:
        tree, heap = table.number(8), self._block(table.number(8), 32)
        if heap.take(4) != b"HEAP":
            raise broken("a group without names")
        heap.take(4)
        size = heap.number(8)
        heap.take(8)
        names = self._block(heap.number(8), size).data
        found: list[tuple[str, int]] = []
        for leaf in self._leaves(tree, 0, 0):
            node = self._block(leaf, 8)
            if node.take(4) != b"SNOD":
                raise broken("a group without members")
            node.take(2)
            rows = self._block(leaf + 8, 40 * node.number(2))
            while rows.left:
                self._spend()
                start, address, kind = rows.number(8), rows.number(8), rows.number(4)
                rows.take(20)
                end = names.find(b"\0", start)
                if not 0 <= start < end:
                    raise broken("a member without a name")
                name = names[start:end].decode("utf-8", "replace")
                found.append((name, NOWHERE if kind == 2 else address))
        return found

    def _leaves(self, address: int, kind: int, rank: int) -> Iterator[Any]:
        """What the leaves of a tree lead to: addresses, or chunks for `kind` 1."""
        width = 8 if kind == 0 else 8 + 8 * (rank + 1)
        waiting = [(address, -1)]
        seen: set[int] = set()
        while waiting:
            position, level = waiting.pop()
            if position in seen:
                raise broken("a tree within itself")
            seen.add(position)
            self._spend()
            node = self._block(position, 24)
            if node.take(4) != b"TREE" or node.number(1) != kind:
                raise broken("a tree that is none")
            depth, count = node.number(1), node.number(2)
            if level not in (-1, depth + 1):
                raise broken("a tree of wrong depth")
            rows = self._block(position + 24, count * (width + 8))
            below: list[tuple[int, int]] = []
            for _ in range(count):
                key, child = rows.take(width), rows.number(8)
                if depth:
                    below.append((child, depth))
                elif kind == 0:
                    yield child
                else:
                    self._spend()
                    yield chunk_of(key, child)
            waiting += reversed(below)

    def inner(self, group: Object | None, path: str) -> Object | None:
        """What is under a path of names; None if nothing is, or a link to another place."""
        for name in path.split("/"):
            if group is None or group.is_dataset:
                return None
            address = self.members(group).get(name)
            group = None if address is None else self.object(address)
        return group

    def datasets(self, group: Object) -> Iterator[tuple[str, Object]]:
        """The paths and datasets in a group and the groups in it, each object once."""
        waiting = [("", group, 0)]
        seen: set[int] = set()
        while waiting:
            path, found, depth = waiting.pop()
            if found.address in seen or depth > _DEEPEST:
                continue
            seen.add(found.address)
            if found.is_dataset:
                yield path, found
                continue
            prefix = f"{path}/" if path else ""
            waiting += [
                (f"{prefix}{name}", self.object(address), depth + 1)
                for name, address in reversed(self.members(found).items())
            ]

    # ---- attributes

    def texts(self, found: Object, name: str) -> list[str]:
        """The texts of an attribute; long lists are cut into `name0`, `name1` and so on."""
        known = found.attributes
        if name in known:
            return self._texts(known[name])
        texts: list[str] = []
        for number in range(1000):
            if f"{name}{number}" not in known:
                break
            texts += self._texts(known[f"{name}{number}"])
        return texts

    def _texts(self, said: Attribute) -> list[str]:
        count = math.prod(said.shape)
        if said.kind.text == "" or not count or not said.kind.size:
            return []
        if count > _MOST_TEXTS or count * said.kind.size > len(said.data):
            raise broken(f"an attribute of {count:,} texts")
        size = said.kind.size
        pieces = [said.data[at : at + size] for at in range(0, count * size, size)]
        if said.kind.text == "variable":
            pieces = [self._from_heap(piece) for piece in pieces]
        return [piece.split(b"\0")[0].decode("utf-8", "replace") for piece in pieces]

    def _from_heap(self, piece: bytes) -> bytes:
        """A text of variable length, which is kept elsewhere."""
        said = Bytes(piece)
        length, address, index = said.number(4), said.number(8), said.number(4)
        if not length:
            return b""
        head = Bytes(self._at(address, 16))
        if head.take(4) != b"GCOL":
            raise broken("a text that is nowhere")
        head.take(4)
        end = address + head.number(8)
        at = address + 16
        while at + 16 <= end:
            self._spend()
            row = Bytes(self._at(at, 16))
            number = row.number(2)
            row.take(6)
            size = row.number(8)
            if number == index:
                return self._at(at + 16, min(size, length))
            if not number:
                break
            at += 16 + -(-size // 8) * 8
        raise broken("a text that is nowhere")

    # ---- datasets

    def shape(self, dataset: Object) -> tuple[int, ...]:
        """The shape of a dataset."""
        return messages.dataspace(dataset.message(_SPACE) or b"") or ()

    def tensor(self, dataset: Object, name: str) -> Tensor:
        """The tensor of a dataset, without its values."""
        shape = messages.dataspace(dataset.message(_SPACE) or b"")
        kind = messages.datatype(dataset.message(_TYPE) or b"")
        dtype = kind.dtype
        if dtype is None and kind.size == 2 and kind.what == "2 bytes each":
            said = self.texts(dataset, "dtype")  # as Keras 3 stores bfloat16
            dtype = DTYPES["bfloat16"] if said == ["bfloat16"] else None
        if shape is None or dtype is None or dtype.itemsize != kind.size:
            return Tensor(UINT8, shape or (), kind=kind.what or "no values")
        if dataset.message(_OUTSIDE) is not None:
            raise Refusal(
                f"refused; the values of {printable(name, 80)} are in other files",
                "write the file again with its values in it",
            )
        where = messages.layout(dataset.message(LAYOUT) or b"", len(shape))
        nbytes = math.prod(shape) * dtype.itemsize
        storage = Storage(dtype, nbytes, order=kind.order)
        steps = contiguous(shape)
        if where.how == "compact":
            if len(where.data) < nbytes:
                raise broken(f"{printable(name, 80)} is shorter than its shape")
            storage.data = where.data[:nbytes]
            return Tensor(dtype, shape, steps, 0, storage)
        if where.how == "contiguous" and where.address != NOWHERE:
            if where.size not in (-1, nbytes) or where.address + nbytes > self._part.size:
                raise broken(f"{printable(name, 80)} goes beyond the file")
            storage.position, storage.file = where.address, cast(BinaryIO, self._part)
            storage.checksum = self._part.checksum
            self._values.append((where.address, where.address + nbytes))
            return Tensor(dtype, shape, steps, 0, storage)
        space = dataset.message(_SPACE) or b""
        chunks = list(self._chunks(where, shape, dtype.itemsize, space))
        self.unpacked += nbytes
        self._packed += sum(chunk.size for chunk in chunks)
        self._values += [(chunk.address, chunk.address + chunk.size) for chunk in chunks]
        check_unpacked(self.unpacked, min(self._packed, self._part.size))
        filters = known_filters(messages.filters(dataset.message(_FILTERS) or b"\2\0"))
        compute = Chunked(
            self._part, shape, where.chunk or shape, dtype, kind.order, filters, chunks
        )
        return Tensor(dtype, shape, steps, compute=compute)

    def _chunks(
        self, where: messages.Layout, shape: tuple[int, ...], width: int, space: bytes
    ) -> Iterator[Chunk]:
        if where.address == NOWHERE:
            return  # never written: zeros
        if where.how == "single":
            size, mask = where.single or (math.prod(where.chunk) * width, 0)
            yield Chunk((0,) * len(shape), where.address, size, mask)
        elif where.how == "indexed":
            place = hdf5index.grid(space, where.chunk, width)
            yield from hdf5index.chunks(self._at, self._spend, where.index, where.address, place)
        else:
            yield from self._leaves(where.address, 1, len(shape))
