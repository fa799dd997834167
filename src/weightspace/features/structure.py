"""The order within one layer's weights: singular values, units, kernels; free of any shape."""

from __future__ import annotations

import numpy as np

from weightspace.arrays import Float64

_RESTS = (0.9, 0.75, 0.5, 0.25)
STRUCTURE_NAMES: tuple[str, ...] = (
    "next_correlation",
    "unit_spread",
    "unit_mean_spread",
    "input_spread",
    "largest_singular",
    "singular_gap",
    "stable_rank",
    "effective_rank",
    "even_kurtosis",
    *(f"rest_kurtosis_{100 * share:.0f}" for share in _RESTS),
    "tap_next_row",
    "tap_second",
    "tap_second_row",
    "tap_mirrored",
    "tap_centre",
    "tap_corner",
    "tap_smooth",
    "tap_pattern",
)
"""The columns of `structure`. Singular values are relative to the largest one of random weights
with the same shape and spread. Training moves weights along few directions: `rest_kurtosis` is the
kurtosis of the weights in the weakest share of directions, and `even_kurtosis` that of weights
divided by the size of their row and column. Both show the distribution of the initial weights.
`tap` numbers describe convolution kernels and are 0 for dense layers."""

_TAPS = sum(name.startswith("tap_") for name in STRUCTURE_NAMES)


def structure(weights: Float64[np.ndarray, "out in *kernel"], scale: float) -> list[float]:
    """Numbers on the order of a layer's weights: floats, named by `STRUCTURE_NAMES`.

    A `kernel` has rows and columns; dense layers have none. Where outliers would dominate, weights
    are compressed by the positive `scale`, their median absolute value.
    """
    tamed = np.arcsinh(weights / scale)
    centred = tamed - tamed.mean()
    variance = float(np.square(centred).mean())
    units = tamed.reshape(len(tamed), -1)
    norms = _log_norms(units)
    inputs = _log_norms(np.moveaxis(tamed, 1, 0).reshape(tamed.shape[1], -1))
    return [
        _correlation(centred[..., 1:], centred[..., :-1], variance),
        float(norms.std()),
        float(units.mean(axis=1).std()),
        float(inputs.std()),
        *_spectrum(weights.reshape(len(weights), -1) / scale),
        *(_taps(weights / scale, centred, variance) if weights.ndim == 4 else [0.0] * _TAPS),
    ]


def _log_norms(rows: Float64[np.ndarray, "n values"]) -> Float64[np.ndarray, " n"]:
    """The logarithm of the root mean square of each row."""
    return np.asarray(np.log(np.sqrt(np.square(rows).mean(axis=1)) + 1e-6))


def _correlation(
    one: Float64[np.ndarray, "*shape"], other: Float64[np.ndarray, "*shape"], variance: float
) -> float:
    if not one.size or variance <= 1e-12:
        return 0.0
    return float((one * other).mean() / variance)


def _spectrum(matrix: Float64[np.ndarray, "rows columns"]) -> list[float]:
    """Numbers of the singular values, and the kurtosis of weights without strong directions."""
    # The smaller Gram matrix takes a tenth of the time of a singular value decomposition.
    small = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = small @ small.T
    total = float(np.trace(gram))
    if not np.isfinite(total) or total <= 1e-12:
        return [0.0] * (5 + len(_RESTS))
    power, directions = np.linalg.eigh(gram)
    sizes = np.sqrt(gram.diagonal())[:, None] * np.sqrt(np.square(small).sum(axis=0))
    even = np.divide(small, sizes, out=np.zeros_like(small), where=sizes > 1e-12)
    return [
        *_singular(np.maximum(power[::-1], 0), *matrix.shape),
        _kurtosis(even, 1e-12 / small.size),
        *_rests(small, directions, 1e-12 * total / small.size),
    ]


def _rests(
    matrix: Float64[np.ndarray, "n values"], directions: Float64[np.ndarray, "n n"], least: float
) -> list[float]:
    """The kurtosis of a matrix projected on shares of `directions`, weakest first."""
    along = directions.T @ matrix
    counts = [max(1, round(share * len(directions))) for share in _RESTS]
    return [_kurtosis(directions[:, :n] @ along[:n], least) for n in counts]


def _kurtosis(values: Float64[np.ndarray, "n values"], least: float) -> float:
    """Excess kurtosis about 0, compressed; 0 if the variance is only rounding error (`least`)."""
    squares = np.square(values)
    variance = float(squares.mean())
    if variance <= least:
        return 0.0
    return float(np.arcsinh(np.square(squares).mean() / variance**2 - 3))


def _singular(power: Float64[np.ndarray, " values"], rows: int, columns: int) -> list[float]:
    """Largest singular value, gap to the next, and two ranks, relative to random weights."""
    total = float(power.sum())
    edge = total / (rows * columns) * (np.sqrt(rows) + np.sqrt(columns)) ** 2
    share = power / total
    entropy = -float((share * np.log(share + 1e-12)).sum())
    return [
        float(np.log(power[0] / edge)),
        float(np.log((power[0] + 1e-12) / ((power[1] if len(power) > 1 else 0) + 1e-6 * power[0]))),
        float(np.log(total / power[0] / len(power))),
        entropy - float(np.log(len(power))),
    ]


def _taps(
    kernels: Float64[np.ndarray, "out in rows columns"],
    centred: Float64[np.ndarray, "out in rows columns"],
    variance: float,
) -> list[float]:
    """How the taps of kernels correlate, and where they are strong."""
    side = kernels.shape[-1]
    if side < 3 or kernels.shape[-2] < 3:
        return [0.0] * _TAPS
    energy = np.square(np.clip(kernels, -100, 100)).mean(axis=(0, 1))
    mean = energy.mean() + 1e-12
    corners = energy[[0, 0, -1, -1], [0, -1, 0, -1]].mean()
    middle = energy[energy.shape[0] // 2, side // 2]
    taps = centred.shape[-2] * side
    smooth = np.square(centred.mean(axis=(2, 3))).mean() * taps
    pattern = np.square(centred.mean(axis=(0, 1))).mean() * centred.shape[0] * centred.shape[1]
    return [
        _correlation(centred[..., 1:, :], centred[..., :-1, :], variance),
        _correlation(centred[..., 2:], centred[..., :-2], variance),
        _correlation(centred[..., 2:, :], centred[..., :-2, :], variance),
        _correlation(centred, centred[..., ::-1], variance),
        float(np.log(middle / mean + 1e-6)),
        float(np.log(corners / mean + 1e-6)),
        float(np.log((smooth + 1e-9) / (variance + 1e-9))),
        float(np.log((pattern + 1e-9) / (variance + 1e-9))),
    ]
