"""The state of a unit in the making: one safetensors file, replaced whole, from which to go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from weightspace import disk
from weightspace.disk import InnerPath, Temporary, remove_leftovers
from weightspace.errors import DataError
from weightspace.zoo.files import places

VERSION = 1
ASIDE = ".aside"
_KINDS = {"float32": "F32", "float64": "F64", "int64": "I64"}
_ENTRY = "weightspace"
_HEADER = 2**27  # bytes of its header, where the rows of all snapshots stand
_LEAST, _TIMES = 2**27, 16  # a stack has its weights, two slots and up to two vectors a snapshot


@dataclass(frozen=True)
class Saved:
    """What was saved of a unit: `arrays`, and `facts` as JSON holds them.

    `shard` is the name of the unfinished shard that holds the vectors put so far, `checksums`
    theirs by (net, snapshot).
    """

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    shard: str
    checksums: Mapping[tuple[str, int], str]


def write(path: Path, unit: str, saved: Saved) -> None:
    """Keep a unit's state in the zoo at `path`, durably, in place of the one before."""
    file = places.part(path, places.STATES, unit)
    disk.make_folder(file.parent)
    remove_leftovers(file.parent, unit)
    plain = {
        "version": VERSION,
        "unit": unit,
        "shard": saved.shard,
        "checksums": [[*key, checksum] for key, checksum in saved.checksums.items()],
        "facts": saved.facts,
    }
    text = json.dumps(plain)
    header: dict[str, Any] = {
        "__metadata__": {_ENTRY: text, "checksum": _digest(text, saved.arrays)}
    }
    size = 0
    for name, array in saved.arrays.items():
        span = [size, size + array.nbytes]
        header[name] = {
            "dtype": _KINDS[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": span,
        }
        size = span[1]
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    start = len(start).to_bytes(8, "little") + start
    temporary = Temporary(file, len(start) + size)
    try:
        temporary.write(start, 0)
        at = len(start)
        for array in saved.arrays.values():
            if array.nbytes:
                temporary.write(np.ascontiguousarray(array).data, at)
            at += array.nbytes
        temporary.sync()
        temporary.publish()
    finally:
        temporary.discard()


def read(path: Path, unit: str) -> Saved | None:
    """What was saved of a unit; None where nothing was, DataError for a damaged file."""
    file = places.part(path, places.STATES, unit)
    if not disk.exists(file):
        return None
    try:
        data = disk.read_bytes(file, _largest(path, unit))
        metadata, arrays = _metadata(data), load(data)
        text = metadata[_ENTRY]
        if _digest(text, arrays) != metadata["checksum"]:
            raise ValueError("its checksum is another")
        plain = json.loads(text)
        if (plain["version"], plain["unit"]) != (VERSION, unit):
            raise ValueError("it is of another version or unit")
        checksums = {(net, snapshot): checksum for net, snapshot, checksum in plain["checksums"]}
        if not isinstance(plain["shard"], str) or not isinstance(plain["facts"], dict):
            raise ValueError("it does not say what it stands on")
        return Saved(arrays, plain["facts"], plain["shard"], checksums)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise DataError(f"{file}: is damaged ({reason})") from None


def shard_of(path: Path, unit: str) -> str:
    """The name of the unfinished shard that a state stands on; empty where it does not say."""
    try:
        with disk.open_file(places.part(path, places.STATES, unit)) as file:
            length = int.from_bytes(file.read(8), "little")
            metadata = _metadata(length.to_bytes(8, "little") + file.read(min(length, _HEADER)))
        return str(json.loads(metadata[_ENTRY])["shard"])
    except (DataError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def set_aside(path: Path, unit: str) -> None:
    """Take a state out of the way; it is deleted when the unit is finished."""
    file = places.part(path, places.STATES, unit)
    if disk.exists(file):
        disk.rename(file, _aside(file))


def remove(path: Path, unit: str) -> None:
    """Delete all that was saved of a unit."""
    file = places.part(path, places.STATES, unit)
    for one in (file, _aside(file)):
        if not disk.is_folder(one):  # which no writer made
            disk.remove(one)
    remove_leftovers(file.parent, unit)


def _largest(path: Path, unit: str) -> int:
    """Bytes that a state may have: some more than the vectors that it stands on."""
    name = shard_of(path, unit)
    shard = InnerPath(path) / places.SHARDS / name if disk.is_temporary(name) else None
    held = disk.size(shard) if shard is not None and disk.is_file(shard) else 0
    return _LEAST + _TIMES * held


def _aside(file: InnerPath) -> InnerPath:
    return file.named(file.stem + ASIDE)


def _metadata(data: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file, from its first bytes."""
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])


def _digest(text: str, arrays: Mapping[str, np.ndarray]) -> str:
    found = hashlib.blake2b(text.encode(), digest_size=8)
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
