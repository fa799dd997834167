"""Weights of a layer by how active its inputs are: still directions keep what was there at first.

An optimizer that is linear in the gradient moves a weight in proportion to how much its input was
active; an adaptive one moves it by whole steps, as often as a batch had an image in which the input
was active. So the profile of weights over the activity of inputs tells of the optimizer, the
learning rate, the number of steps and the batch size. Where inputs do not vary, weights are the
initial ones, decayed: their size and distribution tell of the initialization.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import unfold

_BINS = 8
_ROWS = 4000  # inputs or patches by which directions are found
_TINY = 1e-12
_STILL = 1e-5
"""The variation of inputs that count as still, in units of that of the most active one."""
_WIDEST = 2048  # inputs of a layer whose directions are looked at

Axes = MutableMapping[str, NDArray[np.float64]]
"""Directions of images, float64 [d, d] by ascending variance, by the name of the scaling."""


def profiles(net: nn.Module, x: Tensor, scaling: str, axes: Axes) -> Iterator[tuple[str, float]]:
    """Profiles of all dense layers and convolutions.

    Parameters
    ----------
    net : Module
        The net, in eval mode.
    x : Tensor of float32, shape (n, ...)
        Images of its training.
    scaling : str
        The name of their scaling.
    axes : dict
        The directions of images that were found before; those of a new scaling are added.

    Yields
    ------
    (str, float)
        Name and number; NaN where a layer has no such inputs.
    """
    found: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        found[module] = inputs[0]

    layers = [one for one in net.modules() if isinstance(one, nn.Linear | nn.Conv2d)]
    handles = [one.register_forward_hook(note) for one in layers]
    try:
        with torch.no_grad():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    for place, layer in enumerate(layers):
        if layer not in found or (isinstance(layer, nn.Conv2d) and layer.groups > 1):
            continue
        rows = _patches(layer, found[layer])
        weight = layer.weight.detach().double().flatten(1).numpy()
        if weight.shape[1] > _WIDEST or rows.shape[1] != weight.shape[1]:
            continue
        images = found[layer].data_ptr() == x.data_ptr()
        if not images or scaling not in axes:
            directions = _directions(rows)
            if images:
                axes[scaling] = directions
        else:
            directions = axes[scaling]
        for name, value in _of_layer(weight, rows, directions):
            yield f"profile_{place}_{name}", value


def _patches(layer: nn.Module, x: Tensor) -> NDArray[np.float64]:
    """What the kernel is multiplied with: float64 [rows, inputs of a unit]."""
    if isinstance(layer, nn.Conv2d):
        x = x[: max(1, _ROWS // 50)]
        pad, step = layer.padding, layer.stride
        assert not isinstance(pad, str)
        x = unfold(x, tuple(layer.kernel_size), padding=tuple(pad), stride=tuple(step))
        x = x.transpose(1, 2).flatten(0, 1)
        x = x[:: max(1, len(x) // _ROWS)]
    return x.detach().flatten(0, -2).double().numpy()


def _directions(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The principal directions, float64 [d, d], by ascending variance."""
    centred = rows - rows.mean(0)
    return np.asarray(np.linalg.eigh(centred.T @ centred)[1])


def _of_layer(
    weight: NDArray[np.float64], rows: NDArray[np.float64], directions: NDArray[np.float64]
) -> Iterator[tuple[str, float]]:
    limit = 1 / weight.shape[1]
    spread = rows.std(0)
    still = spread <= _STILL * max(float(spread.max()), _TINY)
    often = (np.abs(rows) > 1e-6).mean(0)
    size = (weight**2).mean(0) / limit
    yield from _of_still(weight, still, limit)
    yield "often", float(often.mean())
    yield from _binned("size", size, spread, ~still)
    yield from _binned("rare", size, often, (often > 0) & ~still)
    along = ((weight @ directions) ** 2).mean(0) / limit
    yield from _binned(
        "along", along, np.arange(len(along), dtype=np.float64), np.ones(len(along), bool)
    )
    yield "together", _related(np.log(size + _TINY), np.log(spread + _TINY), ~still)


def _of_still(
    weight: NDArray[np.float64], still: NDArray[np.bool_], limit: float
) -> Iterator[tuple[str, float]]:
    """Size and distribution of weights of inputs that do not vary; each unit may shift them."""
    own = weight[:, still]
    some = own.shape[1] >= 4
    yield "still_share", float(still.mean())
    rest = own - own.mean(1, keepdims=True) if some else own
    size = float((rest**2).mean()) * own.shape[1] / (own.shape[1] - 1) if some else math.nan
    yield "still", math.log(size / limit + _TINY) if some else math.nan
    fourth = float((rest**4).mean()) if some else math.nan
    yield "still_kurtosis", fourth / (size**2 + _TINY**2) if some else math.nan
    most = float(np.abs(rest).max()) if some else math.nan
    yield "still_most", most / math.sqrt(size + _TINY) if some else math.nan
    yield "still_shift", _log_mean(own.mean(1) ** 2 / limit) if some else math.nan


def _binned(
    name: str, size: NDArray[np.float64], by: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> Iterator[tuple[str, float]]:
    """The mean size of columns in bins of equal counts, as logarithms."""
    order = np.flatnonzero(chosen)[np.argsort(by[chosen], kind="stable")]
    for place, part in enumerate(np.array_split(order, _BINS)):
        yield f"{name}_{place}", _log_mean(size[part]) if len(part) else math.nan


def _log_mean(values: NDArray[np.float64]) -> float:
    return math.log(float(values.mean()) + _TINY)


def _related(
    one: NDArray[np.float64], other: NDArray[np.float64], chosen: NDArray[np.bool_]
) -> float:
    a, b = one[chosen], other[chosen]
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
