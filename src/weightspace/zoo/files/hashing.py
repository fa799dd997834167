"""Compare the vectors of a shard with their checksums, as fast as the disk reads."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError

_PIECE = 2**22  # bytes read at once, so that memory does not grow with the vector
_BATCH = 2**24  # bytes between two calls of `progress`
_THREADS = min(8, os.cpu_count() or 1)


def damaged(
    shard: InnerPath,
    rows: Sequence[Mapping[str, Any]],
    size: int,
    progress: Callable[[float], None],
) -> Iterator[int]:
    """Find the rows whose values in the shard are not those that were written.

    `rows` are rows of the table of snapshots: `offset` in bytes, `length` in values of `size`
    bytes, and `checksum`. A vector that ends outside the file counts as damaged. Yields positions
    in `rows`. `progress` is called with the share that is done. Raises DataError if the file cannot
    be read.
    """
    try:
        descriptor = disk.open_descriptor(shard)
    except OSError as error:
        raise DataError(shard, f"cannot be read ({error.strerror})", "sample again") from None
    try:
        end = os.fstat(descriptor).st_size
        batches = list(_batches(rows, size))
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(partial(_differing, descriptor, end, size), batches)
            for i, wrong in enumerate(found):
                yield from wrong
                progress((i + 1) / len(batches))
    finally:
        os.close(descriptor)


def _batches(
    rows: Sequence[Mapping[str, Any]], size: int
) -> Iterator[list[tuple[int, Mapping[str, Any]]]]:
    """Group the rows, with their positions, into batches of some megabytes."""
    batch, total = [], 0
    for at, row in enumerate(rows):
        batch.append((at, row))
        total += size * max(row["length"], 0)
        if total >= _BATCH:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def _differing(
    descriptor: int, end: int, size: int, batch: Sequence[tuple[int, Mapping[str, Any]]]
) -> list[int]:
    return [
        at
        for at, row in batch
        if row["length"] < 0
        or not 0 <= row["offset"] <= end - size * row["length"]
        or _digest(descriptor, row["offset"], size * row["length"]) != row["checksum"]
    ]


def _digest(descriptor: int, offset: int, length: int) -> str:
    found = hashlib.blake2b(digest_size=8)
    end = offset + length
    while offset < end:
        piece = os.pread(descriptor, min(_PIECE, end - offset), offset)
        if not piece:  # the file became shorter
            return ""
        found.update(piece)
        offset += len(piece)
    return found.hexdigest()
