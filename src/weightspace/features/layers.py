"""Numbers of each layer of a whole vector, in columns that fit nets of different depth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from weightspace.arrays import Asked, Float32, Float64, Int, Shaped
from weightspace.errors import DataError
from weightspace.features import native
from weightspace.features.inputs import INPUTS_NAMES, inputs
from weightspace.features.statistics import moments, quantiles
from weightspace.features.structure import STRUCTURE_NAMES, structure

if TYPE_CHECKING:
    from weightspace.networks import Layout
    from weightspace.networks.layout import TensorSpec

PARTS = ("conv", "fc")
_PLACES = ("first", "rest", "last")
_LEVELS = (0.02, 0.25, 0.5, 0.75, 0.98)
_WEIGHT = (
    "mean",
    "log_spread",
    "skewness",
    "kurtosis",
    "log_scale",
    *(f"q{100 * q:02.0f}" for q in _LEVELS),
    "near_zero",
    *STRUCTURE_NAMES,
)
_SIZES = (0.0, 0.25, 0.5, 1.0)
_OTHER = (
    "mean",
    "log_spread",
    "skewness",
    *(f"q{100 * q:02.0f}" for q in _LEVELS),
    *(f"size_q{100 * q:02.0f}" for q in _SIZES),
)
WHAT = {"weight": _WEIGHT} | dict.fromkeys(
    ("bias", "shift", "scale", "running_mean", "running_var"), _OTHER
)
"""For each role of a tensor the names of its numbers."""
Tables = dict[tuple[str, int, str], Float64[np.ndarray, " numbers"]]
"""(part, layer, role) -> numbers of the tensor, named by `WHAT`."""
_KNEE = 1e-3
_FAINTEST = 1e-14
"""Smaller than any training step. A bias before a norm has no effect: it changes only by rounding
errors, or by full steps if the optimizer divides the gradient by its size."""

LAYERS_NAMES: tuple[str, ...] = (
    *(
        f"{part}_{place}_{role}_{what}"
        for part in PARTS
        for place in _PLACES
        for role, names in WHAT.items()
        for what in names
    ),
    *(f"slope_weight_{what}" for what in _WEIGHT),
    *(f"inputs_{what}" for what in INPUTS_NAMES),
    *(f"has_{part}_{role}" for part in PARTS for role in WHAT),
)
"""The columns of `layers`: part, place in the part, role of the tensor, number. A slope is the
change of a number of the weights from the first layer (depth 0) to the last (depth 1). `inputs` are
what the first layer's batch norm says of the inputs (`inputs.py`). `has` is 1
if the net has a tensor of this part and role, otherwise 0."""


def layers(
    vector: Asked[np.ndarray, " P"],
    layout: Layout,
    *,
    part: str = "all",
    running_stats: bool = True,
) -> Float32[np.ndarray, " F"]:
    """Describe a net by one row of numbers of its layers.

    Convolutions and dense layers are described separately: the first layer, the last (of the dense
    layers the output layer), and the mean over the layers between, for each role of tensor. If
    there is no layer between, the mean of the first and the last takes its place, so that neither
    the depth of a net nor a shape is a feature. Numbers of roles and parts that a net lacks, or
    that are not selected, are missing (NaN): 0 would be a value like any other, and often one that
    no net with this role has.

    Parameters
    ----------
    vector : ndarray of float32, shape (layout.size,)
        The flat vector of a net, finite.
    layout : Layout
        The layout of the vector.
    part : {"all", "conv", "fc"}
        The layers to describe.
    running_stats : bool
        Whether the running statistics of batch norm are described.

    Returns
    -------
    ndarray of float32, shape (len(LAYERS_NAMES),)
        The columns are named by `LAYERS_NAMES`. They are finite or NaN.

    Raises
    ------
    DataError
        If the vector does not have the size of the layout.
    """
    plan = _plan(layout, part, running_stats)
    table = np.full((len(_SLOTS), len(_WEIGHT)), np.nan, np.float32)
    table[plan.slots] = tamed(plan.mix @ _numbers(vector, layout, plan))
    seen = inputs(vector, layout) if running_stats and part != "fc" else None
    about = np.full(len(INPUTS_NAMES), np.nan, np.float32) if seen is None else tamed(seen)
    return np.concatenate([table.ravel()[_COLUMNS], about, plan.has])


_SLOTS = (
    *((part, place, role) for part in PARTS for place in _PLACES for role in WHAT),
    ("all", "slope", "weight"),
)
_COLUMNS = np.concatenate(
    [slot * len(_WEIGHT) + np.arange(len(WHAT[role])) for slot, (_, _, role) in enumerate(_SLOTS)]
)
"""Where the columns are in a table with a row of the width of a weight's for each slot."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What the features of all nets of a layout have in common.

    The tensors that are described, as such and as the native library is told them; the slots that
    are filled, as combinations `mix` [slots, tensors] of tensors; which roles there are.
    """

    tensors: tuple[TensorSpec, ...]
    told: Int[np.ndarray, "tensors 7"]
    slots: Int[np.ndarray, " slots"]
    mix: Float64[np.ndarray, "slots tensors"]
    has: Float32[np.ndarray, " roles"]


@lru_cache(maxsize=1024)
def _plan(layout: Layout, part: str, running_stats: bool) -> _Plan:
    chosen = tuple(
        spec
        for spec in layout.tensors
        if part in ("all", spec.part)
        and (running_stats or not spec.role.startswith("running"))
        and spec.size
    )
    # A tensor that is named twice counts as the later one.
    last = {(spec.part, spec.role, spec.layer): i for i, spec in enumerate(chosen)}
    by_role: dict[tuple[str, str], list[int]] = {}
    for (side, role, _), i in sorted(last.items()):
        by_role.setdefault((side, role), []).append(i)
    depths = sorted((layer, i) for (_, role, layer), i in last.items() if role == "weight")
    by_role["all", "weight"] = [i for _, i in depths] if len(depths) > 1 else []
    mix = np.zeros((len(_SLOTS), len(chosen)))
    for slot, (side, place, role) in enumerate(_SLOTS):
        if own := by_role.get((side, role)):
            mix[slot, own] = _shares(place, len(own))
    slots = np.flatnonzero(mix.any(axis=1))
    has = [float(bool(by_role.get((side, role)))) for side in PARTS for role in WHAT]
    told = np.array([_told(spec) for spec in chosen], np.int64).reshape(-1, 7)
    return _Plan(chosen, told, slots, mix[slots], np.array(has, np.float32))


def _shares(place: str, count: int) -> Float64[np.ndarray, " {count}"]:
    """The weight of each of so many layers in the row of a place, first to last."""
    shares = np.zeros(count)
    if place == "slope":  # the least-squares change over the depth of the net
        depth = np.linspace(-0.5, 0.5, count)
        shares = depth / np.square(depth).sum()
    elif place == "rest":
        between = slice(1, -1) if count > 2 else slice(None)
        shares[between] = 1 / len(shares[between])
    else:
        shares[0 if place == "first" else -1] = 1
    return shares


def tensors(
    vector: Asked[np.ndarray, " P"], layout: Layout, part: str, running_stats: bool
) -> Tables:
    """The numbers of each tensor; see `layers`."""
    plan = _plan(layout, part, running_stats)
    rows = _numbers(vector, layout, plan)
    return {
        (spec.part, spec.layer, spec.role): row[: len(WHAT[spec.role])]
        for spec, row in zip(plan.tensors, rows, strict=True)
    }


def _numbers(
    vector: Asked[np.ndarray, " P"], layout: Layout, plan: _Plan
) -> Float64[np.ndarray, "tensors numbers"]:
    """The numbers of each tensor, with zeros behind those of other roles than weights."""
    vector = np.asarray(vector)
    if vector.shape != (layout.size,):
        raise DataError(
            "vector",
            f"has shape {list(vector.shape)}, its layout has {layout.size:,} values",
            "give the layout of the same net",
        )
    if found := native.library():
        values = np.ascontiguousarray(vector, np.float32)
        return native.tensors(found, values, plan.told, len(_WEIGHT))
    rows = np.zeros((len(plan.tensors), len(_WEIGHT)))
    for row, spec in zip(rows, plan.tensors, strict=True):
        row[: len(WHAT[spec.role])] = twin(vector, spec)
    return rows


def tamed(row: Float64[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """Any numbers as finite float32."""
    finite: np.ndarray = np.nan_to_num(row)
    return finite.clip(-1e30, 1e30).astype(np.float32)


def _told(spec: TensorSpec) -> tuple[int, ...]:
    """A tensor as `Tensor` in tensors.h: its place, whether it is a weight, its sides."""
    shape = spec.shape if len(spec.shape) > 1 else (1, spec.size)
    units, inputs, *kernel = shape
    rows, columns = math.prod(kernel[:-1]), math.prod(kernel[-1:])
    # Numbers of kernels are for convolutions of two dimensions alone.
    rows, columns = (rows, columns) if len(kernel) == 2 else (1, rows * columns)
    return spec.offset, spec.role == "weight", units, inputs, rows, columns, shape[-1]


def twin(vector: Shaped[np.ndarray, " P"], spec: TensorSpec) -> Float64[np.ndarray, " F"]:
    """The numbers of a tensor with NumPy, with which the native library is compared."""
    values = vector[spec.offset : spec.stop].astype(np.float64)
    with np.errstate(all="ignore"):
        mean, variance, skewness, kurtosis = moments(values[None])[0]
        levels = quantiles(np.sort(values)[None], _LEVELS)[0]
        spread = np.sqrt(variance)
        if spec.role != "weight":
            head = [np.arcsinh(mean / _KNEE), np.log10(spread + 1e-8), np.arcsinh(skewness)]
            sizes = quantiles(np.sort(np.abs(values))[None], _SIZES)[0]
            return np.concatenate([head, np.arcsinh(levels / _KNEE), np.log10(sizes + _FAINTEST)])
        size = np.abs(values)
        scale = float(np.median(size))
        scale = scale if scale > 1e-12 else float(size.mean()) or 1.0
        numbers = [
            np.arcsinh(10 * mean / scale),
            np.log10(spread + 1e-8),
            np.arcsinh(skewness),
            np.arcsinh(kurtosis),
            np.log10(scale + 1e-8),
            *np.arcsinh(levels / scale),
            np.sqrt((size < 1e-2 * scale).mean()),
            *structure(values.reshape(spec.shape) if len(spec.shape) > 1 else values[None], scale),
        ]
    return np.array(numbers)
