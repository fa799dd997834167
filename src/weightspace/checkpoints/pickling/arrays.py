"""NumPy's arrays, numbers and types in a pickle: they become tensors whose bytes are in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.checkpoints.dtypes import DTYPES, FLOAT32, UINT8, DType
from weightspace.checkpoints.messages import damaged, unknown
from weightspace.checkpoints.pickling.records import OldText
from weightspace.checkpoints.tensors import Storage, Tensor, contiguous, numbers

_CODES = {
    code: DTYPES[name]
    for code, name in (
        ("f8", "float64"), ("f4", "float32"), ("f2", "float16"), ("b1", "bool"),
        ("i8", "int64"), ("i4", "int32"), ("i2", "int16"), ("i1", "int8"),
        ("u8", "uint64"), ("u4", "uint32"), ("u2", "uint16"), ("u1", "uint8"),
        ("c16", "complex128"), ("c8", "complex64"),
    )
}  # fmt: skip


@dataclass(slots=True, eq=False)
class NumpyType:
    """A type of NumPy as a pickle describes it: its code, such as "f4", and its order of bytes."""

    code: str
    order: str = "<"

    def build(self, state: object) -> None:
        """Take the order of bytes from what NumPy puts into a type."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise damaged("a NumPy type without an order of bytes")
        self.order = state[1]

    @property
    def dtype(self) -> DType | None:
        """The type of values; None for text, objects and structures."""
        return _CODES.get(self.code)


def describes(state: object) -> bool:
    """Whether a state is what NumPy fills an array with."""
    return type(state) is tuple and len(state) == 5 and isinstance(state[2], NumpyType)


def filled(state: Any) -> Tensor:
    """The array that a state describes: version, shape, type, order of the axes, and bytes."""
    _, shape, kind, fortran, data = state
    sides = numbers(shape)
    if kind.dtype is None:
        objects = data if type(data) is list else None
        return Tensor(UINT8, sides, kind=f"NumPy's {kind.code}", objects=objects)
    if isinstance(data, str):  # of Python 2
        data = data.raw if isinstance(data, OldText) else data.encode("ascii")
    if not isinstance(data, bytes | bytearray):
        raise damaged("a NumPy array without its bytes")
    return array(bytes(data), kind, sides, bool(fortran))


def array(data: bytes, kind: NumpyType, shape: tuple[int, ...], fortran: bool) -> Tensor:
    """A tensor of bytes in memory."""
    dtype = kind.dtype
    if dtype is None:
        return Tensor(UINT8, shape, kind=f"NumPy's {kind.code}")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise damaged(f"a NumPy array of shape {list(shape)} in {len(data):,} bytes")
    strides = contiguous(shape[::-1])[::-1] if fortran else contiguous(shape)
    storage = Storage(dtype, len(data), data=data, order="big" if kind.order == ">" else "little")
    return Tensor(dtype, shape, strides, 0, storage)


def _empty(*_: object) -> Tensor:
    """An array that BUILD fills."""
    return Tensor(FLOAT32, (0,), (1,))


def _type(code: object, *_: object) -> NumpyType:
    if type(code) is not str or len(code) > 20:
        raise damaged("a NumPy type without a code")
    return NumpyType(code)


def _scalar(kind: object, data: object = None) -> object:
    """A number, as Python has it."""
    if not isinstance(kind, NumpyType):
        raise damaged("a NumPy number without a type")
    raw = data.raw if isinstance(data, OldText) else data
    raw = raw.encode("latin1") if isinstance(raw, str) else raw
    if kind.dtype is None or not isinstance(raw, bytes):
        return data
    if len(raw) != kind.dtype.itemsize:
        raise damaged("a NumPy number of another size than its type")
    order = ">" if kind.order == ">" else "<"
    return np.frombuffer(raw, f"{order}{kind.dtype.code}")[0].item()


def _from_buffer(data: object, kind: object, shape: object, order: object = "C") -> Tensor:
    if not isinstance(kind, NumpyType) or not isinstance(data, bytes | bytearray):
        raise damaged("a NumPy array without type or bytes")
    if order not in ("C", "F"):
        raise unknown("a NumPy array of an unknown order")
    return array(bytes(data), kind, numbers(shape), order == "F")


CALLS: dict[str, Callable[..., object]] = {
    "numpy.dtype": _type,
    **{
        f"numpy.{core}.{name}": call
        for core in ("core", "_core")
        for name, call in (
            ("multiarray._reconstruct", _empty),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
