"""Whether kernels are still as an initialization made them."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from weightspace.evidence.families import FAMILIES, Family

_FEWEST = 200  # values that are looked at
_GREATEST = 1.63  # of Kolmogorov's statistic: 1 % of initial kernels exceed it


def initial_family(values: np.ndarray, fan_in: int, fan_out: int) -> str:
    """The initialization that the values of a kernel are a sample of; "" if there is none.

    The test is that of Kolmogorov and Smirnov, at 1 % for each family.
    """
    if values.size < _FEWEST:
        return ""
    ordered = np.sort(values.reshape(-1).astype(np.float64))
    for name, family in FAMILIES.items():
        if name != "normal" and _distance(ordered, family, fan_in, fan_out) < _GREATEST:
            return name
    return ""


def _distance(ordered: np.ndarray, family: Family, fan_in: int, fan_out: int) -> float:
    count = len(ordered)
    if family.shape == "uniform":
        limit = family.limit(fan_in, fan_out)
        if max(-ordered[0], ordered[-1]) > limit * (1 + 1e-6):
            return float(np.inf)
        share = (ordered / limit + 1) / 2
    else:
        share = ndtr(ordered / np.sqrt(family.variance(fan_in, fan_out)))
    steps = np.arange(count + 1) / count
    most = max(np.abs(share - steps[:-1]).max(), np.abs(share - steps[1:]).max())
    return float(most * np.sqrt(count))
