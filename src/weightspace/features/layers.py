"""Numbers of each layer of a whole vector, in columns that fit nets of different depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weightspace.arrays import Asked, Float32, Float64, Shaped
from weightspace.errors import DataError
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
    tables = tensors(vector, layout, part, running_stats)
    columns = [
        _place([row for (p, _, r), row in sorted(tables.items()) if (p, r) == (side, role)], place)
        if any((p, r) == (side, role) for p, _, r in tables)
        else None
        for side in PARTS
        for place in _PLACES
        for role in WHAT
    ]
    seen = inputs(vector, layout) if running_stats and part != "fc" else None
    return _row([*columns, _slopes(tables), seen], tables)


def _row(
    columns: list[Float64[np.ndarray, " _"] | None], tables: Tables
) -> Float32[np.ndarray, " F"]:
    """The columns side by side, with NaN where a tensor is missing, and which there are."""
    sizes = [len(WHAT[role]) for _ in PARTS for _ in _PLACES for role in WHAT]
    sizes += [len(_WEIGHT), len(INPUTS_NAMES)]
    found = [
        np.full(size, np.nan, np.float32) if column is None else tamed(column)
        for column, size in zip(columns, sizes, strict=True)
    ]
    held = {(side, role) for side, _, role in tables}
    has = [float((side, role) in held) for side in PARTS for role in WHAT]
    return np.concatenate([*found, np.array(has, np.float32)])


def tensors(
    vector: Asked[np.ndarray, " P"], layout: Layout, part: str, running_stats: bool
) -> Tables:
    """The numbers of each tensor; see `layers`."""
    vector = np.asarray(vector)
    if vector.shape != (layout.size,):
        raise DataError(
            "vector",
            f"has shape {list(vector.shape)}, its layout has {layout.size:,} values",
            "give the layout of the same net",
        )
    return {
        (spec.part, spec.layer, spec.role): _tensor(vector, spec)
        for spec in layout.tensors
        if part in ("all", spec.part)
        and (running_stats or not spec.role.startswith("running"))
        and spec.size
    }


def tamed(row: Float64[np.ndarray, " F"]) -> Float32[np.ndarray, " F"]:
    """Any numbers as finite float32."""
    finite: np.ndarray = np.nan_to_num(row)
    return finite.clip(-1e30, 1e30).astype(np.float32)


def _place(rows: list[Float64[np.ndarray, " F"]], place: str) -> Float64[np.ndarray, " F"]:
    """The row of the first or last layer, or the mean row of the layers between."""
    if place == "rest":
        between = rows[1:-1] or [rows[0], rows[-1]]
        mean_row: np.ndarray = np.mean(between, axis=0)
        return mean_row
    return rows[0 if place == "first" else -1]


def _slopes(tables: Tables) -> Float64[np.ndarray, " F"] | None:
    """The least-squares change of the weights' numbers over the depth of the net."""
    found = sorted((layer, row) for (_, layer, role), row in tables.items() if role == "weight")
    if len(found) < 2:
        return None
    depth = np.linspace(-0.5, 0.5, len(found))
    return np.asarray(depth @ np.stack([row for _, row in found]) / np.square(depth).sum())


def _tensor(vector: Shaped[np.ndarray, " P"], spec: TensorSpec) -> Float64[np.ndarray, " F"]:
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
