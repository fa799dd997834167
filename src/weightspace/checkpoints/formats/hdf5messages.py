"""The messages of an HDF5 object: what its shape, type, storage, filters, attributes and links are.

After the HDF5 File Format Specification, version 3.0. Numbers are little-endian, addresses and
lengths have eight bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from weightspace.checkpoints.dtypes import DTYPES, DType
from weightspace.checkpoints.formats.cursor import broken
from weightspace.checkpoints.messages import Refusal

NOWHERE = 2**64 - 1
_MOST_DIMENSIONS = 32
IMPLICIT, ARRAY, EXTENSIBLE, TREE = 2, 3, 4, 5  # kinds of an index of chunks
LENGTHS = {IMPLICIT: 0, ARRAY: 1, EXTENSIBLE: 5, TREE: 6}  # bytes that a layout says of each
_FIXED, _FLOAT, _STRING, _OPAQUE, _COMPOUND, _ENUM, _VARIABLE = 0, 1, 3, 5, 6, 8, 9
_FLOATS = {  # first bit and bits: of all, of the exponent, of the mantissa; the exponent of 1
    (0, 64, 52, 11, 0, 52, 1023): "float64",
    (0, 32, 23, 8, 0, 23, 127): "float32",
    (0, 16, 10, 5, 0, 10, 15): "float16",
    (0, 16, 7, 8, 0, 7, 127): "bfloat16",
}
_ONE_BEFORE_THE_POINT = 2  # of the mantissa, and not stored


class Bytes:
    """The bytes of a message, read one number after another; Refusal where they end."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    @property
    def left(self) -> int:
        """The bytes that are not read."""
        return len(self.data) - self.at

    def take(self, length: int) -> bytes:
        """The next bytes."""
        if not 0 <= length <= self.left:
            raise broken("a message that is cut short")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, width: int) -> int:
        """The next number of so many bytes."""
        return int.from_bytes(self.take(width), "little")


@dataclass(frozen=True)
class Kind:
    """A type of values: torch's, if it is one of numbers; else what it is.

    `text` is "fixed" or "variable" for text, and "" for all else. `size` is the bytes of a value.
    """

    dtype: DType | None
    size: int
    order: str = "little"
    what: str = ""
    text: str = ""


def dataspace(data: bytes) -> tuple[int, ...] | None:
    """A shape; None if there are no values at all."""
    bytes_ = Bytes(data)
    version, rank, flags = bytes_.number(1), bytes_.number(1), bytes_.number(1)
    kind = bytes_.number(1)
    if version == 1:
        bytes_.take(4)
    elif version != 2:
        raise broken("a shape of an unknown version")
    elif kind == 2:
        return None
    if rank > _MOST_DIMENSIONS or flags > 3:
        raise broken("the shape of a dataset is none")
    shape = tuple(bytes_.number(8) for _ in range(rank))
    if any(side > 2**48 for side in shape):
        raise broken("the shape of a dataset is none")
    return shape


def datatype(data: bytes) -> Kind:
    """A type of values."""
    bytes_ = Bytes(data)
    kind, bits = bytes_.number(1) & 15, bytes_.number(3)
    size = bytes_.number(4)
    order = "big" if bits & 1 else "little"
    if kind == _FIXED:
        whole = struct.unpack("<HH", bytes_.take(4)) == (0, 8 * size)
        name = f"{'' if bits & 8 else 'u'}int{8 * size}"
        return Kind(DTYPES.get(name) if whole else None, size, order, f"integers of {size} bytes")
    if kind == _FLOAT:
        said = struct.unpack("<HHBBBBI", bytes_.take(12))
        usual = bits >> 4 & 3 == _ONE_BEFORE_THE_POINT and bits >> 8 & 255 == 8 * size - 1
        found = _FLOATS.get(said) if said[1] == 8 * size and usual else None
        if found and not bits & 0x40:  # not the order of VAX
            return Kind(DTYPES[found], size, order)
        return Kind(None, size, what=f"floating-point numbers of {size} bytes")
    if kind == _ENUM:
        base = datatype(data[8:])
        return Kind(DTYPES["bool"] if base.size == 1 else base.dtype, size, base.order, "codes")
    if kind == _STRING:
        return Kind(None, size, what="text", text="fixed")
    if kind == _VARIABLE:
        return Kind(None, size, what="text", text="variable" if bits & 15 == 1 else "")
    named = {_OPAQUE: f"{size} bytes each", _COMPOUND: "structures"}
    return Kind(None, size, what=named.get(kind, "no numbers"))


@dataclass
class Layout:
    """Where the values of a dataset are: in the header, at an address, or in chunks."""

    how: str
    data: bytes = b""
    address: int = NOWHERE
    size: int = 0
    chunk: tuple[int, ...] = ()
    single: tuple[int, int] | None = None  # bytes and filter mask of the only chunk
    index: int = 0  # the kind of the index of chunks


def layout(data: bytes, rank: int) -> Layout:
    """Where the values of a dataset of `rank` dimensions are."""
    bytes_ = Bytes(data)
    version = bytes_.number(1)
    if version in (1, 2):
        return _old_layout(bytes_)
    if version not in (3, 4, 5):  # 5 has wider sizes of filtered chunks
        raise newer("layout")
    kind = bytes_.number(1)
    if kind == 0:
        return Layout("compact", bytes_.take(bytes_.number(2)))
    if kind == 1:
        return Layout("contiguous", address=bytes_.number(8), size=bytes_.number(8))
    if kind == 3:
        raise Refusal(
            "refused; its values are in other files", "write the file again with its values in it"
        )
    if kind != 2:
        raise broken("a dataset that is nowhere")
    if version == 3:
        dimensions = bytes_.number(1)
        address = bytes_.number(8)
        sides = tuple(bytes_.number(4) for _ in range(dimensions))
        return Layout("chunked", address=address, chunk=_chunk(sides[:-1], rank))
    flags, dimensions, width = bytes_.number(1), bytes_.number(1), bytes_.number(1)
    sides = tuple(bytes_.number(width) for _ in range(dimensions))
    index = bytes_.number(1)
    if index != 1:
        if index not in LENGTHS or flags & 1:  # the last chunks without filters
            raise newer("index of chunks")
        bytes_.take(LENGTHS[index])
        address = bytes_.number(8)
        return Layout("indexed", address=address, chunk=_chunk(sides[:-1], rank), index=index)
    single = (bytes_.number(8), bytes_.number(4)) if flags & 2 else None
    address = bytes_.number(8)
    return Layout("single", address=address, chunk=_chunk(sides[:-1], rank), single=single)


def _old_layout(bytes_: Bytes) -> Layout:
    dimensions, kind = bytes_.number(1), bytes_.number(1)
    bytes_.take(5)
    address = bytes_.number(8) if kind else NOWHERE
    sides = tuple(bytes_.number(4) for _ in range(dimensions))
    if kind == 0:
        return Layout("compact", bytes_.take(bytes_.number(4)))
    if kind == 1:
        return Layout("contiguous", address=address, size=-1)
    return Layout("chunked", address=address, chunk=_chunk(sides[:-1], dimensions - 1))


def _chunk(sides: tuple[int, ...], rank: int) -> tuple[int, ...]:
    if len(sides) != rank or not all(sides):
        raise broken("chunks of another shape than their dataset")
    return sides


def filters(data: bytes) -> list[tuple[int, int, str]]:
    """The filters of chunks: code, first parameter, name."""
    bytes_ = Bytes(data)
    version, count = bytes_.number(1), bytes_.number(1)
    if version == 1:
        bytes_.take(6)
    elif version != 2:
        raise broken("filters of an unknown version")
    found = []
    for _ in range(min(count, 32)):
        code = bytes_.number(2)
        named = bytes_.number(2) if version == 1 or code >= 256 else 0
        _, parameters = bytes_.number(2), bytes_.number(2)
        padded = -(-named // 8) * 8 if version == 1 else named
        name = bytes_.take(padded)[:named].rstrip(b"\0").decode("latin1")
        values = [bytes_.number(4) for _ in range(parameters)]
        if version == 1 and parameters % 2:
            bytes_.take(4)
        found.append((code, values[0] if values else 0, name))
    return found


@dataclass(frozen=True)
class Attribute:
    """An attribute: its name, type, shape, and the bytes of its values."""

    name: str
    kind: Kind
    shape: tuple[int, ...]
    data: bytes = field(repr=False)


def attribute(data: bytes) -> Attribute:
    """An attribute of an object."""
    bytes_ = Bytes(data)
    version, flags = bytes_.number(1), bytes_.number(1)
    sizes = [bytes_.number(2) for _ in range(3)]
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise newer("attribute")
    if version == 3:
        bytes_.take(1)
    parts = []
    for size in sizes:
        padded = -(-size // 8) * 8 if version == 1 else size
        parts.append(bytes_.take(padded)[:size])
    name = parts[0].rstrip(b"\0").decode("utf-8", "replace")
    return Attribute(name, datatype(parts[1]), dataspace(parts[2]) or (), bytes_.take(bytes_.left))


def member(data: bytes) -> tuple[str, int]:
    """The name of a link, and the address of its object; NOWHERE for links to other places."""
    bytes_ = Bytes(data)
    version, flags = bytes_.number(1), bytes_.number(1)
    if version != 1:
        raise newer("link")
    kind = bytes_.number(1) if flags & 8 else 0
    if flags & 4:
        bytes_.take(8)
    if flags & 16:
        bytes_.take(1)
    name = bytes_.take(bytes_.number(1 << (flags & 3))).decode("utf-8", "replace")
    return name, bytes_.number(8) if kind == 0 else NOWHERE


def newer(what: str) -> Refusal:
    """The refusal of a structure that only the newest HDF5 libraries write."""
    return Refusal(
        f"an HDF5 file of a newer form, whose {what} is not read",
        'write it again with libver="earliest"',
    )
