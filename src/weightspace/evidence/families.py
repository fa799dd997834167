"""Initializations by name: what each says of the first weights of a layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass


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
    widest : callable or None
        The largest variance that goes by the name. None: it has but one.
    """

    shape: str
    variance: Callable[[int, int], float]
    biases: Callable[[int], float] | None = None
    widest: Callable[[int, int], float] | None = None

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


FAMILIES: Mapping[str, Family] = {
    "torch_default": Family("uniform", lambda i, o: 1 / (3 * i), lambda i: 1 / math.sqrt(i)),
    "he_uniform": Family("uniform", lambda i, o: 2 / i, widest=_he),
    "he_normal": Family("normal", lambda i, o: 2 / i, widest=_he),
    "glorot_uniform": Family("uniform", lambda i, o: 2 / (i + o), widest=_glorot),
    "glorot_normal": Family("normal", lambda i, o: 2 / (i + o), widest=_glorot),
    "lecun_uniform": Family("uniform", lambda i, o: 1 / i),
    "lecun_normal": Family("normal", lambda i, o: 1 / i),
    "normal": Family("normal", lambda i, o: 1.0),
}
"""The initializations of recipes whose weights are random and independent."""
