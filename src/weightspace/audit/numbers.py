"""How well a claimed number agrees with a measured one, and which others would not."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from scipy.special import stdtr

from weightspace.evidence.record import Estimate, Value

_SAME = 1e-6  # relative; float32 rounds by less
_FREEDOM = 5.0
_LIMIT = 4.0321  # of Student's t with 5 degrees of freedom, at 99 %
_FROM_ZERO = ("weight_decay", "momentum", "dropout", "label_smoothing")
_SMALLEST = {"weight_decay": 1e-4, "momentum": 0.5, "dropout": 0.1, "label_smoothing": 0.05}


def is_number(value: Value | None) -> TypeGuard[int | float]:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(one: Value, other: Value) -> bool:
    """Whether two values are one, where numbers may have been rounded to float32."""
    if is_number(one) and is_number(other):
        return math.isclose(float(one), float(other), rel_tol=_SAME, abs_tol=1e-12)
    return type(one) is type(other) and one == other


def among(value: Value, values: Sequence[Value]) -> bool:
    """Whether a value is among others, of which there may be a million seeds."""
    if len(values) > 1000:
        return value in values
    return any(same(value, other) for other in values)


def p_of(estimate: Estimate, value: float) -> float:
    """The p-value of a number, from the 99 % interval of an estimate.

    An interval says nothing of what lies far outside. The tails are taken to fall no slower than
    those of Student's t with 5 degrees of freedom: a number is contradicted (p < 1e-4) from about
    2.8 times the distance of the limit on. An estimate without width is exact. A limit without
    width is not taken for exact: what lies beyond it keeps the 1 % of the interval.
    """
    if estimate.low == estimate.value == estimate.high:
        return 1.0 if same(float(value), float(estimate.value)) else 0.0
    limit = estimate.high if value > estimate.value else estimate.low
    width, distance = abs(limit - estimate.value), abs(value - estimate.value)
    if distance == 0 or math.isinf(width) or math.isnan(width):
        return 1.0
    if width == 0:
        return 0.01
    return min(1.0, 2 * float(stdtr(_FREEDOM, -_LIMIT * distance / width)))


def rivals(claim: str, value: float) -> Iterator[tuple[float, ...]]:
    """What else people would claim, below and above: one of each must be ruled out.

    They are ten times less (or nothing, where a hyper-parameter can be left out) and ten times
    more. Beyond 0 itself they are the smallest usual values.
    """
    if value == 0:
        yield (_SMALLEST.get(claim, 1e-3),)
    elif claim == "momentum":
        yield (0.0,)
        yield (1 - (1 - value) / 10,)
    else:
        yield (0.0 if claim in _FROM_ZERO else value / 10,)
        yield (min(value * 10, 1.0) if claim in _FROM_ZERO[2:] else value * 10,)
