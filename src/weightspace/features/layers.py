"""Per-layer numbers of a whole vector, aligned over nets of different depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weightspace.errors import DataError
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
"""Role of a tensor -> names of the numbers on it."""
_KNEE = 1e-3
_FAINTEST = 1e-14
"""Below every step of training: biases that a norm makes useless move by rounding errors alone, or
by full steps where the optimizer divides them by their size."""

LAYERS_NAMES: tuple[str, ...] = (
    *(
        f"{part}_{place}_{role}_{what}"
        for part in PARTS
        for place in _PLACES
        for role, names in WHAT.items()
        for what in names
    ),
    *(f"slope_weight_{what}" for what in _WEIGHT),
)
"""Columns of `layers`: part, place in the part, role of the tensor, what. A slope is the change of
a number of the weights from the first layer of the net (depth 0) to the last (depth 1)."""


def layers(
    vector: np.ndarray, layout: Layout, *, part: str = "all", running_stats: bool = True
) -> np.ndarray:
    """One row of per-layer numbers of a net.

    `vector` float32 [layout.size], finite. For conv and fc layers apart: the first, the last (for
    fc the output layer) and the mean over the layers between, each tensor by its role. Where a
    part has no layer between, the mean of its first and last stands there, so that depth itself is
    not written into the row; nor is any shape. Roles and parts that a net lacks, that `part`
    ("conv", "fc") leaves out, or the running statistics without `running_stats`, read 0.
    Returns float32 [F], columns `LAYERS_NAMES`. DataError where vector and layout differ in size.
    """
    tables = tensors(vector, layout, part, running_stats)
    columns = [
        _place([row for (p, _, r), row in sorted(tables.items()) if (p, r) == (side, role)], place)
        if any((p, r) == (side, role) for p, _, r in tables)
        else np.zeros(len(WHAT[role]))
        for side in PARTS
        for place in _PLACES
        for role in WHAT
    ]
    columns.append(_slopes(tables))
    return tamed(np.concatenate(columns))


def tensors(
    vector: np.ndarray, layout: Layout, part: str, running_stats: bool
) -> dict[tuple[str, int, str], np.ndarray]:
    """(part, layer, role) -> numbers on the tensor, float64, named by `WHAT`; see `layers`."""
    vector = np.asarray(vector)
    if vector.shape != (layout.size,):
        raise DataError(
            f"a vector of shape {list(vector.shape)} does not fit a layout of {layout.size:,} "
            "values; give the layout of the same net"
        )
    return {
        (spec.part, spec.layer, spec.role): _tensor(vector, spec)
        for spec in layout.tensors
        if part in ("all", spec.part)
        and (running_stats or not spec.role.startswith("running"))
        and spec.size
    }


def tamed(row: np.ndarray) -> np.ndarray:
    """Finite float32 of any numbers."""
    return np.clip(np.nan_to_num(row), -1e30, 1e30).astype(np.float32)


def _place(rows: list[np.ndarray], place: str) -> np.ndarray:
    """The first or last of the layers' rows, or the mean of those between."""
    if place == "rest":
        between = rows[1:-1] or [rows[0], rows[-1]]
        return np.mean(between, axis=0)
    return rows[0 if place == "first" else -1]


def _slopes(tables: dict[tuple[str, int, str], np.ndarray]) -> np.ndarray:
    """Least-squares change over the depth of the net of the weights' numbers."""
    found = sorted((layer, row) for (_, layer, role), row in tables.items() if role == "weight")
    if len(found) < 2:
        return np.zeros(len(_WEIGHT))
    depth = np.linspace(-0.5, 0.5, len(found))
    return np.asarray(depth @ np.stack([row for _, row in found]) / np.square(depth).sum())


def _tensor(vector: np.ndarray, spec: TensorSpec) -> np.ndarray:
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
