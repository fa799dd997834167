"""What two tensors of one shape have in common: equal, rounded, quantised, pruned, or changed."""

from __future__ import annotations

import itertools
import math

import numpy as np

from weightspace.evidence.pairing import Pair
from weightspace.evidence.subject import Layer, Subject

_UNITS, _INPUTS = 256, 4096  # that are looked at, of a kernel
_WHOLE = 2**22  # values of a tensor of which all are read at once
_LEVELS = 256  # of a quantised tensor
_GRIDS = (127, 7, 1)  # steps to each side, of 8, 4 and 2 bits
_ROUNDING = 1e-6  # relative, of numbers that were multiplied and divided
_FACTOR = 1e-3  # from 1, of a factor that is no rounding
_SAMPLE = 64  # values that show that kernels are not proportional


def block(subject: Subject, layer: Layer) -> np.ndarray:
    """Evenly spaced units and inputs of a kernel: float32 [units <= 256, inputs <= 4096].

    The places depend on the sizes alone, not on the order in which the kernel is stored.
    """
    units, inputs = places(layer)
    size, shape = math.prod(layer.shape), layer.shape
    if size <= _WHOLE or layer.axes == "last":
        found = subject.read(layer.weight, 0, shape[0])
    else:
        rows = units if layer.axes == "out in" else inputs
        found = np.stack([subject.read(layer.weight, row, row + 1)[0] for row in rows])
        units, inputs = (
            (np.arange(len(units)), inputs)
            if layer.axes == "out in"
            else (units, np.arange(len(inputs)))
        )
    if layer.axes == "in out":
        found = found.swapaxes(0, 1)
    elif layer.axes == "last":
        found = np.moveaxis(found, (-1, -2), (0, 1))
    return np.ascontiguousarray(found[units][:, inputs]).reshape(len(units), -1)


def places(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """The units and inputs of a kernel that are looked at."""
    area = math.prod(layer.kernel)
    return spaced(layer.outputs, _UNITS), spaced(layer.inputs, max(1, _INPUTS // area))


def spaced(count: int, most: int) -> np.ndarray:
    """At most `most` numbers below `count`, evenly spaced."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def are_equal(first: Subject, second: Subject, pair: Pair) -> bool:
    """Whether all values of two tensors are equal; reading ends at the first that differs."""
    if pair.layers is not None and pair.layers[0].axes != pair.layers[1].axes:
        return _equal(*(block(net, layer) for net, layer in zip((first, second), pair.layers,
                                                                strict=True)))  # fmt: skip
    shape = first.shapes[pair.first]
    length = shape[0] if shape else 1
    rows = max(1, _WHOLE // max(1, math.prod(shape[1:])))
    return all(
        _equal(
            first.read(pair.first, start, min(start + rows, length)),
            second.read(pair.second, start, min(start + rows, length)),
        )
        for start in range(0, length, rows)
    )


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b) or np.array_equal(a, b, equal_nan=True))


def relation(one: np.ndarray, other: np.ndarray) -> str:
    """How one of two kernels, [units, inputs], was made from the other without training.

    Returns
    -------
    str
        "rounded to bfloat16", "rounded to float16", "quantised" or "pruned"; "" if it was not, or
        if it cannot be seen.
    """
    for a, b in ((one, other), (other, one)):
        if np.array_equal(b, bfloat16(a)) or np.array_equal(b, bfloat16(a, nearest=False)):
            return "rounded to bfloat16"
        with np.errstate(over="ignore"):
            if np.array_equal(b, a.astype(np.float16).astype(np.float32)):
                return "rounded to float16"
        if _quantised(a, b):
            return "quantised"
        kept = b != 0
        if kept.mean() > 0.01 and not kept.all() and np.array_equal(a[kept], b[kept]):
            return "pruned"
    return ""


def bfloat16(values: np.ndarray, nearest: bool = True) -> np.ndarray:
    """The values, float32, as bfloat16 holds them: rounded to nearest even, or cut off."""
    bits = np.ascontiguousarray(values).view(np.uint32).astype(np.uint64)
    if nearest:
        bits = bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))
    return (bits & np.uint64(0xFFFF0000)).astype(np.uint32).view(np.float32).reshape(values.shape)


def _quantised(values: np.ndarray, levels: np.ndarray) -> bool:
    """Whether `levels` are `values` on few levels: of the whole kernel, or of each unit."""
    if not np.any(levels) or values.size < 64:
        return False
    some = levels.reshape(-1)[:: max(1, levels.size // (16 * _LEVELS))]
    few = len(np.unique(some)) <= _LEVELS  # it takes long to sort all
    found, place = np.unique(levels, return_inverse=True) if few else (some, some)
    if len(found) <= _LEVELS and len(found) <= len(np.unique(values)) // 2:
        low, high = np.full(len(found), np.inf), np.full(len(found), -np.inf)
        np.minimum.at(low, place.reshape(-1), values.reshape(-1))
        np.maximum.at(high, place.reshape(-1), values.reshape(-1))
        # A few values at the border of two levels may be on either side, by rounding.
        return bool((high[:-1] <= low[1:] + 1e-5 * np.abs(low[1:])).all())
    sizes = np.abs(levels)
    for most, steps in itertools.product((sizes.max(1, keepdims=True), sizes.max()), _GRIDS):
        step = np.maximum(most / steps, 1e-30)
        counted = levels / step
        on_grid = np.abs(counted - np.rint(counted)).max() < 1e-3
        if on_grid and (np.abs(values - levels) <= 0.51 * step).all():
            return True
    return False


def rescaled(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two kernels, [units, inputs], differ by factors of units and of inputs alone.

    Units of a ReLU may be multiplied, and the next layer divided, without changing the function.
    Other kernels have no such factors: with them, all values are given by a few of one kernel.
    """
    units, inputs = one.shape
    if one.size < 4 * (units + inputs) or not _signs_agree(one, other, _SAMPLE):
        return False
    if not _signs_agree(one, other, one.size):
        return False
    seen = one != 0
    full = np.flatnonzero(seen.all(0))
    if not full.size:
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.abs(other.astype(np.float64))) - np.log(np.abs(one.astype(np.float64)))
    logs[~seen] = np.nan
    used = logs[:, seen.any(0)]
    units_out = used - logs[:, full[:1]]
    left = units_out - np.nanmedian(units_out, axis=0)
    return bool(np.nanmax(np.abs(left)) < _ROUNDING and np.nanmax(np.abs(used)) > _FACTOR)


def _signs_agree(one: np.ndarray, other: np.ndarray, most: int) -> bool:
    return bool((np.sign(one.reshape(-1)[:most]) == np.sign(other.reshape(-1)[:most])).all())
