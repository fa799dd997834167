"""What values are on disk: float32, or bfloat16, the upper half of its bits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightspace.errors import UsageError


@dataclass(frozen=True)
class Dtype:
    """How the values of a zoo are stored; what it takes in and gives out is always float32.

    `name` as in `zoo.json`, `code` as in safetensors, `stored` of the bytes on disk.
    """

    name: str
    code: str
    stored: np.dtype

    @property
    def size(self) -> int:
        """Bytes of a value."""
        return self.stored.itemsize

    def narrow(self, values: np.ndarray) -> np.ndarray:
        """What is stored of float32 values of any shape; the nearest, of two as near the even.

        What is not a number stays none; what is beyond the largest becomes infinite.
        """
        if self.size == 4:
            return np.ascontiguousarray(values, self.stored)
        bits = np.ascontiguousarray(values, "<f4").view("<u4")
        upper = bits >> 16
        rounded = (bits + (0x7FFF + (upper & 1))) >> 16  # a NaN's may wrap, and is not taken
        nan = (bits & 0x7FFFFFFF) > 0x7F800000
        return np.where(nan, upper | 0x40, rounded).astype(self.stored)

    def widen(self, stored: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The float32 values, exactly; a view where that is what is stored.

        They are put in `out`, float32 of the same shape, if it is given.
        """
        if self.size == 4:
            values = stored.view("<f4")
            if out is None:
                return values
            out[...] = values
            return out
        out = np.empty(stored.shape, "<f4") if out is None else out
        bits = out.view("<u4")
        bits[...] = stored
        bits <<= 16
        return out

    def rounded(self, values: np.ndarray) -> np.ndarray:
        """Float32 values as they are after they were stored."""
        return self.widen(self.narrow(values))


FLOAT32 = Dtype("float32", "F32", np.dtype("<f4"))
BFLOAT16 = Dtype("bfloat16", "BF16", np.dtype("<u2"))
DTYPES = {one.name: one for one in (FLOAT32, BFLOAT16)}


def dtype_of(name: object) -> Dtype:
    """The dtype of a name; UsageError where there is none."""
    if not isinstance(name, str) or name not in DTYPES:
        raise UsageError(f"dtype: {name!r} is none of {', '.join(DTYPES)}")
    return DTYPES[name]
