"""Initializations by name: what each says of the first weights of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

UNLIKELY = 5e-4
"""The p-value below which a law leaves an answer out."""


@dataclass(frozen=True)
class Family:
    """An initialization of weights.

    Attributes
    ----------
    shape : {"uniform", "normal"}
        The distribution. Its mean is 0.
    variance : callable
        The variance of a weight, as a function of fan in and fan out.
    biases : callable or None
        The limit of a uniform distribution of biases, as a function of fan in; None where biases
        begin at 0.
    widest, narrowest : callable or None
        The largest and the smallest variance that go by the name. None: it has but one.
    """

    shape: str
    variance: Callable[[int, int], float]
    biases: Callable[[int], float] | None = None
    widest: Callable[[int, int], float] | None = None
    narrowest: Callable[[int, int], float] | None = None

    def least(self, fan_in: int, fan_out: int) -> float:
        """The smallest variance that goes by this name."""
        return (self.narrowest or self.variance)(fan_in, fan_out)

    def most(self, fan_in: int, fan_out: int) -> float:
        """The largest variance that goes by this name: with torch's gains, and modes of fans."""
        return (self.widest or self.variance)(fan_in, fan_out)

    def limit(self, fan_in: int, fan_out: int) -> float:
        """The largest possible weight; infinite for a normal distribution."""
        if self.shape != "uniform":
            return math.inf
        return math.sqrt(3 * self.variance(fan_in, fan_out))


_GAIN = 25 / 9
"""The square of torch's largest gain, that for tanh."""


def _he(fan_in: int, fan_out: int) -> float:
    return _GAIN / min(fan_in, fan_out)


def _glorot(fan_in: int, fan_out: int) -> float:
    return _GAIN * 2 / (fan_in + fan_out)


def _narrow_he(fan_in: int, fan_out: int) -> float:
    return 1 / max(fan_in, fan_out)


FAMILIES: Mapping[str, Family] = {
    "torch_default": Family("uniform", lambda i, o: 1 / (3 * i), lambda i: 1 / math.sqrt(i)),
    "he_uniform": Family("uniform", lambda i, o: 2 / i, None, _he, _narrow_he),
    "he_normal": Family("normal", lambda i, o: 2 / i, None, _he, _narrow_he),
    "glorot_uniform": Family("uniform", lambda i, o: 2 / (i + o), None, _glorot),
    "glorot_normal": Family("normal", lambda i, o: 2 / (i + o), None, _glorot),
    "lecun_uniform": Family("uniform", lambda i, o: 1 / i),
    "lecun_normal": Family("normal", lambda i, o: 1 / i),
    "normal": Family("normal", lambda i, o: 1.0, None, None, lambda i, o: 0.0),
}
"""The initializations of recipes whose weights are random and independent."""


def shrinkages(square: float, fans: tuple[int, int]) -> dict[str, float]:
    """Minus the logarithm of what weights of this mean square are of those at first, by name."""
    return {name: -0.5 * math.log(square / one.variance(*fans)) for name, one in FAMILIES.items()}


def decay_estimate(
    found: Mapping[str, float], reach: tuple[float, float], fans: tuple[int, int], claimed: object
) -> tuple[float, float, float]:
    """The best guess of a decay's product, and its limits.

    Parameters
    ----------
    found : dict of str to float
        What `shrinkages` gives for each possible initialization.
    reach : tuple of float
        By how much the truth may be less and more.
    fans : tuple of int
        Fan in and fan out.
    claimed : object
        The initialization that is claimed.
    """
    limits = {name: (value - reach[0], value + reach[1]) for name, value in found.items()}
    best = (min(found.values()) + max(found.values())) / 2
    return max(0.0, best), *decay_limits(limits, fans, claimed)


def decay_limits(
    limits: Mapping[str, tuple[float, float]], fans: tuple[int, int], claimed: object
) -> tuple[float, float]:
    """The limits of a decay's product that weights of unknown scale allow.

    Weights that are smaller than an initialization makes them have decayed, or began smaller. So
    there is a lower limit only if the initialization is claimed.

    Parameters
    ----------
    limits : dict of str to (float, float)
        For each possible initialization the limits of minus the logarithm of what is left.
    fans : tuple of int
        Fan in and fan out.
    claimed : object
        The initialization that is claimed.

    Returns
    -------
    tuple of float
        The lower and the upper limit, from 0.
    """
    low, high = 0.0, 0.0
    for name, (_, most) in limits.items():
        family = FAMILIES[name]
        high = max(high, most + 0.5 * math.log(family.most(*fans) / family.variance(*fans)))
    if isinstance(claimed, str) and claimed in limits:
        family = FAMILIES[claimed]
        share = family.least(*fans) / family.variance(*fans)
        low = limits[claimed][0] + 0.5 * math.log(share) if share else 0.0
    return max(0.0, low), high
