"""How one hyper-parameter varies: small values that validate themselves and go through JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.errors import UsageError

Value = str | int | float | bool

THIRDS = 3
"""Levels into which a range is cut, equally likely."""


@dataclass(frozen=True)
class Constant:
    """Always the same value; not a property that can be predicted."""

    value: Value

    def draw(self, u: float) -> Value:
        """The value, whatever `u`."""
        return self.value

    def to_plain(self) -> Any:
        """The form that stands in YAML and JSON: the value itself."""
        return self.value


@dataclass(frozen=True)
class Choice:
    """One of a few values, equally likely."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise UsageError(
                f"{list(self.values)!r} offers no choice; "
                "give at least two values, or the value itself without brackets"
            )
        for value in self.values:
            if not isinstance(value, Value):
                raise UsageError(f"a choice is between plain values, not {_what(value)}")
        # 1 and 1.0 are one learning rate, but True and 1 are not one value.
        if len({(isinstance(v, bool), v) for v in self.values}) < len(self.values):
            raise UsageError(f"{list(self.values)!r} holds a value twice; remove one")

    def draw(self, u: float) -> Value:
        """The value at position `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]

    def levels(self, values: Sequence[Any]) -> np.ndarray:
        """Which of the choices each value is, from 0; -1 where it is none: int64 [n]."""
        place = {value: i for i, value in enumerate(self.values)}
        return np.array([place.get(value, -1) for value in values], np.int64)

    def to_plain(self) -> Any:
        """The form that stands in YAML and JSON: a list."""
        return list(self.values)


@dataclass(frozen=True)
class Uniform:
    """A number between `low` and `high`, uniform on a linear or a logarithmic scale."""

    low: float
    high: float
    scale: str = "linear"

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"{name} {_what(value)} is not a number{number_hint(value)}")
            if not math.isfinite(value):
                raise UsageError(f"{name} {value!r} is not finite")
        if self.scale not in ("linear", "log"):
            raise UsageError(f"scale {_what(self.scale)} is neither linear nor log")
        if not self.low < self.high:
            raise UsageError(f"low {self.low:g} is not below high {self.high:g}; swap them")
        if self.scale == "log" and self.low <= 0:
            raise UsageError(f"low {self.low:g} has no logarithm; raise it above 0")

    def draw(self, u: float) -> float:
        """The number at position `u` in [0, 1)."""
        if self.scale == "log":
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + u * (high - low))
        else:
            value = self.low + u * (self.high - self.low)
        # Rounding may carry a value past the ends; a recipe must not leave its space.
        return float(min(max(value, self.low), self.high))

    def edges(self, levels: int) -> tuple[float, ...]:
        """The inner borders that cut the distribution into equally likely levels."""
        return tuple(self.draw(float(u)) for u in np.arange(1, levels) / levels)

    def levels(self, values: Sequence[float]) -> np.ndarray:
        """The third of the range, from 0, that each value lies in: int64 [n]."""
        return np.searchsorted(self.edges(THIRDS), np.asarray(values, float), side="right")

    def to_plain(self) -> Any:
        """The form that stands in YAML and JSON: a mapping."""
        return {"low": self.low, "high": self.high, "scale": self.scale}


@dataclass(frozen=True)
class Unknown:
    """Not on record, as of nets that were trained elsewhere; it cannot be drawn."""

    def to_plain(self) -> Any:
        """The form that stands in YAML and JSON: a mapping that says so."""
        return {"unknown": True}


Distribution = Constant | Choice | Uniform | Unknown


def from_plain(plain: Any) -> Distribution:
    """The inverse of every `to_plain`: a scalar, a list, a mapping of low, high and scale."""
    if plain == {"unknown": True}:
        return Unknown()
    if isinstance(plain, list | tuple):
        return Choice(tuple(plain))
    if isinstance(plain, dict):
        unknown = sorted(set(map(str, plain)) - {"low", "high", "scale"})
        missing = sorted({"low", "high"} - set(plain))
        if unknown or missing:
            what = f"has no {missing[0]!r}" if missing else f"does not know {unknown[0]!r}"
            raise UsageError(f"a range {what}; write {{low: 0.001, high: 0.01, scale: log}}")
        return Uniform(**plain)
    if isinstance(plain, Value):
        return Constant(plain)
    raise UsageError(f"{_what(plain)} is neither a value, a list of values nor a range")


def number_hint(value: Any) -> str:
    """What to write instead of text that was meant as a number; empty where it was not.

    YAML reads 1e-3 as text and 1.0e-3 as a number, which nobody expects.
    """
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    return f" but text; write {number!r}" if math.isfinite(number) else ""


def _what(value: Any) -> str:
    """A short name of a value that does not belong: never its whole content."""
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return (repr(value) if isinstance(value, Value) else str(value))[:60]
