"""Native features: what `local` and `layers` compute with NumPy, in C++, several times as fast.

NumPy makes a pass over memory for each operation, and a call for each tensor of a net; the loops
in `local.h` and `tensors.h` make few passes over values in the cache. Transforms stay with scipy,
and matrix products and eigenvalues with the BLAS and LAPACK that scipy has.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_int64, c_void_p, pointer
from functools import cache
from pathlib import Path

import numpy as np
import scipy.fft
from scipy.linalg import cython_blas, cython_lapack

from weightspace import native
from weightspace.arrays import Float32, Float64, Int, Shaped

_AT_ONCE = 8
"""Slices that are described together: transforms of several take less time each."""


def builds() -> list[Path]:
    """The builds that this processor supports, the widest last."""
    return native.builds(Path(__file__).parent)


@cache
def library() -> ctypes.CDLL | None:
    """The widest build that this processor supports; None if there is none or it is switched off.

    The environment variable WEIGHTSPACE_NATIVE=0 switches it off.
    """
    found = native.widest(Path(__file__).parent)
    return None if found is None else load(found)


def load(build: Path) -> ctypes.CDLL:
    """Load a build and declare its functions."""
    found = ctypes.CDLL(str(build))
    arrays = (c_void_p,) * 8
    shape = POINTER(_Shape)
    found.ws_describe.argtypes = (shape, c_int64, *arrays[:5])
    found.ws_describe.restype = c_int64
    found.ws_power.argtypes, found.ws_power.restype = (c_int64, c_void_p), None
    found.ws_spectrum.argtypes = (shape, c_int64, c_int64, *arrays[:5])
    found.ws_tensors.argtypes = (*arrays[:3], c_int64, c_void_p, c_int64, c_void_p)
    found.ws_interpolate.argtypes = (c_int64, c_int64, c_int64, *arrays[:4])
    found.ws_interpolate.restype = None
    return found


class _Shape(Structure):
    """The struct `Shape` of local.h."""

    _fields_ = (
        *((name, c_int64) for name in ("length", "padded", "lags", "columns", "count")),
        *((name, c_void_p) for name in ("fine", "sizes", "steps")),
        *((name, c_int64) for name in ("fine_count", "size_count", "step_count")),
        *(
            (name, c_void_p)
            for name in ("ranks", "edges", "centres", "harmonics", "at", "envelope", "octaves")
        ),
        *(
            (name, c_int64)
            for name in (
                "rank_count", "band_count", "period_count", "reach", "at_count", "envelope_count",
                "octave_count",
            )
        ),
    )  # fmt: skip


class Slices:
    """Describes slices of one length.

    Parameters
    ----------
    length, lags, columns : int
        Values of a slice, the largest lag of a correlation, and numbers of a slice.
    padded : int
        Values of a transform.
    tables : dict of str to sequence
        The fields of `_Shape` that are arrays; the fields of their sizes follow.
    """

    def __init__(
        self,
        found: ctypes.CDLL,
        length: int,
        padded: int,
        lags: int,
        columns: int,
        reach: int,
        tables: dict[str, Sequence[float]],
    ) -> None:
        self._library, self._padded = found, padded
        shares = ("fine", "sizes", "steps")
        self._kept = {
            name: np.array(table, np.float64 if name in shares else np.int64)
            for name, table in tables.items()
        }
        self._count, self._columns = padded // 2, columns
        self._shape = _Shape(
            length=length,
            padded=padded,
            lags=lags,
            columns=columns,
            count=self._count,
            reach=reach,
            fine_count=len(tables["fine"]),
            size_count=len(tables["sizes"]),
            step_count=len(tables["steps"]),
            rank_count=len(tables["ranks"]),
            band_count=len(tables["edges"]) - 1,
            period_count=len(tables["harmonics"]),
            at_count=len(tables["at"]),
            envelope_count=len(tables["envelope"]),
            octave_count=len(tables["octaves"]) // 2,
            **{name: table.ctypes.data for name, table in self._kept.items()},
        )

    def __call__(self, values: Float32[np.ndarray, "n length"]) -> Float64[np.ndarray, "n F"]:
        """The numbers of contiguous slices."""
        out = np.empty((len(values), self._columns))
        # What few slices need fits the nearest caches, and is reused by the next ones.
        series = np.empty((_AT_ONCE, 2, self._padded), np.float32)
        flat, folds = np.empty((_AT_ONCE, 2), np.uint8), np.empty((_AT_ONCE, 9))
        for start in range(0, len(values), _AT_ONCE):
            rows = slice(start, start + _AT_ONCE)
            self._describe(values[rows], out[rows], series, flat, folds)
        return out

    def _describe(
        self,
        values: Float32[np.ndarray, "n length"],
        out: Float64[np.ndarray, "n F"],
        series: Float32[np.ndarray, "most 2 padded"],
        flat: Shaped[np.ndarray, "most 2"],
        folds: Float64[np.ndarray, "most 9"],
    ) -> None:
        rows, shape = len(values), pointer(self._shape)
        first = self._library.ws_describe(shape, rows, *_at(values, out, series, flat, folds))
        if first < 0:
            raise MemoryError(f"no memory for {rows} slices")
        power = scipy.fft.rfft(series[:rows], self._padded, axis=2)
        self._library.ws_power(power.size, power.ctypes.data)
        covariance = scipy.fft.irfft(power, self._padded, axis=2)
        arrays = _at(power, covariance, flat, folds, out)
        if self._library.ws_spectrum(shape, rows, first, *arrays):
            raise MemoryError(f"no memory for {rows} slices")


def tensors(
    found: ctypes.CDLL,
    vector: Float32[np.ndarray, " P"],
    told: Int[np.ndarray, "tensors 7"],
    width: int,
) -> Float64[np.ndarray, "tensors {width}"]:
    """The numbers of the tensors of one vector; zeros follow those of other roles than weights.

    `told` int64 has the fields of `Tensor` in tensors.h.
    """
    out = np.zeros((len(told), width))
    failed = found.ws_tensors(*_algebra(), vector.ctypes.data, len(told), told.ctypes.data, width,
                              out.ctypes.data)  # fmt: skip
    if failed < 0:
        raise MemoryError("no memory for the features of a net")
    if failed:
        raise np.linalg.LinAlgError("Eigenvalues did not converge")
    return out


def interpolated(
    found: ctypes.CDLL,
    values: Float64[np.ndarray, "n F"],
    knots: Float64[np.ndarray, "F knots"],
    scores: Float64[np.ndarray, "F knots"],
) -> Float64[np.ndarray, "n F"]:
    """`numpy.interp` of every column; a missing value gives any number."""
    out = np.empty(values.shape)
    found.ws_interpolate(*values.shape, knots.shape[1], *_at(values, knots, scores, out))
    return out


@cache
def _algebra() -> tuple[int, int]:
    """Addresses of scipy's matrix product and of its eigenvalues of symmetric matrices."""
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = c_char_p, (ctypes.py_object,)
    api.PyCapsule_GetPointer.restype = c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, c_char_p)

    def address(capsule: object) -> int:
        name = api.PyCapsule_GetName(capsule)
        return int(api.PyCapsule_GetPointer(capsule, name))

    return (
        address(cython_blas.__pyx_capi__["dgemm"]),
        address(cython_lapack.__pyx_capi__["dsyevd"]),
    )


def _at(*arrays: np.ndarray) -> list[int]:
    return [array.ctypes.data for array in arrays]
