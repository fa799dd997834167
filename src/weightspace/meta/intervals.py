"""Class-balanced accuracy with its bootstrap interval over nets; the control's interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A number and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def balanced_accuracy(hits: np.ndarray, codes: np.ndarray) -> float:
    """Mean over classes of the mean of `hits` [N] (share of right answers a net) in each class."""
    return float(_recalls(hits, codes).mean())


def bootstrap(
    hits: np.ndarray, codes: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Balanced accuracy and its 95 % percentile interval over nets.

    `hits` float [N]: share of a net's answers (over its slices and seeds) that are right.
    `codes` int [N]: each net's class. Nets are resampled with all their answers, within classes:
    class sizes are set by the design of the population, and the accuracy weighs classes alike
    whatever their sizes, so letting the sizes vary would add a spread that the estimate has not.
    Where all nets of all classes answer alike, resampling shows no spread at all; the exact
    binomial bound for that many nets is given instead.
    """
    value = balanced_accuracy(hits, codes)
    if hits.min() == hits.max() and hits.min() in (0.0, 1.0):
        bound = (1 - CONFIDENCE) / 2
        slack = 1 - bound ** (1 / len(hits))
        return Interval(value, max(0.0, value - slack), min(1.0, value + slack))
    rng = np.random.default_rng([seed, 0xB007])
    classes = np.unique(codes)
    means = np.zeros(resamples)
    for level in classes:
        own = hits[codes == level]
        weights = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)
        means += weights @ own / len(own)
    means /= len(classes)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(min(low, value)), float(max(high, value)))


def control_interval(accuracies: np.ndarray | tuple[float, ...]) -> Interval:
    """Where 95 % of accuracies from meaningless labels fall, from R of them (R at least 2).

    The prediction interval of one more draw: mean -+ t x sd x sqrt(1 + 1/R).
    """
    sample = np.asarray(accuracies, float)
    count = len(sample)
    if count < 2:
        raise ValueError(f"{count} permutations have no spread")
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sample.std(ddof=1)
    reach *= np.sqrt(1 + 1 / count)
    mean = float(sample.mean())
    return Interval(mean, max(0.0, mean - float(reach)), min(1.0, mean + float(reach)))


def _recalls(hits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=hits)
    return sums[counts > 0] / counts[counts > 0]
