"""The data types of stored values: float32, or bfloat16, which is the upper half of a float32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weightspace.arrays import Float32, Shaped
from weightspace.errors import UsageError


@dataclass(frozen=True)
class Dtype:
    """The data type in which a zoo stores its values; in memory they are always float32.

    Attributes
    ----------
    name : str
        The name in `zoo.json`.
    code : str
        The name in safetensors headers.
    stored : numpy.dtype
        The NumPy type of the bytes on disk. NumPy has no bfloat16, so its bits are read as uint16.
    """

    name: str
    code: str
    stored: np.dtype

    @property
    def size(self) -> int:
        """Bytes of one value."""
        return self.stored.itemsize

    def narrow(self, values: Float32[np.ndarray, "*any"]) -> Shaped[np.ndarray, "*any"]:
        """Convert values of any shape to what is stored, rounding to nearest, ties to even.

        NaN stays NaN. Values beyond the largest bfloat16 become infinite.
        """
        if self.size == 4:
            return np.ascontiguousarray(values, self.stored)
        bits = np.ascontiguousarray(values, "<f4").view("<u4")
        upper = bits >> 16
        rounded = (bits + (0x7FFF + (upper & 1))) >> 16  # NaN: see below
        nan = (bits & 0x7FFFFFFF) > 0x7F800000
        return np.where(nan, upper | 0x40, rounded).astype(self.stored)

    def widen(
        self,
        stored: Shaped[np.ndarray, "*any"],
        out: Float32[np.ndarray, "*any"] | None = None,
    ) -> Float32[np.ndarray, "*any"]:
        """Convert stored values to float32, exactly; a view where float32 is stored.

        The values are written to `out`, if it is given.
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

    def rounded(self, values: Float32[np.ndarray, "*any"]) -> Float32[np.ndarray, "*any"]:
        """Round values to those that come back after storing them."""
        return self.widen(self.narrow(values))


FLOAT32 = Dtype("float32", "F32", np.dtype("<f4"))
BFLOAT16 = Dtype("bfloat16", "BF16", np.dtype("<u2"))
DTYPES = {one.name: one for one in (FLOAT32, BFLOAT16)}


def dtype_of(name: object) -> Dtype:
    """The dtype with this name; UsageError for an unknown name."""
    if not isinstance(name, str) or name not in DTYPES:
        raise UsageError("dtype", f"{name!r} is none of {', '.join(DTYPES)}")
    return DTYPES[name]
