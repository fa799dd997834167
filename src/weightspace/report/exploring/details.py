"""What a page shows of one net: its curves, its layers over training, and its first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from weightspace.networks import Layout
from weightspace.networks.layout import TensorSpec
from weightspace.printable import printable
from weightspace.report.exploring.kernels import fitting, kernels_of
from weightspace.report.exploring.packing import coded

_METRICS = tuple(
    f"{of}_{what}" for what in ("loss", "accuracy") for of in ("train", "validation", "test")
)
_MOST_TENSORS = 400
_MOST_METRICS = 24


@dataclass(frozen=True)
class Detail:
    """The details of one net: plain values for the header of a pack, and its arrays."""

    header: dict[str, Any]
    arrays: dict[str, np.ndarray]


def metrics_of(snapshots: pl.DataFrame) -> tuple[str, ...]:
    """The columns of the table of snapshots that are curves: losses, accuracies, other metrics."""
    known = ("net", "snapshot", "step", "epoch", "shard", "offset", "length", "checksum")
    own = [name for name in snapshots.columns if name not in (*known, *_METRICS)]
    numbers = [name for name in own if snapshots[name].dtype.is_float()]
    found = (*(name for name in _METRICS if name in snapshots.columns), *numbers)
    return tuple(name for name in found if snapshots[name].count())[:_MOST_METRICS]


def tensors_of(layout: Layout) -> list[list[Any]]:
    """The tensors whose statistics are shown: name, role, layer, number of values."""
    return [[printable(spec.name, 120), spec.role, spec.layer, spec.size] for spec in _some(layout)]


def _some(layout: Layout) -> list[TensorSpec]:
    return [spec for spec in layout.tensors if spec.size][:_MOST_TENSORS]


def detail(
    layout: Layout,
    vectors: np.ndarray,
    moments: pl.DataFrame,
    metrics: Sequence[str],
    image: tuple[int | None, int | None],
    allowance: int,
) -> Detail:
    """The details of a net.

    Parameters
    ----------
    layout : Layout
        The layout of its vectors.
    vectors : float32 [k, P]
        Its snapshots.
    moments : DataFrame
        Its k rows of the table of snapshots.
    metrics : sequence of str
        The columns that are curves.
    image : tuple
        Side and channels of its images, as far as they are known.
    allowance : int
        How many bytes its kernels may have.

    Returns
    -------
    Detail
        The arrays `low`, `high` float32 [series] and `codes` uint16 [series, k]: curves, then
        mean and standard deviation of each tensor; `step`, `epoch`; `kernels` int8, `scales`.
    """
    curves = moments.select(pl.col(list(metrics)).cast(pl.Float64)).to_numpy().T
    series = np.concatenate([curves.reshape(len(metrics), len(vectors)), _spreads(layout, vectors)])
    low, high, codes = coded(series)
    arrays = {"low": low, "high": high, "codes": codes.ravel()}
    for name in ("step", "epoch"):
        if not moments[name].null_count():
            arrays[name] = moments[name].cast(pl.Float64).to_numpy()
    header: dict[str, Any] = {}
    found = kernels_of(layout, *image)
    if found is not None:
        found = fitting(found, allowance)
        count = int(np.clip(allowance // found.values, 1, len(vectors)))
        chosen = np.unique(np.linspace(len(vectors) - 1, 0, count).round().astype(int))
        arrays["kernels"], arrays["scales"] = found.read(vectors[chosen])
        header["kernels"] = found.about() | {"at": chosen.tolist()}
    return Detail(header, arrays)


def _spreads(layout: Layout, vectors: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each tensor at each snapshot: float64 [2 tensors, k]."""
    rows = []
    with np.errstate(all="ignore"):
        for spec in _some(layout):
            values = vectors[:, spec.offset : spec.stop].astype(np.float64)
            rows += [values.mean(axis=1), values.std(axis=1)]
    return np.stack(rows) if rows else np.empty((0, len(vectors)))
