"""What the stored numbers themselves say: types, the grid that they lie on, equal tensors."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import BinaryIO

import numpy as np

from weightspace.checkpoints.tensors import Storage, Tensor, Values

_CHUNK = 2**18  # bytes
_LOOKED_AT = 2**16  # values of a tensor
_MOST_TENSORS = 2000  # in which the grid is looked for
_MOST_COMPARED = 2**24  # bytes of a tensor that is compared with another


@dataclass(frozen=True)
class Grid:
    """The coarsest type that holds all values that were looked at.

    Attributes
    ----------
    dtype : str
        "bfloat16", "float16", "float32", or the type itself if no coarser one holds them.
    values : int
        How many values were looked at.
    tensors : int
        In how many tensors.
    """

    dtype: str
    values: int
    tensors: int


def dtypes(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """The number of values of each type, the most frequent first."""
    counts: Counter[str] = Counter()
    for tensor in tensors.values():
        counts[tensor.dtype_name] += tensor.size
    return dict(counts.most_common())


def grid(tensors: Mapping[str, Tensor], values: Values) -> Grid | None:
    """The coarsest type of the float32 and float64 values; None if there are none.

    Up to 65,536 values of each tensor are looked at, from its start, and up to 2,000 tensors.
    """
    fine = [t for t in tensors.values() if t.dtype_name in ("float32", "float64") and t.size]
    fine = [t for t in fine if t.compute is None and not t.kind][:_MOST_TENSORS]
    if not fine:
        return None
    holding = ["bfloat16", "float16", "float32"]
    looked = 0
    for tensor in fine:
        found = _head(tensor, values)
        looked += found.size
        holding = [name for name in holding if _holds(name, found)]
        if not holding:
            break
    widest = max(fine, key=lambda tensor: tensor.dtype.itemsize).dtype_name
    return Grid(holding[0] if holding else widest, looked, len(fine))


def _head(tensor: Tensor, values: Values) -> np.ndarray:
    """The first values of a tensor in the file's order, flat."""
    if tensor.size <= _LOOKED_AT or tensor.storage is None:
        return values.read(tensor).reshape(-1)
    return values.read(Tensor(tensor.dtype, (_LOOKED_AT,), (1,), tensor.offset, _unchecked(tensor)))


def _holds(name: str, found: np.ndarray) -> bool:
    finite = found[np.isfinite(found)]
    with np.errstate(over="ignore"):
        narrow = finite.astype(np.float32)
        if name == "float32":
            return bool((narrow == finite).all())
        if name == "float16":
            return bool((finite.astype(np.float16) == finite).all())
    bits = narrow.view(np.uint32)
    return bool((narrow == finite).all() and not (bits & 0xFFFF).any())


def shared(tensors: Mapping[str, Tensor]) -> tuple[tuple[str, ...], ...]:
    """Groups of names that are one tensor: the same values in the same storage."""
    groups: dict[tuple[object, ...], list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.storage is not None and tensor.size:
            place = (id(tensor.storage), tensor.offset, tensor.shape, tensor.stride)
            groups.setdefault(place, []).append(name)
    return tuple(tuple(names) for names in groups.values() if len(names) > 1)


def duplicates(tensors: Mapping[str, Tensor], values: Values) -> tuple[tuple[str, ...], ...]:
    """Groups of names of different tensors with equal values, constants left out.

    Tensors of one value in all places, such as biases of 0, are equal without a reason, and tensors
    of more than 16 MiB are not compared.
    """
    alike: dict[tuple[object, ...], dict[tuple[int, int], list[str]]] = {}
    for name, tensor in tensors.items():
        bytes_ = tensor.size * tensor.dtype.itemsize
        if tensor.storage is None or tensor.kind or tensor.size < 2 or bytes_ > _MOST_COMPARED:
            continue
        place = (id(tensor.storage), tensor.offset)
        alike.setdefault((tensor.dtype, tensor.shape, tensor.stride), {}).setdefault(
            place, []
        ).append(name)
    found: list[tuple[str, ...]] = []
    for places in alike.values():
        if len(places) > 1:
            found += _equal([names[0] for names in places.values()], tensors, values)
    return tuple(found)


def _equal(
    names: list[str], tensors: Mapping[str, Tensor], values: Values
) -> list[tuple[str, ...]]:
    """Which of these tensors of one type and shape have equal values."""
    by_head: dict[bytes, list[str]] = {}
    for name in names:
        head = _start(tensors[name], values)
        if (head != head[:1]).any():
            by_head.setdefault(head.tobytes(), []).append(name)
    groups: dict[bytes, list[str]] = {}
    for alike in by_head.values():
        if len(alike) > 1:
            for name in alike:
                digest = hashlib.blake2b(np.ascontiguousarray(values.read(tensors[name])).tobytes())
                groups.setdefault(digest.digest(), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def _start(tensor: Tensor, values: Values) -> np.ndarray:
    """The first values from where the tensor begins in its storage."""
    few = min(64, tensor.span)
    return values.read(Tensor(tensor.dtype, (few,), (1,), tensor.offset, _unchecked(tensor)))


def _unchecked(tensor: Tensor) -> Storage | None:
    """The storage without its checksum, for which all of it would be read."""
    return replace(tensor.storage, checksum=None) if tensor.storage else None


def sha256(file: BinaryIO) -> str:
    """The SHA-256 of the whole file."""
    digest = hashlib.sha256()
    file.seek(0)
    while data := file.read(_CHUNK):
        digest.update(data)
    return digest.hexdigest()


def counters(tensors: Mapping[str, Tensor], values: Values) -> dict[str, int]:
    """The number of batches that each batch norm has seen in training."""
    return {
        name.removesuffix(".num_batches_tracked"): int(values.read(tensor).reshape(-1)[0])
        for name, tensor in tensors.items()
        if name.endswith("num_batches_tracked") and tensor.size == 1 and not tensor.kind
    }
