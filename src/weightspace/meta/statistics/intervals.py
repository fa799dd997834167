"""Class-balanced accuracy with its bootstrap interval over nets, and the control's interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
_DRAWN = 2**20


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval.

    Parameters
    ----------
    value : float
        The number.
    low, high : float
        The ends of the interval.
    """

    value: float
    low: float
    high: float


def balanced_accuracy(hits: np.ndarray, codes: np.ndarray) -> float:
    """Mean over classes of the mean of `hits` [N], the share of right predictions of each net."""
    return float(_recalls(hits, codes).mean())


def bootstrap(
    hits: np.ndarray,
    codes: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Balanced accuracy with its 95 % percentile bootstrap interval over nets.

    Parameters
    ----------
    hits : float [N]
        For each net the share of right predictions over its slices and seeds, 0..1.
    codes : int [N]
        The class of each net.
    groups : int [N], optional
        Nets of one number, such as nets that share a seed, are not independent.
    resamples : int
        The number of bootstrap samples.
    seed : int
        The seed of the bootstrap.

    Returns
    -------
    Interval

    Notes
    -----
    Nets are resampled within classes, each with all its predictions. The sizes of classes are set
    by the design of the population, and all classes have the same weight in the accuracy. Varying
    the sizes would add a spread that the estimate does not have.

    A few nets show too little spread: a class of five nets with an error rate of one in ten often
    has no error at all. Nets are therefore resampled a second time, with one pseudo-net added to
    each class that is half right and half wrong, and the wider of the two intervals is returned.
    Where all nets of all classes are right, or all are wrong, the exact binomial bounds of the
    classes are averaged instead.

    Where nets share a group, whole groups are resampled as well, and the widest interval is
    returned.
    """
    value = balanced_accuracy(hits, codes)
    classes = [hits[codes == level] for level in np.unique(codes)]
    if hits.min() == hits.max() and hits.min() in (0.0, 1.0):
        bound = (1 - CONFIDENCE) / 2
        slack = 1 - float(np.mean([bound ** (1 / len(own)) for own in classes]))
        return Interval(value, max(0.0, value - slack), min(1.0, value + slack))
    rng = np.random.default_rng([seed, 0xB007])
    # Each net twice, one right and one wrong: the pseudo-net has the weight of one net.
    widened = [np.concatenate([own, own, [0.0, 1.0]]) for own in classes]
    ends = [
        np.quantile(sum(means) / len(classes), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        for means in (
            [_resampled(own, len(own), resamples, rng) for own in classes],
            [
                _resampled(wide, len(own), resamples, rng)
                for own, wide in zip(classes, widened, strict=True)
            ],
        )
    ]
    if shared(groups):
        ends.append(of_groups(hits, codes, groups, resamples, rng))
    low, high = np.min(ends, axis=0)[0], np.max(ends, axis=0)[1]
    return Interval(value, float(min(low, value)), float(max(high, value)))


def shared(groups: np.ndarray | None) -> TypeGuard[np.ndarray]:
    """Whether at least two nets share a group."""
    return groups is not None and len(np.unique(groups)) < len(groups)


def of_groups(
    hits: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray,
    resamples: int,
    rng: np.random.Generator,
    least: float = 0.0,
) -> np.ndarray:
    """Both ends of the interval when whole groups of nets are resampled: float64 [2].

    A resample that lacks a class is the mean over the other classes. The ends lie within
    `least`..1.
    """
    own = np.unique(groups, return_inverse=True)[1]
    shape = (int(own.max()) + 1, int(codes.max()) + 1)
    nets, right = np.zeros(shape), np.zeros(shape)
    np.add.at(nets, (own, codes), 1.0)
    np.add.at(right, (own, codes), hits)
    drawn = rng.multinomial(len(nets), np.full(len(nets), 1 / len(nets)), size=resamples)
    there = drawn @ nets
    recalls = np.where(there > 0, drawn @ right / np.maximum(there, 1), np.nan)
    # Few groups show too little spread: the variance of their mean divides by n - 1, not by n.
    means = np.nanmean(recalls, axis=1)
    middle, few = means.mean(), np.sqrt(len(nets) / (len(nets) - 1))
    reach = few * stats.t.ppf(0.975, len(nets) - 1) / stats.norm.ppf(0.975)
    quantiles = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    ends: np.ndarray = np.clip(middle + reach * (quantiles - middle), least, 1.0)
    return ends


def _resampled(
    values: np.ndarray, size: int, resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Means of `size` of the values, drawn with replacement: float64 [resamples]."""
    means = np.empty(resamples)
    # A few resamples at a time, so that memory does not grow with the number of nets.
    for start in range(0, resamples, step := max(1, _DRAWN // size)):
        part = means[start : start + step]
        part[:] = values[rng.integers(len(values), size=(len(part), size))].mean(axis=1)
    return means


DEPENDENCE = 2.0
"""The variance of a cross-fitted accuracy at chance, divided by that over resampled nets."""

_PRIOR_WEIGHT = 20


def widening(skill: float, dependence: float = DEPENDENCE) -> float:
    """The factor by which the interval of a cross-fitted number is widened.

    `skill` is 0 at chance and 1 at best; what is beyond is cut. Resampling treats nets as
    independent. Cross-fitted hits are not independent: every net is in the training set of models
    that are tested on other nets. At chance each pair of nets agrees or disagrees twice, once in
    each direction, which doubles the variance (`dependence`). The excess falls as the skill grows,
    because a single net then changes a model less.
    """
    return float(np.sqrt(1 + (dependence - 1) * (1 - min(1.0, max(0.0, skill)))))


def crossfitted(
    hits: np.ndarray,
    codes: np.ndarray,
    *,
    groups: np.ndarray | None = None,
    dependence: float = DEPENDENCE,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """The 95 % interval of a cross-fitted accuracy: `bootstrap`, widened by `widening`."""
    found = bootstrap(hits, codes, groups=groups, resamples=resamples, seed=seed)
    chance = 1 / len(np.unique(codes))
    factor = widening((found.value - chance) / (1 - chance), dependence)
    return Interval(
        found.value,
        max(0.0, float(found.value - factor * (found.value - found.low))),
        min(1.0, float(found.value + factor * (found.high - found.value))),
    )


def normal_interval(
    hits: np.ndarray, codes: np.ndarray, *, groups: np.ndarray | None = None
) -> Interval:
    """The interval of `crossfitted` in normal approximation, for tables of many accuracies."""
    counts = np.bincount(codes)
    means = np.bincount(codes, weights=hits) / counts
    spread = np.bincount(codes, weights=np.square(hits - means[codes])) / counts
    value = float(means.mean())
    factor = widening((value - 1 / len(counts)) / (1 - 1 / len(counts)))
    # One pseudo-net for each class, half right, as in `bootstrap`: every class has a spread.
    error = np.sqrt(((counts * spread + 0.25) / (counts + 1) / counts).sum()) / len(counts)
    reach = float(stats.norm.ppf((1 + CONFIDENCE) / 2) * factor * error)
    if shared(groups):
        reach = max(reach, factor * _reach_of_groups(hits - means[codes], codes, groups))
    return Interval(value, max(0.0, value - reach), min(1.0, value + reach))


def _reach_of_groups(residuals: np.ndarray, codes: np.ndarray, groups: np.ndarray) -> float:
    """Half the width of the interval of a balanced accuracy when whole groups vary.

    A group contributes to the accuracy the sum over its nets of `residuals` [N] (hit minus the mean
    of the class) / (nets of the class x classes). Student's t accounts for few groups.
    """
    counts = np.bincount(codes)
    own = np.unique(groups, return_inverse=True)[1]
    sums = np.bincount(own, weights=residuals / counts[codes] / len(counts))
    count = len(sums)
    error = np.sqrt(np.square(sums).sum() * count / (count - 1))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * error)


def dependence_of(hits: np.ndarray, codes: np.ndarray) -> float:
    """Estimate `dependence`, at least 1, from permuted labels.

    `hits` float and `codes` int, both [N, m], are those of m permuted labelings. The estimate is
    averaged with the theoretical value for one seed, `DEPENDENCE`, which has more weight where
    there are few labelings.
    """
    spread, resampled = 0.0, 0.0
    for own, truth in zip(hits.T, codes.T, strict=True):
        levels = np.unique(truth)
        spread += (balanced_accuracy(own, truth) - 1 / len(levels)) ** 2
        resampled += (
            sum(own[truth == level].var() / (truth == level).sum() for level in levels)
            / len(levels) ** 2
        )
    count: int = hits.shape[1]
    if resampled == 0:
        return DEPENDENCE
    ratio: float = spread / resampled
    return max(1.0, (_PRIOR_WEIGHT * DEPENDENCE + count * ratio) / (_PRIOR_WEIGHT + count))


def control_interval(accuracies: np.ndarray | tuple[float, ...], *, least: float = 0.0) -> Interval:
    """The interval that holds 95 % of accuracies from permuted labels.

    Parameters
    ----------
    accuracies : array or tuple of float [R]
        The accuracies of R permutations, R at least 2.
    least : float
        The lowest possible value, 0 for an accuracy. The interval is cut to `least`..1.

    Returns
    -------
    Interval
        The mean and the interval.

    Raises
    ------
    ValueError
        For fewer than two accuracies.

    Notes
    -----
    This is the prediction interval of one more permutation: mean -+ t x sd x sqrt(1 + 1/R), where t
    is the quantile of Student's distribution with R - 1 degrees of freedom.
    """
    sample = np.asarray(accuracies, float)
    count = len(sample)
    if count < 2:
        raise ValueError(f"{count} permutations have no spread")
    reach = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * sample.std(ddof=1)
    reach *= np.sqrt(1 + 1 / count)
    mean = float(sample.mean())
    return Interval(mean, max(least, mean - float(reach)), min(1.0, mean + float(reach)))


def _recalls(hits: np.ndarray, codes: np.ndarray) -> np.ndarray:
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=hits)
    return sums[counts > 0] / counts[counts > 0]
