"""Damage to the structures of HDF5, protocol buffers, GGUF and MessagePack: a part of `damage`."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from support.damage_numbers import Number, Random, rearranged, strange, with_number
from support.hostile_files import Change

# ---- HDF5


def _of_hdf5(data: bytes) -> list[Number]:
    """Where the numbers of the structures of an HDF5 file are, the most of them."""
    found: list[Number] = [(at, 1, "little") for at in range(8, 16)]
    found += [(at, 2, "little") for at in (16, 18)]
    found += [(at, 8, "little") for at in range(24, 96, 8)]
    headers = [int.from_bytes(data[64:72], "little")]
    for match in re.finditer(rb"TREE|HEAP|SNOD|GCOL", data):
        at = match.start()
        end = at + 8
        if match[0] == b"TREE":
            found += [(at + 4, 1, "little"), (at + 5, 1, "little"), (at + 6, 2, "little")]
            end = at + 24 + 16 * (1 + int.from_bytes(data[at + 6 : at + 8], "little"))
        elif match[0] == b"SNOD":
            count = int.from_bytes(data[at + 6 : at + 8], "little")
            found.append((at + 6, 2, "little"))
            end = at + 8 + 40 * min(count, 64)
            headers += [
                int.from_bytes(data[row + 8 : row + 16], "little") for row in range(at + 8, end, 40)
            ]
        else:
            end = at + 40
        found += [(place, 8, "little") for place in range(at + 8, end, 8)]
    for header in headers:
        found += _of_header(data, header)
    return found


def _of_header(data: bytes, at: int) -> Iterator[Number]:
    """The numbers of an object's messages."""
    yield from ((at, 1, "little"), (at + 2, 2, "little"), (at + 8, 4, "little"))
    blocks = [(at + 16, int.from_bytes(data[at + 8 : at + 12], "little"))]
    for place, length in blocks:
        end = min(place + length, len(data))
        while place + 8 <= end and len(blocks) < 9:
            kind = int.from_bytes(data[place : place + 2], "little")
            size = int.from_bytes(data[place + 2 : place + 4], "little")
            yield from ((place, 2, "little"), (place + 2, 2, "little"), (place + 4, 1, "little"))
            body = place + 8
            for width in (1, 2, 4, 8):
                yield from (
                    (n, width, "little") for n in range(body, min(body + size, body + 64), width)
                )
            if kind == 16:
                blocks.append(struct.unpack_from("<QQ", data.ljust(body + 16, b"\0"), body))
            place = body + size


def of_hdf5(data: bytes, draw: Random) -> bytes:
    return with_number(data, _of_hdf5(data), draw)


# ---- protocol buffers: a tree of (key, number or bytes or list of such)

_INNER = {"model": {7: "graph"}, "graph": {1: "node", 5: "tensor"}, "node": {5: "attribute"},
          "attribute": {5: "tensor"}, "tensor": {13: "entry"}, "entry": {}}  # fmt: skip
Tree = list[list]  # [key, content] each


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at


def _tree(data: bytes, kind: str = "model") -> Tree:
    found: Tree = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        content: object
        if key & 7 == 0:
            content, at = _varint(data, at)
        elif key & 7 == 2:
            length, at = _varint(data, at)
            content = data[at : at + length]
            at += length
            if inner := _INNER[kind].get(key >> 3):
                content = _tree(content, inner)
        else:
            width = {1: 8, 5: 4}[key & 7]
            content = data[at : at + width]
            at += width
        found.append([key, content])
    return found


def _number(value: int) -> bytes:
    value %= 2**70
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _written(tree: Tree, wrong: list[int]) -> bytes:
    """The bytes of a tree; a length becomes the first of `wrong` where that is due."""
    found = bytearray()
    for key, content in tree:
        found += _number(key)
        if isinstance(content, int):
            found += _number(content)
            continue
        data = _written(content, wrong) if isinstance(content, list) else content
        if key & 7 == 2:
            wrong[0] -= 1
            found += _number(wrong[1] if not wrong[0] else len(data))
        found += data
    return bytes(found)


def of_protobuf(data: bytes, draw: Random) -> bytes:
    try:
        tree = _tree(data)
    except (IndexError, KeyError):
        return Change("byte", draw.random(), draw.randrange(256)).of(data)
    every: list[tuple[Tree, int]] = []
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        every += [(node, number) for number in range(len(node))]
        waiting += [content for _, content in node if isinstance(content, list)]
    node, number = draw.choice(every)
    key, content = node[number]
    wrong = [0, 0]
    how = draw.randrange(7)
    if how == 0:
        del node[number]
    elif how == 1:
        node.insert(number, node[number])
    elif how == 2:
        other, place = draw.choice(every)
        if place < len(other) and not isinstance(other[place][1], list):
            node[number] = list(other[place])
    elif how == 3:
        node[number] = [
            draw.choice((key + 8, key ^ draw.randrange(1, 8), draw.randrange(1, 130))),
            content,
        ]
    elif how == 4:
        wrong = [draw.randint(1, 60), strange(len(data), 8, len(data), draw)]
    elif isinstance(content, int):
        node[number] = [key, strange(content, draw.choice((1, 4, 8)), len(data), draw)]
    elif isinstance(content, bytes):
        node[number] = [
            key,
            draw.choice((content[:-1], content + b"\0", b"", content[::-1], b"\xff" * 9)),
        ]
    try:
        return _written(tree, wrong)
    except (TypeError, RecursionError):  # a key of numbers that has bytes now
        return data[: len(data) // 2]


# ---- GGUF


def _of_gguf(data: bytes) -> Iterator[Number]:
    widths = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    at = 24

    def number(width: int) -> tuple[Number, int]:
        nonlocal at
        at += width
        return (at - width, width, "little"), int.from_bytes(data[at - width : at], "little")

    def text() -> Number:
        nonlocal at
        one, length = number(8)
        at += length
        return one

    yield from ((4, 4, "little"), (8, 8, "little"), (16, 8, "little"))
    for _ in range(int.from_bytes(data[16:24], "little")):
        yield text()
        one, kind = number(4)
        yield one
        if kind == 9:
            one, kind = number(4)
            yield one
            one, count = number(8)
            yield one
            for _ in range(count):
                yield text() if kind == 8 else number(widths[kind])[0]
        else:
            yield text() if kind == 8 else number(widths[kind])[0]
    for _ in range(int.from_bytes(data[8:16], "little")):
        yield text()
        one, count = number(4)
        yield one
        for width in (8,) * min(count, 64) + (4, 8):
            yield number(width)[0]


def of_gguf(data: bytes, draw: Random) -> bytes:
    found: list[Number] = []
    try:
        for one in _of_gguf(data):
            if one[0] > len(data) or len(found) > 2000:
                break
            found.append(one)
    except KeyError:
        pass
    if draw.random() < 0.1:  # another alignment
        one = b"\x11\0\0\0\0\0\0\0general.alignment\x04\0\0\0" + struct.pack(
            "<I", draw.choice((0, 1, 8, 16, 64, 2**31))
        )
        return (
            data[:16]
            + struct.pack("<Q", int.from_bytes(data[16:24], "little") + 1)
            + one
            + data[24:]
        )
    return with_number(data, found, draw)


# ---- MessagePack


def _of_msgpack(data: bytes) -> list[Number]:
    """The heads of all values: tags, and the numbers behind them."""
    found: list[Number] = []
    at = 0
    lengths = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4,
               0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}  # fmt: skip
    while at < len(data) and len(found) < 2000:
        tag = data[at]
        found.append((at, 1, "big"))
        at += 1
        if tag in lengths:
            width = lengths[tag]
            found.append((at, width, "big"))
            length = int.from_bytes(data[at : at + width], "big")
            at += width
            if 0xC7 <= tag <= 0xC9:
                found.append((at, 1, "big"))
                at += 1  # and what an array consists of follows
            elif tag < 0xDC:
                at += length
        elif 0xA0 <= tag <= 0xBF:
            at += tag & 31
        elif 0xCA <= tag <= 0xD3:
            width = {0xCA: 4, 0xCB: 8}.get(tag, 1 << ((tag - 0xCC) & 3))
            found.append((at, width, "big"))
            at += width
        elif 0xD4 <= tag <= 0xD8:
            at += 1
    return found


def of_msgpack(data: bytes, draw: Random) -> bytes:
    found = _of_msgpack(data)
    if draw.random() < 0.6:
        return with_number(data, found, draw)
    starts = [at for at, width, _ in found if width == 1]
    pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return b"".join(rearranged(pieces, draw))
