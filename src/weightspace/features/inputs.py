"""What the batch norm of a net's first layer says of the inputs: their mean, spread and smoothness.

The running mean of a unit is its bias plus the sum of its weights times the mean of the inputs, and
its running variance is the variance of its weighted sum of inputs. So the weights and the running
statistics of several units tell the first two moments of the inputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from weightspace.arrays import Float64, Shaped

if TYPE_CHECKING:
    from weightspace.networks import Layout

_REACHES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0, 16.0)
INPUTS_NAMES: tuple[str, ...] = (
    *("mean", "median_mean", "mean_misfit", "log_variance", "log_reach", "variance_misfit"),
    *(f"log_variance_{reach:g}" for reach in _REACHES),
    *(f"misfit_{reach:g}" for reach in _REACHES),
)
"""The columns of `inputs`. A reach is the distance in pixels at which the correlation of two inputs
has fallen to 1/e: `log_reach` is the one that fits best, and each column with a number is what
follows for this reach. A misfit is the relative error of the running statistics that follow."""
_FEWEST = 3
_LARGEST = 15  # pixels of a side; the cost grows with the fourth power
_TINY = 1e-12


def inputs(vector: Shaped[np.ndarray, " P"], layout: Layout) -> Float64[np.ndarray, " F"] | None:
    """Estimate the inputs of a net whose first layer is a convolution with batch norm.

    All inputs are taken to have one mean and one variance, and a correlation that falls with the
    distance of two pixels of a channel, exponentially. Where the norm follows the activation, or
    inputs are unlike that, the misfits are large.

    Parameters
    ----------
    vector : ndarray of float32, shape (layout.size,)
        The flat vector of a net, finite.
    layout : Layout
        The layout of the vector.

    Returns
    -------
    ndarray of float64, shape (len(INPUTS_NAMES),) or None
        The columns are named by `INPUTS_NAMES`. None if there is no such layer, or if it has fewer
        than 3 units.
    """
    first = {spec.role: spec for spec in reversed(layout.tensors) if spec.layer == 0}
    if not {"weight", "running_mean", "running_var"} <= first.keys():
        return None
    shape = first["weight"].shape
    own = {role: vector[spec.offset : spec.stop].astype(np.float64) for role, spec in first.items()}
    means, variances = own["running_mean"], own["running_var"]
    if len(shape) != 4 or max(shape[2:]) > _LARGEST:
        return None
    if not len(means) == len(variances) == shape[0] >= _FEWEST:
        return None
    kernels = own["weight"].reshape(shape)
    bias = own["bias"] if len(own.get("bias", ())) == shape[0] else np.zeros(shape[0])
    return np.array([*_mean(kernels, means - bias), *_variance(kernels, variances)])


def _mean(
    kernels: Float64[np.ndarray, "out in rows columns"], means: Float64[np.ndarray, " out"]
) -> tuple[float, float, float]:
    """The mean of the inputs by least squares and by a weighted median, and the relative error."""
    sums = kernels.sum(axis=(1, 2, 3))
    mean = float(sums @ means / max(float(sums @ sums), _TINY))
    left = np.square(means - mean * sums).sum() / max(float(np.square(means).sum()), _TINY)
    ratios = means / np.where(np.abs(sums) > _TINY, sums, 1.0)
    order = np.argsort(ratios)
    share = np.cumsum(np.abs(sums)[order])
    middle = float(ratios[order][np.searchsorted(share, share[-1] / 2)])
    misfit = float(np.log10(np.sqrt(left) + 1e-4))
    return float(np.arcsinh(10 * mean)), float(np.arcsinh(10 * middle)), misfit


def _variance(
    kernels: Float64[np.ndarray, "out in rows columns"], variances: Float64[np.ndarray, " out"]
) -> tuple[float, ...]:
    """Variance and misfit of the inputs: for the reach that fits best, then for each reach."""
    rows, columns = np.indices(kernels.shape[2:]).reshape(2, -1)
    squared = np.square(rows[:, None] - rows) + np.square(columns[:, None] - columns)
    apart, place = np.unique(squared, return_inverse=True)
    flat = kernels.reshape(*kernels.shape[:2], -1)
    products = np.einsum("oci,ocj->oij", flat, flat).reshape(len(flat), -1)
    shares = np.stack([np.bincount(place.ravel(), row, len(apart)) for row in products])
    expected = shares @ np.exp(-np.sqrt(apart)[:, None] / np.array(_REACHES))
    logs = np.log(np.maximum(variances, _TINY))[:, None] - np.log(np.maximum(expected, _TINY))
    level, misfit = logs.mean(axis=0), logs.std(axis=0)
    best = int(misfit.argmin())
    found = (float(level[best]), float(np.log(_REACHES[best])), float(misfit[best]))
    return (*found, *map(float, level), *map(float, misfit))
