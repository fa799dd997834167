"""Damage to checkpoints: to any bytes, to values alone, and to what describes them in each form.

Numbers in headers become huge, negative, zero or off by one; parts are left out, repeated, taken
for others. `damaged` makes a file of a seed, the same one whenever it is asked. (Older torch files
hold addresses of memory, so theirs differ from process to process.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from support.damage_binary import of_gguf, of_hdf5, of_msgpack, of_protobuf
from support.damage_numbers import Random
from support.damage_text import of_json, of_npy, of_pickles, of_safetensors, of_zip
from support.hostile_files import KINDS, Change
from support.whole_files import NAMES, Files, Whole, whole

Ranges = list[tuple[str, int, int]]  # file, start, end


@dataclass(frozen=True)
class Damaged:
    """Damaged files.

    `inside` says what was hit if it was nothing but bytes of values. `mixed` says that the bytes
    of another file may be in them.
    """

    files: Files
    inside: Ranges | None = None
    mixed: bool = False


def damaged(sound: Whole, values: Ranges, seed: int) -> Damaged:
    """The files of a sound checkpoint with some damage; `values` says where its values lie."""
    draw = Random(f"{sound.name} {seed}")
    how = draw.random()
    if values and how < 0.15:
        return _in_values(sound, values, draw)
    files = dict(sound.files)
    name = draw.choice([*files][: draw.choice((1, len(files)))])
    data = files[name]
    if how < 0.35:
        for _ in range(draw.randint(1, 3)):
            data = Change(draw.choice(KINDS), _somewhere(draw), draw.randrange(2**20)).of(data)
    elif how < 0.42:
        files[name] = _spliced(data, _other(sound, name, draw), draw)
        return Damaged(files, mixed=True)
    elif how < 0.47:
        data = _longer(data, draw)
    else:
        family = _FAMILIES[_family(sound, name)]
        for _ in range(draw.randint(1, 2)):
            data = family(data, draw)
    files[name] = data
    return Damaged(files)


def _family(sound: Whole, name: str) -> str:
    if sound.family == "index":
        return {"json": "json", "bin": "zip"}.get(name.rpartition(".")[2], "safetensors")
    return "bytes" if name.endswith(".data") else sound.family


def _somewhere(draw: Random) -> float:
    """A place in a file, more often near its ends: what describes values is there."""
    at = draw.random()
    return draw.choice((at, at**6, 1 - at**6))


def _in_values(sound: Whole, values: Ranges, draw: Random) -> Damaged:
    files = dict(sound.files)
    hit: Ranges = []
    for _ in range(draw.randint(1, 3)):
        name, start, end = draw.choice(values)
        at = draw.randrange(start, end)
        width = min(draw.randint(1, 8), end - at)
        data = bytearray(files[name])
        data[at : at + width] = draw.randbytes(width)
        files[name] = bytes(data)
        hit.append((name, at, at + width))
    return Damaged(files, hit)


def _other(sound: Whole, name: str, draw: Random) -> bytes:
    """A file of the same form: another one, or the same."""
    alike = [n for n in NAMES if whole(n).family == sound.family and "large" not in n]
    files = whole(draw.choice([*alike, sound.name])).files
    return files.get(name) or next(iter(files.values()))


def _spliced(data: bytes, other: bytes, draw: Random) -> bytes:
    at = int(_somewhere(draw) * len(data))
    same = draw.random() < 0.5
    return data[:at] + other[at if same else int(_somewhere(draw) * len(other)) :]


def _longer(data: bytes, draw: Random) -> bytes:
    """The file twice, a large piece of it twice, or with much before, within or behind."""
    how = draw.randrange(5)
    if how == 0:
        return data + data
    a, b = sorted(int(_somewhere(draw) * len(data)) for _ in range(2))
    if how == 1:
        return data[:b] + data[a:b] * draw.randint(1, 4) + data[b:]
    more = draw.choice((b"\0", b"\xff", b" ", b"(", b"]", b"{", draw.randbytes(64)))
    more = (more * 2**16)[: draw.choice((1, 8, 4096, 2**16, 2**20))]
    return data[:a] + more + data[a:] if how == 2 else more + data if how == 3 else data + more


def _of_bytes(data: bytes, draw: Random) -> bytes:
    return Change(draw.choice(KINDS), draw.random(), draw.randrange(2**20)).of(data)


_FAMILIES: dict[str, Callable[[bytes, Random], bytes]] = {
    "zip": of_zip,
    "pickles": of_pickles,
    "safetensors": of_safetensors,
    "json": of_json,
    "npy": of_npy,
    "hdf5": of_hdf5,
    "protobuf": of_protobuf,
    "gguf": of_gguf,
    "msgpack": of_msgpack,
    "bytes": _of_bytes,
}
