"""Damage to what pickles, JSON, headers of arrays and zip archives say: a part of `damage`."""

from __future__ import annotations

import io
import json
import pickletools
import re
import struct
import warnings
import zipfile
from collections.abc import Iterator

from support.damage_binary import of_hdf5
from support.damage_numbers import Number, Random, rearranged, strange, with_number
from support.hostile_files import KINDS, Change

_DIGITS = re.compile(rb"\d+")

# ---- pickles


def _opcodes(data: bytes) -> tuple[list[int], int]:
    """Where the opcodes of a file's first pickles begin, and where the last one of them ends."""
    starts: list[int] = []
    stream = io.BytesIO(data)
    end = 0
    for _ in range(5):
        found = []
        try:
            found = [at for _, _, at in pickletools.genops(stream) if at is not None]
        except Exception:  # what follows is no pickle
            break
        starts += found
        end = stream.tell()
    return starts, end


_LENGTHS = {b"J": 4, b"K": 1, b"M": 2, b"\x8a": 1, b"X": 4, b"\x8c": 1, b"B": 4, b"C": 1,
            b"\x8e": 8, b"\x96": 8, b"q": 1, b"r": 4, b"h": 1, b"j": 4, b"\x80": 1, b"\x95": 8,
            b"\x8d": 8, b"T": 4, b"U": 1}  # fmt: skip


def of_pickles(data: bytes, draw: Random) -> bytes:
    starts, end = _opcodes(data)
    if not starts:
        return Change("byte", draw.random(), draw.randrange(256)).of(data)
    if draw.random() < 0.5:
        found: list[Number] = [
            (at + 1, _LENGTHS[data[at : at + 1]], "little")
            for at in starts
            if data[at : at + 1] in _LENGTHS
        ]
        return with_number(data, found, draw)
    if draw.random() < 0.2:
        at = draw.choice(starts)
        return (
            data[:at]
            + bytes([draw.choice(b"().0129FIJKMNRST]}abcdeghijloqrstuQ\x81\x85\x93\x94")])
            + data[at + 1 :]
        )
    begin = starts[0]
    pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], end], strict=True)]
    return data[:begin] + b"".join(rearranged(pieces, draw)) + data[end:]


# ---- text


def of_json(data: bytes, draw: Random) -> bytes:
    if draw.random() < 0.4:
        return _other_digits(data, draw)
    try:
        said = json.loads(data)
    except ValueError:
        return _other_digits(data, draw)
    places = list(_places(said))
    if not places:
        return data
    for _ in range(draw.randint(1, 2)):
        where, key = draw.choice(places)
        values = [w[k] for w, k in places if k in w or isinstance(w, list)][:200]
        new = draw.choice(
            (0, -1, 2**63, 10**30, 1.5, None, True, "", "x", [], {}, [2**40] * 9, *values)
        )
        if isinstance(where, dict) and draw.random() < 0.3 and key in where:
            where[draw.choice((f"{key}x", "", "__metadata__", *where))] = where.pop(key)
        elif isinstance(where, dict) or key < len(where):
            where[key] = new
    try:
        return json.dumps(said).encode()
    except (ValueError, RecursionError):  # a list within itself
        return data


def _places(said: object) -> Iterator[tuple[object, object]]:
    if isinstance(said, dict):
        for key, value in list(said.items()):
            yield said, key
            yield from _places(value)
    elif isinstance(said, list):
        for key, value in enumerate(said):
            yield said, key
            yield from _places(value)


def _other_digits(data: bytes, draw: Random) -> bytes:
    """A decimal number in text, exchanged."""
    found = list(_DIGITS.finditer(data))
    if not found:
        return Change("byte", draw.random(), draw.randrange(256)).of(data)
    one = draw.choice(found)
    old = int(one[0][:18])
    new = draw.choice((str(strange(old, 8, len(data), draw)), f"-{old}", f"{old}.5", "9" * 300, ""))
    return data[: one.start()] + new.encode() + data[one.end() :]


def of_safetensors(data: bytes, draw: Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    if draw.random() < 0.1 or length > len(data):
        return with_number(data, [(0, 8, "little")], draw)
    header = of_json(data[8 : 8 + length], draw)
    if draw.random() < 0.3 and len(header) <= length:
        header = header.ljust(length)
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def of_npy(data: bytes, draw: Random) -> bytes:
    length = int.from_bytes(data[8:10], "little")
    header = data[10 : 10 + length]
    how = draw.randrange(4)
    if how == 0:
        return with_number(data, [(8, 2, "little"), (6, 1, "little")], draw)
    if how == 1 and len(data) > 10 + length and b"'O'" in header:
        return data[: 10 + length] + of_pickles(data[10 + length :], draw)
    if how == 2:
        kinds = (
            b"'<f4'",
            b"'>f4'",
            b"'<f2'",
            b"'<f8'",
            b"'|O'",
            b"'<i4'",
            b"'<U9'",
            b"'f4'",
            b"[]",
        )
        header = re.sub(rb"'[<>|]\w+'", draw.choice(kinds), header, count=1)
        if draw.random() < 0.5:
            header = header.replace(*draw.choice(((b"False", b"True"), (b"True", b"False"))))
    else:
        header = _other_digits(header, draw)
    if draw.random() < 0.8:
        header = header.rstrip().ljust(length - 1)[: length - 1] + b"\n"
    return data[:8] + struct.pack("<H", len(header) % 2**16) + header + data[10 + length :]


# ---- archives

_RECORDS = {
    b"PK\3\4": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\1\2": ((8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (42, 4)),
    b"PK\5\6": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
    b"PK\6\6": ((4, 8), (24, 8), (32, 8), (40, 8), (48, 8)),
    b"PK\6\7": ((4, 4), (8, 8), (16, 4)),
}


def of_zip(data: bytes, draw: Random) -> bytes:
    if draw.random() < 0.4:
        found: list[Number] = [
            (match.start() + at, width, "little")
            for mark, fields in _RECORDS.items()
            for match in re.finditer(re.escape(mark), data)
            for at, width in fields
        ]
        return with_number(data, found, draw)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(item, archive.read(item)) for item in archive.infolist()]
    except Exception:  # it is damaged already
        return Change("byte", draw.random(), draw.randrange(256)).of(data)
    number = draw.randrange(len(members))
    item, content = members[number]
    how = draw.randrange(8)
    if how == 0:
        del members[number]
    elif how == 1:
        draw.shuffle(members)
    elif how == 2:
        item.filename = draw.choice(
            (item.filename + "x", "x", "a/../x", draw.choice(members)[0].filename)
        )
    elif how == 3:
        members[number] = (item, draw.choice(members)[1])
    else:
        likely = [
            n for n, (i, _) in enumerate(members) if i.filename.endswith((".pkl", ".h5", ".json"))
        ]
        number = draw.choice(likely or range(len(members)))
        item, content = members[number]
        members[number] = (item, _inner(item.filename, content, draw))
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", item.compress_type) as archive:
        warnings.simplefilter("ignore")  # about names that stand twice
        for one, inner in members:
            kind = draw.choice((0, 8, 99)) if draw.random() < 0.02 else one.compress_type
            archive.writestr(one.filename, inner, min(kind, 8))
    return buffer.getvalue()


def _inner(name: str, content: bytes, draw: Random) -> bytes:
    for end, change in (
        (".pkl", of_pickles),
        (".npy", of_npy),
        (".h5", of_hdf5),
        (".json", of_json),
    ):
        if name.endswith(end):
            return change(content, draw)
    return Change(draw.choice(KINDS), draw.random(), draw.randrange(2**20)).of(content)
