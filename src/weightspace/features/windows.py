"""How a slice changes along its length: unusual windows, and the spread of its blocks.

Where a slice passes from one layer to the next, it contains biases and the values of a norm: short
runs of another size, near 0 or near 1, as long as the layer is wide.
"""

from __future__ import annotations

import numpy as np

from weightspace.arrays import Float, Float32, Float64

_WINDOWS = (4, 16, 64, 256)
_IN_WINDOWS = (
    "faintest",
    "strongest",
    "share_faint",
    "share_fainter",
    "share_stronger",
    "nearest_one",
    "highest_mean",
    "lowest_mean",
    "least_spread",
)
_BLOCKS = 64
_RANKS = (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 1.0)
_IN_BLOCKS = ("spread", "mean", "kurtosis", "shift", "next")
_FAINT, _FAINTER, _STRONGER = 0.01, 0.25, 4.0
_LARGEST = np.float32(1e3)
_MOST_SHIFT = np.float32(999)
"""Of a block whose values hardly differ, the mean over the spread has no bound of its own."""

WINDOWS_NAMES: tuple[str, ...] = (
    *(f"window{size}_{what}" for size in _WINDOWS for what in _IN_WINDOWS),
    *(f"blocks_{what}_{100 * rank:.0f}" for what in _IN_BLOCKS for rank in _RANKS),
    *(f"blocks_{what}_range" for what in _IN_BLOCKS),
)
"""The columns of `windows`. For windows of so many values at every position: their power relative
to the slice's (the least, the largest, and the shares of windows below 1/100, below 1/4 and above
4), the least distance from 1, and means in units of the window's own size, signed and squared. For
64 blocks: quantiles over the sorted blocks, in %."""


def windows(
    values: Float32[np.ndarray, "n length"],
    relative: Float32[np.ndarray, "n length"],
    tamed: Float32[np.ndarray, "n length"],
) -> Float32[np.ndarray, "n F"]:
    """Numbers of windows and blocks, named by `WINDOWS_NAMES`.

    The arguments are the `values`, the values in units of the slice's scale, and their
    signed logarithm. Windows longer than the slice are cut to its length.
    """
    level = np.clip(relative, -_LARGEST, _LARGEST)
    sums = (
        _sums(np.square(level, dtype=np.float64)),
        _sums(level.astype(np.float64)),
        _sums(np.minimum(np.abs(values - 1), 2).astype(np.float64)),
    )
    whole = sums[0][:, -1:] / values.shape[1] + 1e-12
    parts = [_in_windows(sums, whole, size) for size in _WINDOWS]
    return np.concatenate([*parts, _in_blocks(tamed)], axis=1).astype(np.float32)


def block_count(length: int) -> int:
    """The number of blocks of a slice."""
    return min(_BLOCKS, length // 8)


def ranks(length: int) -> list[int]:
    """The places of the quantiles among a slice's sorted blocks."""
    return [round(rank * (block_count(length) - 1)) for rank in _RANKS]


def _sums(values: Float64[np.ndarray, "n length"]) -> Float64[np.ndarray, "n length+1"]:
    out = np.zeros((len(values), values.shape[1] + 1))
    np.cumsum(values, axis=1, out=out[:, 1:])
    return out


def _in_windows(
    sums: tuple[Float64[np.ndarray, "n sums"], ...], whole: Float64[np.ndarray, "n 1"], size: int
) -> Float[np.ndarray, "n numbers"]:
    size = min(size, sums[0].shape[1] - 1)
    power, mean, one = ((s[:, size:] - s[:, :-size]) * (1 / size) for s in sums)
    power /= whole
    mean /= np.sqrt(whole)
    least = (power - np.square(mean)).min(axis=1)  # of numbers that may be nearly equal
    power = np.maximum(power, 0).astype(np.float32)
    mean = mean.astype(np.float32)
    square = np.square(mean)
    toward = square * np.sign(mean) / (power + np.float32(1e-9))
    shares = [(power < _FAINT), (power < _FAINTER), (power > _STRONGER)]
    return np.stack(
        [
            np.log10(power.min(axis=1) + 1e-8),
            np.log10(power.max(axis=1) + 1e-8),
            *(np.sqrt(share.mean(axis=1)) for share in shares),
            np.log(np.maximum(one.min(axis=1), 0) + 1e-4),
            toward.max(axis=1),
            toward.min(axis=1),
            np.log10(np.maximum(least, 0) + 1e-8),
        ],
        axis=1,
    )


def _in_blocks(tamed: Float32[np.ndarray, "n length"]) -> Float64[np.ndarray, "n numbers"]:
    count = block_count(tamed.shape[1])
    length = tamed.shape[1] // count
    blocks = tamed[:, : length * count].reshape(len(tamed), count, length)
    mean = blocks.mean(axis=2)
    centred = blocks - mean[:, :, None]
    square = np.square(centred)
    variance = square.mean(axis=2)
    flat = variance <= 1e-8
    variance = np.where(flat, 1.0, variance)
    fourth = np.where(flat, 0.0, np.square(square).mean(axis=2) / np.square(variance))
    following = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=2)
    numbers = (
        np.where(flat, np.log(1e-4), np.log(np.sqrt(variance))),
        mean,
        np.log1p(fourth),
        np.where(flat, 0.0, np.clip(mean / np.sqrt(variance), -_MOST_SHIFT, _MOST_SHIFT)),
        np.where(flat, 0.0, following / variance),
    )
    places = ranks(tamed.shape[1])
    ordered = [np.sort(number, axis=1) for number in numbers]
    return np.concatenate(
        [
            *(rows[:, places] for rows in ordered),
            *(number.std(axis=1, keepdims=True) for number in numbers),
        ],
        axis=1,
    )
