"""The header of a shard, a safetensors file: written before the data, checked when it is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.printable import printable
from weightspace.zoo.files.dtypes import Dtype
from weightspace.zoo.files.places import REPAIR

_ALIGNMENT = 64
_LARGEST_HEADER = 100_000_000  # the limit of the safetensors library


@dataclass(frozen=True)
class Header:
    """The content of a shard's header; offsets and sizes are bytes from the start of the file."""

    nets: tuple[str, ...]
    rows: int
    columns: int
    data: int
    checksum: str
    dtype: Dtype

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.data + len(self.nets) * self.stride

    @property
    def stride(self) -> int:
        """Bytes of one net, whose snapshots lie one after the other."""
        return self.rows * self.length

    @property
    def length(self) -> int:
        """Bytes of one vector."""
        return self.dtype.size * self.columns

    def offset(self, position: int, snapshot: int) -> int:
        """Where a vector begins, for the net at `position` and a snapshot number from 1."""
        return self.data + position * self.stride + (snapshot - 1) * self.length


def compose(
    nets: Sequence[str], rows: int, columns: int, layout: str, dtype: Dtype
) -> tuple[bytes, Header]:
    """The first bytes of a shard of `len(nets)` tensors [rows, columns], in this order."""
    stride = dtype.size * rows * columns
    tensors: dict[str, Any] = {"__metadata__": {"layout": layout}}
    for i, net in enumerate(nets):
        span = [i * stride, (i + 1) * stride]
        tensors[net] = {"dtype": dtype.code, "shape": [rows, columns], "data_offsets": span}
    text = json.dumps(tensors, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    blob = len(text).to_bytes(8, "little") + text
    return blob, Header(tuple(nets), rows, columns, len(blob), digest(blob), dtype)


def digest(data: Any) -> str:
    """The checksum of a vector's bytes or of a header: 8-byte BLAKE2b as 16 hex digits."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def data_start(path: object, size: int, start: bytes) -> int:
    """Where the data begins, computed from a shard's first 8 bytes and its file size."""
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 or length > min(size - 8, _LARGEST_HEADER):
        raise _damaged(path, "its header is longer than the file")
    return 8 + length


def read(path: InnerPath | Path, dtype: Dtype) -> Header:
    """Read and check the header of the shard at `path`, also against the size of the file.

    Raises DataError if it is damaged or its values are not of `dtype`.
    """
    try:
        with disk.open_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(8)
            data = data_start(path, size, start)
            text = file.read(data - 8)
        tensors = json.loads(text, object_pairs_hook=_refuse_twice)
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not JSON ({error})") from None
    if not isinstance(tensors, dict):
        raise _damaged(path, "its header is not a table of tensors")
    tensors.pop("__metadata__", None)
    shape, nets = _walk(path, tensors, dtype)
    header = Header(tuple(nets), shape[0], shape[1], data, digest(start + text), dtype)
    if header.size != size:
        raise _damaged(path, f"it has {size:,} bytes instead of {header.size:,}")
    return header


def _walk(path: object, tensors: dict[str, Any], dtype: Dtype) -> tuple[list[int], list[str]]:
    """The shape of all tensors and their names in the order of the data, which may have no gaps."""
    shape: list[int] = []
    position = 0
    for name, spec in tensors.items():
        try:
            code, found, span = spec["dtype"], spec["shape"], spec["data_offsets"]
            sound = (
                code == dtype.code
                and len(found) == 2
                and all(type(v) is int and v > 0 for v in found)
                and found == (shape or found)
                and span == [position, position + dtype.size * found[0] * found[1]]
            )
        except (KeyError, TypeError):
            sound = False
        if not sound:
            raise _damaged(path, f"its header is wrong at net {printable(name, 64)}")
        shape, position = found, span[1]
    if not shape:
        raise _damaged(path, "its header names no net")
    return shape, list(tensors)


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name is repeated")
    return dict(pairs)


def _damaged(path: object, what: str) -> DataError:
    return DataError(path, f"is damaged, {what}", REPAIR)
