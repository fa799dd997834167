"""The order of a slice: autocorrelation by lag, power by frequency, also at kernel periods."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import scipy.fft
from scipy.ndimage import uniform_filter1d

from weightspace.arrays import Float32, Int

LAGS = 64
PERIODS = (3, 5, 7, 9, 25, 49)
_KERNEL_LAGS = (75, 98, 147, 225)
_ENVELOPE_LAGS = (1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 18, 24, 25, 27, 32, 36, 48, 49, 50, 64)
_OCTAVES = ((64, 128), (128, 256), (256, 512), (512, 1024))
_BANDS = 12
_FOLDS = (9, 25, 49)
_SERIES = ("weight", "size", "product")
_NEIGHBOURS = 129
_FAR = np.float32(4)

SPECTRUM_NAMES: tuple[str, ...] = (
    *(f"correlation_{lag}" for lag in (*range(1, LAGS + 1), *_KERNEL_LAGS)),
    *(f"correlation_peak_{a}_{b}" for a, b in _OCTAVES),
    *(f"correlation_lag_{a}_{b}" for a, b in _OCTAVES),
    *(f"envelope_{lag}" for lag in _ENVELOPE_LAGS),
    *(f"envelope_peak_{a}_{b}" for a, b in _OCTAVES),
    *(f"power_band_{i}" for i in range(_BANDS)),
    *(f"power_period_{period}" for period in PERIODS),
    "power_flatness",
    *(f"fold_{of}_{period}" for of in _SERIES for period in _FOLDS),
)
"""The columns of `spectrum`. `correlation` is of the levelled weights, `envelope` of the logarithm
of their absolute values. A peak is the largest correlation among the lags [a, b), and its lag as a
fraction of the octave. A fold is the energy of the mean over all repeats of a period, relative to
that of noise: of the weights, of their absolute logarithms, and of products of neighbours."""


def spectrum(
    tamed: Float32[np.ndarray, "n length"], log_size: Float32[np.ndarray, "n length"]
) -> Float32[np.ndarray, "n F"]:
    """Autocorrelations and spectral powers of slices, named by `SPECTRUM_NAMES`.

    `tamed` and `log_size` are a slice's signed logarithm and the logarithm of its absolute values.
    Both are levelled first, so that a change of layer within the slice is not taken for a
    correlation at every lag. Lags beyond L // 4 are 0.
    """
    weight = level(tamed)
    size = log_size - _mean(log_size)
    product = np.zeros_like(weight)
    np.multiply(weight[:, 1:], weight[:, :-1], out=product[:, :-1])
    np.clip(product, -_FAR, _FAR, out=product)
    product -= _mean(product)
    power, correlation = _transform(weight)
    _, envelope = _transform(size)
    return np.concatenate(
        [
            _at(correlation, (*range(1, LAGS + 1), *_KERNEL_LAGS)),
            *_peaks(correlation),
            _at(envelope, _ENVELOPE_LAGS),
            _peaks(envelope)[0],
            _bands(power),
            _periods(power),
            _flatness(power),
            *(_folds(series) for series in (weight, size, product)),
        ],
        axis=1,
    )


def level(values: Float32[np.ndarray, "n length"]) -> Float32[np.ndarray, "n length"]:
    """Values minus the mean of the 129 values around each, divided by their spread."""
    out: np.ndarray = values - _mean(values)
    out /= np.sqrt(np.maximum(_mean(np.square(out)), 0)) + np.float32(1e-6)
    return np.clip(out, -_FAR, _FAR, out=out)


def _mean(values: Float32[np.ndarray, "n length"]) -> Float32[np.ndarray, "n length"]:
    return np.asarray(uniform_filter1d(values, _NEIGHBOURS, axis=1, mode="reflect"))


def _folds(series: Float32[np.ndarray, "n length"]) -> Float32[np.ndarray, "n periods"]:
    """Logarithm of the energy of the mean period, 0 for noise, for each of `_FOLDS`."""
    variance = series.var(axis=1) + 1e-9
    out = np.zeros((len(series), len(_FOLDS)), np.float32)
    for i, period in enumerate(_FOLDS):
        repeats = series.shape[1] // period
        whole = series[:, : repeats * period].reshape(len(series), repeats, period)
        mean = whole.mean(axis=1)
        mean -= mean.mean(axis=1, keepdims=True)
        out[:, i] = np.log(np.square(mean).mean(axis=1) * repeats / variance + 0.1)
    return out


def _transform(
    rows: Float32[np.ndarray, "n length"],
) -> tuple[Float32[np.ndarray, "n frequencies"], Float32[np.ndarray, "n lags"]]:
    """Power at frequencies below one half, and autocorrelation at lags up to length // 4."""
    length = rows.shape[1]
    centred = rows - rows.mean(axis=1, keepdims=True)
    lags, padded = transformed(length)
    power = np.square(np.abs(scipy.fft.rfft(centred, padded, axis=1)))
    covariance = scipy.fft.irfft(power, padded, axis=1)[:, : lags + 1]
    variance = covariance[:, :1]
    flat = variance <= 1e-6 * length * np.maximum(1.0, np.square(rows).mean(axis=1, keepdims=True))
    correlation = np.where(flat, 0.0, covariance / np.where(flat, 1.0, variance))
    power = np.where(flat, 1.0, power)
    return power[:, 1:], correlation


def transformed(length: int) -> tuple[int, int]:
    """The largest lag of a correlation, and the values of a transform, of slices of a length."""
    lags = min(length // 4, _OCTAVES[-1][1] - 1)
    # Zero padding beyond the largest lag prevents the circular correlation from wrapping.
    return lags, scipy.fft.next_fast_len(length + lags, real=True)


def tables(count: int) -> dict[str, Sequence[int]]:
    """Where the numbers of the spectrum are read, for a power at so many frequencies."""
    return {
        "edges": _edges(count).tolist(),
        "centres": [centre for period in PERIODS for centre in _harmonics(period, count)],
        "harmonics": [period // 2 for period in PERIODS],
        "at": (*range(1, LAGS + 1), *_KERNEL_LAGS),
        "envelope": _ENVELOPE_LAGS,
        "octaves": [end for octave in _OCTAVES for end in octave],
    }


def reach(count: int) -> int:
    """How many frequencies on each side a harmonic is compared with."""
    return max(4, count // 100)


def _at(
    correlation: Float32[np.ndarray, "n lags"], lags: tuple[int, ...]
) -> Float32[np.ndarray, "n {len(lags)}"]:
    out = np.zeros((len(correlation), len(lags)), np.float32)
    known = [i for i, lag in enumerate(lags) if lag < correlation.shape[1]]
    out[:, known] = correlation[:, [lags[i] for i in known]]
    return out


def _peaks(
    correlation: Float32[np.ndarray, "n lags"],
) -> tuple[Float32[np.ndarray, "n octaves"], Float32[np.ndarray, "n octaves"]]:
    """The largest correlation in each octave of lags, and its position in the octave."""
    height = np.zeros((len(correlation), len(_OCTAVES)), np.float32)
    place = np.zeros_like(height)
    for i, (low, high) in enumerate(_OCTAVES):
        octave = correlation[:, low : min(high, correlation.shape[1])]
        if octave.shape[1]:
            best = octave.argmax(axis=1)
            height[:, i] = octave[np.arange(len(octave)), best]
            place[:, i] = best / (high - low)
    return height, place


def _bands(power: Float32[np.ndarray, "n frequencies"]) -> Float32[np.ndarray, "n bands"]:
    """Log mean power in bands of equal width in log frequency, relative to the whole."""
    count = power.shape[1]
    edges = _edges(count)
    total = power.mean(axis=1) + 1e-12
    out = np.zeros((len(power), _BANDS), np.float32)
    for i, (low, high) in enumerate(pairwise(edges)):
        if high > low:
            out[:, i] = np.log(power[:, low:high].mean(axis=1) / total + 1e-4)
    return out


def _edges(count: int) -> Int[np.ndarray, " edges"]:
    """Where bands begin and end among `count` frequencies."""
    edges = np.unique(np.geomspace(1, count, _BANDS + 1).astype(np.int64) - 1)
    return np.concatenate([edges, np.full(_BANDS + 1 - len(edges), count - 1)])


def _periods(power: Float32[np.ndarray, "n frequencies"]) -> Float32[np.ndarray, "n periods"]:
    """Log power at a period's frequency and its harmonics, relative to the powers around each."""
    count = power.shape[1]
    out = np.zeros((len(power), len(PERIODS)), np.float32)
    around = reach(count)
    for i, period in enumerate(PERIODS):
        ratios = []
        for centre in _harmonics(period, count):
            low, high = max(0, centre - around), min(count, centre + around + 1)
            peak = power[:, max(0, centre - 1) : centre + 2]
            ratios.append(
                np.log(peak.mean(axis=1) + 1e-9) - np.log(power[:, low:high].mean(axis=1) + 1e-9)
            )
        out[:, i] = np.mean(ratios, axis=0)
    return out


def _harmonics(period: int, count: int) -> list[int]:
    """The places of a period's frequency and its multiples in a power at `count` frequencies."""
    # Place j is the frequency (j + 1) / (2 (count + 1)) or next to it.
    return [round(h / period * 2 * count) - 1 for h in range(1, period // 2 + 1)]


def _flatness(power: Float32[np.ndarray, "n frequencies"]) -> Float32[np.ndarray, "n 1"]:
    """The log ratio of the geometric and the arithmetic mean of the power: 0 is white noise."""
    logs = np.log(power + 1e-9)
    ratio: np.ndarray = logs.mean(axis=1) - np.log(power.mean(axis=1) + 1e-9)
    return ratio[:, None]
