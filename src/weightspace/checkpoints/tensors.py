"""Tensors as a file describes them, and their values, read from where they lie in the file."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
from numpy.lib.stride_tricks import as_strided

from weightspace.checkpoints.dtypes import FLOAT32, DType
from weightspace.checkpoints.messages import Refusal, damaged
from weightspace.printable import printable

_MOST_DIMENSIONS = 64
_LARGEST = 2**63  # torch counts values in int64
_PIECE = 2**18  # bytes of which a checksum is taken at once


@dataclass(slots=True, eq=False)
class Checksum:
    """The CRC-32 of `length` bytes of a file from `start` on, which is looked at once.

    `begun` is the CRC-32 of the bytes before that belong to it, and `name` what they are.
    """

    value: int
    start: int
    length: int
    name: str
    begun: int = 0
    right: bool = False

    def check(self, file: Any) -> None:
        """Read all of the bytes; Refusal if they are others."""
        if self.right:
            return
        found, left = self.begun, self.length
        file.seek(self.start)
        while left:
            data = file.read(min(_PIECE, left))
            if not data:
                raise _shorter()
            found, left = zlib.crc32(data, found), left - len(data)
        self.compare(found)

    def compare(self, found: int) -> None:
        """Refusal if a CRC-32 is another one."""
        if found != self.value:
            raise Refusal(
                f"damaged (the checksum of {printable(self.name, 80)} is another one)",
                "fetch it again",
            )
        self.right = True


@dataclass(slots=True, eq=False)
class Storage:
    """The bytes from which tensors take values.

    They are at `position` of the file, which is -1 until it is known, or in memory as `data`.
    `order` is the order of bytes, where it is not that of the whole file. `device` is where the
    values were when they were saved. `file` is another open file than that of `Values`, where a
    checkpoint consists of several. `checksum` is that of bytes of which these are a part.
    """

    dtype: DType
    nbytes: int
    position: int = -1
    data: bytes | None = None
    order: str = ""
    device: str = ""
    file: BinaryIO | None = None
    checksum: Checksum | None = None


@dataclass(slots=True, eq=False)
class Tensor:
    """A tensor that is not read yet; `offset` and `stride` count values of its `dtype`.

    `kind` is empty, or says why there are no values to read, such as "sparse". `compute` makes the
    values (any real type, of `shape`) of a tensor that is not stored as it is, such as a compressed
    one. `objects` is what an array of Python objects holds, as a pickle describes it.
    """

    dtype: DType
    shape: tuple[int, ...]
    stride: tuple[int, ...] = ()
    offset: int = 0
    storage: Storage | None = None
    negative: bool = False
    kind: str = ""
    compute: Callable[[], np.ndarray] | None = None
    objects: list[Any] | None = None

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
        return self.dtype.name


def size_of(file: BinaryIO) -> int:
    """The bytes of an open file; its place becomes the end."""
    return file.seek(0, 2)


def view(
    storage: object, offset: object, shape: object, stride: object, dtype: object = None
) -> Tensor:
    """A tensor in a storage; Refusal if the storage does not contain all its values."""
    if not isinstance(storage, Storage):
        raise damaged("a tensor without a storage")
    sides, steps = numbers(shape), numbers(stride)
    kind = dtype if isinstance(dtype, DType) else storage.dtype
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


def tied(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """For each name of a tensor that has several names, another: the first, or else the second.

    Tensors are one if they are all values of the same part of a storage, be it with other strides,
    as a kernel and its transpose.
    """
    groups: dict[tuple[int, int, int, str], list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.storage is not None and not tensor.kind and tensor.size == tensor.span > 0:
            place = (id(tensor.storage), tensor.offset, tensor.size, tensor.dtype.name)
            groups.setdefault(place, []).append(name)
    found: dict[str, str] = {}
    for names in groups.values():
        if len(names) > 1:
            first, second, *_ = sorted(names)
            found |= dict.fromkeys(names, first) | {first: second}
    return found


@dataclass
class Values:
    """Reads the values of the tensors of an open file, whose byte order is `order`."""

    file: BinaryIO
    order: str = "little"
    _kept: dict[Storage, np.ndarray] = field(default_factory=dict)

    def into(self, tensor: Tensor, out: np.ndarray) -> None:
        """Fill `out`, float32 [tensor.size], with the values in the order of the shape."""
        if not tensor.size:
            return
        storage = tensor.storage
        if storage is None or storage.data is not None or not self._plain(tensor):
            # Values beyond float32 become infinite, which is reported.
            with np.errstate(over="ignore", invalid="ignore"):
                out[:] = self.read(tensor).reshape(-1)
            return
        self._read(storage, tensor.offset * tensor.dtype.itemsize, out)
        if tensor.negative:
            np.negative(out, out=out)

    def read(self, tensor: Tensor) -> np.ndarray:
        """The values in the tensor's shape, of their own type or float32 (see `DType.decode`)."""
        if tensor.compute is not None:
            return self._checked(tensor, tensor.compute())
        if not tensor.size or tensor.storage is None:
            return np.zeros(tensor.shape, np.float32)
        width, span = tensor.dtype.itemsize, tensor.span
        raw = self._raw(tensor, tensor.offset * width, span * width)
        if (tensor.storage.order or self.order) == "big" and width > 1:
            raw = np.ascontiguousarray(raw.reshape(span, width)[:, ::-1]).reshape(-1)
        stored = tensor.dtype.decode(raw)
        steps = tuple(stride * stored.itemsize for stride in tensor.stride)
        values = as_strided(stored, tensor.shape, steps, writeable=False)  # `view` checks the span
        return -values if tensor.negative else values

    def _plain(self, tensor: Tensor) -> bool:
        """Whether the bytes of the file are those of the result."""
        order = (tensor.storage.order if tensor.storage else "") or self.order
        return (
            tensor.compute is None
            and tensor.dtype is FLOAT32
            and order == sys.byteorder
            and tensor.stride == contiguous(tensor.shape)
        )

    @staticmethod
    def _checked(tensor: Tensor, values: np.ndarray) -> np.ndarray:
        if values.shape != tensor.shape:
            raise damaged(f"values of shape {list(values.shape)}, not {list(tensor.shape)}")
        return values

    def _raw(self, tensor: Tensor, first: int, length: int) -> np.ndarray:
        """The bytes from a tensor's first value to its last; `first` counts from its storage."""
        storage = tensor.storage
        assert storage is not None
        if storage.data is not None:
            return np.frombuffer(storage.data, np.uint8, length, first)
        if length <= 2 * tensor.size * tensor.dtype.itemsize:
            raw = np.empty(length, np.uint8)
            self._read(storage, first, raw)
            return raw
        # The tensor is a small part of its storage, which others may share: read the storage once.
        if storage not in self._kept:
            whole = np.empty(storage.nbytes, np.uint8)
            self._read(storage, 0, whole)
            self._kept[storage] = whole
        return self._kept[storage][first : first + length]

    def _read(self, storage: Storage, first: int, out: np.ndarray) -> None:
        """Fill `out` with the bytes of the storage from `first` on; Refusal if they are damaged."""
        target = memoryview(out.data).cast("B")
        file: Any = storage.file or self.file  # BinaryIO lacks readinto
        checksum, at = storage.checksum, storage.position + first
        whole = checksum is not None and (at, len(target)) == (checksum.start, checksum.length)
        if checksum is not None and not whole:
            checksum.check(file)
        file.seek(at)
        while target:
            count = file.readinto(target)
            if not count:
                raise _shorter()
            target = target[count:]
        if checksum is not None and whole:
            checksum.compare(zlib.crc32(out.data, checksum.begun))


def _shorter() -> Refusal:
    return Refusal("became shorter while it was read", "read it when it is finished")
