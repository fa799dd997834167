"""Measures of predicted numbers: R2 and Kendall's tau, with intervals over nets."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats

from weightspace.meta.statistics.intervals import DEPENDENCE, Interval, widening

_ROWS = 3000
"""The most rows whose pairs are all compared to count concordance."""


def r_squared(truth: np.ndarray, guess: np.ndarray) -> float:
    """1 - squared error / squared distance of the truth to its mean; 0 for predicting the mean."""
    spread = np.square(truth - truth.mean()).sum()
    return float(1 - np.square(truth - guess).sum() / spread)


def r_squared_interval(
    truth: np.ndarray,
    guesses: np.ndarray,
    nets: np.ndarray,
    *,
    dependence: float = DEPENDENCE,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """R2 and its 95 % bootstrap interval over nets, widened for cross-fitting by `dependence`.

    `truth` [n]; `guesses` [n, repeats], whose squared errors are averaged over repeats; `nets` int
    [n]. Nets are resampled with all their rows.
    """
    _, owner = np.unique(nets, return_inverse=True)
    count = int(owner.max()) + 1
    centre = truth.mean()
    error = np.square(truth[:, None] - guesses).mean(axis=1)
    sums = np.stack(
        [
            np.bincount(owner, weights=column, minlength=count)
            for column in (error, np.ones_like(truth), truth - centre, np.square(truth - centre))
        ]
    )

    def value(error: float, n: float, first: float, second: float) -> float:
        return float(1 - error / max(second - first**2 / n, 1e-300))

    found = value(*sums.sum(axis=1))
    rng = np.random.default_rng([seed, 0x52])
    even = np.full(count, 1 / count)
    drawn = [value(*(sums @ rng.multinomial(count, even))) for _ in range(resamples)]
    low, high = (float(end) for end in np.quantile(drawn, [0.025, 0.975]))
    return _widened(found, float(low), float(high), dependence)


def kendall(truth: np.ndarray, guess: np.ndarray) -> float:
    """Kendall's tau-b of two columns; 0 where one is constant."""
    found = float(stats.kendalltau(truth, guess).statistic)
    return found if np.isfinite(found) else 0.0


def kendall_interval(
    truth: np.ndarray, guess: np.ndarray, nets: np.ndarray, *, seed: int = 0
) -> Interval:
    """Tau-b and its 95 % interval over nets, widened for cross-fitting.

    Tau is a mean over pairs of rows. To first order its error is that of twice the mean, over nets,
    of each net's concordance with all others (Hoeffding's projection). Concordance is counted among
    at most 3,000 rows of randomly drawn nets.
    """
    value = kendall(truth, guess)
    rng = np.random.default_rng([seed, 0x7A])
    order = np.argsort(rng.permutation(int(nets.max()) + 1)[nets], kind="stable")[:_ROWS]
    x, y, owner = truth[order], guess[order], np.unique(nets[order], return_inverse=True)[1]
    own = np.array([(np.sign(x - a) * np.sign(y - b)).mean() for a, b in zip(x, y, strict=True)])
    ties = np.sqrt(_untied(x) * _untied(y))
    sums = np.bincount(owner, weights=own - own.mean())
    error = 2 * np.sqrt(np.square(sums).sum()) / len(x) / max(ties, 1e-12)
    # The spread of some rows stands for that of all; the error falls with the number of nets.
    error *= np.sqrt(len(sums) / len(np.unique(nets)))
    return _widened(value, value - 1.96 * error, value + 1.96 * error)


def wider(
    interval: Callable[..., Interval],
    truth: np.ndarray,
    guess: np.ndarray,
    nets: np.ndarray,
    groups: np.ndarray,
) -> Interval:
    """The wider of the intervals over nets and over groups of nets, from rows [n].

    Nets that share a seed are one group. If no nets share a seed, both intervals are the same.
    """
    own = interval(truth, guess, nets)
    if len(np.unique(groups)) == len(np.unique(nets)):
        return own
    other = interval(truth, guess, groups)
    return Interval(own.value, min(own.low, other.low), max(own.high, other.high))


def _untied(values: np.ndarray) -> float:
    _, counts = np.unique(values, return_counts=True)
    return float(1 - np.square(counts / len(values)).sum())


def _widened(value: float, low: float, high: float, dependence: float = DEPENDENCE) -> Interval:
    """Widen an interval for the dependence of cross-fitted nets."""
    factor = widening(value, dependence)
    high = min(1.0, value + factor * (high - value))
    return Interval(value, value - factor * (value - low), high)
