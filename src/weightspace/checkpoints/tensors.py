"""Tensors as a file describes them, and their values, read from where they lie in the file."""

from __future__ import annotations

import functools
import math
import sys
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import torch

from weightspace.checkpoints.messages import Refusal, damaged

_MOST_DIMENSIONS = 64
_LARGEST = 2**63  # torch counts values in int64


@dataclass(slots=True, eq=False)
class Storage:
    """The bytes of a file from which tensors take values; `position` is -1 until it is known."""

    dtype: torch.dtype
    nbytes: int
    position: int = -1


@dataclass(slots=True, eq=False)
class Tensor:
    """A tensor that is not read yet; `offset` and `stride` count values of its `dtype`.

    `kind` is empty, or says why there are no values to read, such as "sparse".
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = None
    negative: bool = False
    kind: str = ""

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def span(self) -> int:
        """The number of values of the storage from its first to its last."""
        span = 1
        for side, stride in zip(self.shape, self.stride, strict=True):
            if not side:
                return 0
            span += (side - 1) * stride
        return span

    @property
    def dtype_name(self) -> str:
        """Torch's name of the dtype, such as "bfloat16"."""
        return _name(self.dtype)


@functools.cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def view(
    storage: object, offset: object, shape: object, stride: object, dtype: object = None
) -> Tensor:
    """A tensor in a storage; Refusal if the storage does not contain all its values."""
    if not isinstance(storage, Storage):
        raise damaged("a tensor without a storage")
    sides, steps = numbers(shape), numbers(stride)
    kind = dtype if isinstance(dtype, torch.dtype) else storage.dtype
    if len(sides) != len(steps) or type(offset) is not int or not 0 <= offset < _LARGEST:
        raise damaged("a tensor with wrong strides or a wrong offset")
    tensor = Tensor(kind, sides, steps, offset, storage)
    span = tensor.span
    if span and (offset + span) * kind.itemsize > storage.nbytes:
        raise damaged(
            f"a tensor takes values up to byte {(offset + span) * kind.itemsize:,} of a "
            f"storage of {storage.nbytes:,} bytes"
        )
    return tensor


def numbers(found: object) -> tuple[int, ...]:
    """A shape or strides, checked before anything is multiplied."""
    if not isinstance(found, tuple) or len(found) > _MOST_DIMENSIONS:
        raise damaged(f"a shape is not a tuple of at most {_MOST_DIMENSIONS} numbers")
    for number in found:
        if type(number) is not int or not 0 <= number < _LARGEST:
            raise damaged(f"a shape, stride or offset is not a whole number from 0 to {_LARGEST:,}")
    return tuple(found)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a tensor whose values are consecutive."""
    strides = [1]
    for side in shape[:0:-1]:
        strides.append(strides[-1] * max(side, 1))
    return tuple(strides[::-1]) if shape else ()


@dataclass
class Values:
    """Reads the values of the tensors of an open file, whose byte order is `order`."""

    file: BinaryIO
    order: str = "little"
    _kept: dict[int, np.ndarray] = field(default_factory=dict)

    def into(self, tensor: Tensor, out: np.ndarray) -> None:
        """Fill `out`, float32 [tensor.size], with the values in the order of the shape."""
        if not tensor.size or tensor.storage is None:
            return
        width, span = tensor.dtype.itemsize, tensor.span
        first = tensor.storage.position + tensor.offset * width
        swapped = self.order != sys.byteorder and width > 1
        if tensor.dtype is torch.float32 and tensor.stride == contiguous(tensor.shape):
            self._read(first, out)  # the usual case: no copy is needed
            if swapped:
                out.byteswap(inplace=True)
        else:
            raw = self._raw(tensor, first, span * width)
            if swapped:
                raw = np.ascontiguousarray(raw.reshape(span, width)[:, ::-1]).reshape(-1)
            stored = torch.from_numpy(raw).view(tensor.dtype)
            torch.from_numpy(out).view(tensor.shape).copy_(
                stored.as_strided(tensor.shape, tensor.stride)
            )
        if tensor.negative:
            np.negative(out, out=out)

    def _raw(self, tensor: Tensor, first: int, length: int) -> np.ndarray:
        """The bytes from a tensor's first value to its last."""
        if length <= 2 * tensor.size * tensor.dtype.itemsize:
            raw = np.empty(length, np.uint8)
            self._read(first, raw)
            return raw
        # The tensor is a small part of its storage, which others may share: read the storage once.
        storage = tensor.storage
        assert storage is not None
        if storage.position not in self._kept:
            whole = np.empty(storage.nbytes, np.uint8)
            self._read(storage.position, whole)
            self._kept[storage.position] = whole
        start = first - storage.position
        return self._kept[storage.position][start : start + length]

    def _read(self, position: int, out: np.ndarray) -> None:
        target = memoryview(out.data).cast("B")
        self.file.seek(position)
        while target:
            count = self.file.readinto(target)  # type: ignore[attr-defined]  # BinaryIO lacks it
            if not count:
                raise Refusal("became shorter while it was read; read it when it is finished")
            target = target[count:]
