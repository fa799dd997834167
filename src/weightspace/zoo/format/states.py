"""The state of an unfinished stack: one safetensors file, from which its training can continue."""

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
from weightspace.arrays import Shaped
from weightspace.disk import InnerPath, Temporary, remove_leftovers
from weightspace.errors import DataError
from weightspace.zoo.files import places

VERSION = 1
ASIDE = ".aside"
_KINDS = {"float32": "F32", "float64": "F64", "int64": "I64"}
_ENTRY = "weightspace"
_HEADER = 2**27  # bytes of the header, which contains the rows of all snapshots
_LEAST, _TIMES = 2**27, 16  # weights, two optimizer slots, and up to two vectors for each snapshot


@dataclass(frozen=True)
class Saved:
    """The saved state of a stack: arrays, and facts as plain JSON values.

    `shard` is the name of the unfinished shard that holds the vectors written so far, `checksums`
    are the checksums of these vectors by (net, snapshot).
    """

    arrays: Mapping[str, Shaped[np.ndarray, "..."]]
    facts: Mapping[str, Any]
    shard: str
    checksums: Mapping[tuple[str, int], str]


def write(path: Path, unit: str, saved: Saved) -> None:
    """Write the state of a stack to the disk of the zoo at `path`, replacing an earlier state."""
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
    """The saved state of a stack; None if there is none, DataError for a damaged file."""
    file = places.part(path, places.STATES, unit)
    if not disk.exists(file):
        return None
    try:
        data = disk.read_bytes(file, _largest(path, unit))
        metadata, arrays = _metadata(data), load(data)
        text = metadata[_ENTRY]
        if _digest(text, arrays) != metadata["checksum"]:
            raise ValueError("its checksum does not fit")
        plain = json.loads(text)
        if (plain["version"], plain["unit"]) != (VERSION, unit):
            raise ValueError("it belongs to another version or stack")
        checksums = {(net, snapshot): checksum for net, snapshot, checksum in plain["checksums"]}
        if not isinstance(plain["shard"], str) or not isinstance(plain["facts"], dict):
            raise ValueError("it does not name its shard")
        return Saved(arrays, plain["facts"], plain["shard"], checksums)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise DataError(file, f"is damaged ({reason})") from None


def shard_of(path: Path, unit: str) -> str:
    """The name of the unfinished shard that a state belongs to; empty if it does not say."""
    try:
        with disk.open_file(places.part(path, places.STATES, unit)) as file:
            length = int.from_bytes(file.read(8), "little")
            metadata = _metadata(length.to_bytes(8, "little") + file.read(min(length, _HEADER)))
        return str(json.loads(metadata[_ENTRY])["shard"])
    except (DataError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def set_aside(path: Path, unit: str) -> None:
    """Rename a state that cannot be used; it is deleted when the stack is finished."""
    file = places.part(path, places.STATES, unit)
    if disk.exists(file):
        disk.rename(file, _aside(file))


def remove(path: Path, unit: str) -> None:
    """Delete all saved states of a stack."""
    file = places.part(path, places.STATES, unit)
    for one in (file, _aside(file)):
        if not disk.is_folder(one):  # a folder of that name was not made by a writer
            disk.remove(one)
    remove_leftovers(file.parent, unit)


def _largest(path: Path, unit: str) -> int:
    """The most bytes that a state may have: some more than the vectors that belong to it."""
    name = shard_of(path, unit)
    shard = InnerPath(path) / places.SHARDS / name if disk.is_temporary(name) else None
    held = disk.size(shard) if shard is not None and disk.is_file(shard) else 0
    return _LEAST + _TIMES * held


def _aside(file: InnerPath) -> InnerPath:
    return file.named(file.stem + ASIDE)


def _metadata(data: bytes) -> dict[str, str]:
    """The metadata entries in the header of a safetensors file, from its first bytes."""
    length = int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8 : 8 + length])["__metadata__"])


def _digest(text: str, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    found = hashlib.blake2b(text.encode(), digest_size=8)
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
