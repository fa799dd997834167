"""Accuracy, interval and control of one property: one function for all analyses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from weightspace.meta.statistics.intervals import (
    DEPENDENCE,
    Interval,
    balanced_accuracy,
    control_interval,
    crossfitted,
)

IntervalOf = Callable[..., Interval]
"""A function of hits [N], codes [N] and `groups=` int [N] that returns a 95 % interval."""


@dataclass(frozen=True)
class Scored:
    """How well one property is read from nets.

    `accuracy` is class-balanced, `low`..`high` its 95 % interval, `chance` is 1 / levels.
    `controls` are the accuracies from permuted labels; `control` is their mean and
    `control_low`..`control_high` holds 95 % of them. These three are None without permutations.
    """

    accuracy: float
    low: float
    high: float
    chance: float
    n_nets: int
    controls: tuple[float, ...]
    control: float | None
    control_low: float | None
    control_high: float | None

    def columns(self, *without: str) -> dict[str, float | int | None]:
        """The numbers by the names of their columns, without `controls` and those named."""
        return {k: v for k, v in vars(self).items() if k not in ("controls", *without)}


def score(
    hits: np.ndarray,
    codes: np.ndarray,
    groups: np.ndarray | None,
    interval: IntervalOf = crossfitted,
) -> Scored:
    """Accuracy, interval and control of one property.

    Parameters
    ----------
    hits : float [net, labeling]
        The share of right predictions of each net. Labeling 0 is the true one; for every other
        one, classifiers were trained and tested with permuted labels.
    codes : int [net, labeling]
        The level of each net under each labeling.
    groups : int [net] or None
        Nets of one number, such as those that share a seed, are resampled together.
    interval : function
        Computes the 95 % interval.
    """
    found = interval(hits[:, 0], codes[:, 0], groups=groups)
    controls = tuple(
        balanced_accuracy(own, truth) for own, truth in zip(hits.T[1:], codes.T[1:], strict=True)
    )
    reach = control_interval(controls) if controls else None
    return Scored(
        accuracy=found.value,
        low=found.low,
        high=found.high,
        chance=1 / len(np.unique(codes[:, 0])),
        n_nets=len(codes),
        controls=controls,
        control=reach.value if reach else None,
        control_low=reach.low if reach else None,
        control_high=reach.high if reach else None,
    )


def resampled(resamples: int, *, dependence: float = DEPENDENCE, seed: int = 0) -> IntervalOf:
    """The function `crossfitted` with these arguments."""
    return partial(crossfitted, dependence=dependence, resamples=resamples, seed=seed)
