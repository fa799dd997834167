"""The types of values in files, by torch's names, and how their bytes become float32; no torch."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class DType:
    """A type of values.

    Attributes
    ----------
    name : str
        Torch's name, such as "bfloat16".
    itemsize : int
        Bytes of a value.
    code : str
        The NumPy type that holds the bytes of a value: itself, or unsigned integers for a type that
        NumPy does not have.
    quantised : bool
        Whether the values mean something only with scales that are stored elsewhere.
    """

    name: str
    itemsize: int
    code: str
    quantised: bool = False

    @property
    def floating(self) -> bool:
        """Whether values are real floating-point numbers."""
        return self.name.startswith(("float", "bfloat")) and not self.quantised

    @property
    def complex(self) -> bool:
        """Whether values are complex numbers."""
        return self.name.startswith("complex")

    def decode(self, raw: np.ndarray) -> np.ndarray:
        """The numbers that bytes stand for.

        Parameters
        ----------
        raw : ndarray of uint8, shape (n * itemsize,)
            Little-endian values.

        Returns
        -------
        ndarray, shape (n,)
            float32 for floating types of at most 32 bits that NumPy does not have, otherwise the
            NumPy type of the same name.
        """
        values = raw.view(np.dtype(self.code).newbyteorder("<"))
        if self.name == "bfloat16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        if self.name in _SMALL:
            found: np.ndarray = _table(self.name)[values]
            return found
        return values


@dataclass(frozen=True, slots=True)
class _Small:
    """A floating type of 8 bits: its exponent and mantissa bits, and which codes are NaN."""

    exponent: int
    mantissa: int
    bias: int
    nan: str  # "ieee" (infinities and NaN), "ones" (all ones is NaN), "zero" (minus zero is NaN)


_SMALL = {
    "float8_e4m3fn": _Small(4, 3, 7, "ones"),
    "float8_e5m2": _Small(5, 2, 15, "ieee"),
    "float8_e4m3fnuz": _Small(4, 3, 8, "zero"),
    "float8_e5m2fnuz": _Small(5, 2, 16, "zero"),
    "float8_e8m0fnu": _Small(8, 0, 127, "scale"),
}


@functools.cache
def _table(name: str) -> np.ndarray:
    """float32 [256]: the value of each code of a type of 8 bits."""
    small = _SMALL[name]
    codes = np.arange(256)
    if small.nan == "scale":  # powers of two alone
        values = np.exp2(codes.astype(np.float64) - small.bias)
        values[255] = np.nan
        return values.astype(np.float32)
    sign = np.where(codes & 128, -1.0, 1.0)
    exponent = (codes & 127) >> small.mantissa
    fraction = (codes & ((1 << small.mantissa) - 1)) / (1 << small.mantissa)
    normal = (1 + fraction) * np.exp2(exponent.astype(np.float64) - small.bias)
    values = sign * np.where(exponent > 0, normal, fraction * np.exp2(1.0 - small.bias))
    if small.nan == "ieee":
        top = exponent == (1 << small.exponent) - 1
        values = np.where(top, np.where(fraction == 0, sign * np.inf, np.nan), values)
    elif small.nan == "ones":
        values[[127, 255]] = np.nan
    else:
        values[128] = np.nan
    return values.astype(np.float32)


_KNOWN = [
    DType("float64", 8, "f8"),
    DType("float32", 4, "f4"),
    DType("float16", 2, "f2"),
    DType("bfloat16", 2, "u2"),
    DType("float8_e4m3fn", 1, "u1"),
    DType("float8_e5m2", 1, "u1"),
    DType("float8_e4m3fnuz", 1, "u1"),
    DType("float8_e5m2fnuz", 1, "u1"),
    DType("float8_e8m0fnu", 1, "u1"),
    DType("int64", 8, "i8"),
    DType("int32", 4, "i4"),
    DType("int16", 2, "i2"),
    DType("int8", 1, "i1"),
    DType("uint64", 8, "u8"),
    DType("uint32", 4, "u4"),
    DType("uint16", 2, "u2"),
    DType("uint8", 1, "u1"),
    DType("bool", 1, "?"),
    DType("complex128", 16, "c16"),
    DType("complex64", 8, "c8"),
    DType("complex32", 4, "u4"),
    DType("qint8", 1, "i1", quantised=True),
    DType("qint32", 4, "i4", quantised=True),
    DType("quint8", 1, "u1", quantised=True),
    DType("quint4x2", 1, "u1", quantised=True),
    DType("quint2x4", 1, "u1", quantised=True),
]
DTYPES = {dtype.name: dtype for dtype in _KNOWN}
FLOAT32, UINT8 = DTYPES["float32"], DTYPES["uint8"]
