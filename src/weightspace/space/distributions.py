"""How one hyper-parameter varies: small classes that check their values and convert to JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.errors import UsageError

Value = str | int | float | bool

THIRDS = 3
"""The number of equally likely levels into which a continuous range is cut."""


@dataclass(frozen=True)
class Constant:
    """A hyper-parameter with one fixed value; it is not a property that can be predicted.

    Parameters
    ----------
    value : str, int, float or bool
        The value.
    """

    value: Value

    def draw(self, u: float) -> Value:
        """Return the value.

        Parameters
        ----------
        u : float
            Ignored.

        Returns
        -------
        str, int, float or bool
        """
        return self.value

    def to_plain(self) -> Any:
        """The form for YAML and JSON: the value itself."""
        return self.value


@dataclass(frozen=True)
class Choice:
    """One of several values, all equally likely.

    Parameters
    ----------
    values : tuple of str, int, float or bool
        At least two different values.

    Raises
    ------
    UsageError
        If there are fewer than two values, or one occurs twice.

    Examples
    --------
    >>> Choice(("relu", "tanh")).draw(0.7)
    'tanh'
    """

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) < 2:
            raise UsageError(
                "",
                f"{list(self.values)!r} offers no choice",
                "give at least two values, or the value itself without brackets",
            )
        for value in self.values:
            if not isinstance(value, Value):
                raise UsageError("", f"a choice is between plain values, not {_what(value)}")
        # 1 and 1.0 are one learning rate, but True and 1 are not one value.
        if len({(isinstance(v, bool), v) for v in self.values}) < len(self.values):
            raise UsageError("", f"{list(self.values)!r} holds a value twice", "remove one")

    def draw(self, u: float) -> Value:
        """Return the value at a position.

        Parameters
        ----------
        u : float
            A position in [0, 1).

        Returns
        -------
        str, int, float or bool
        """
        return self.values[int(u * len(self.values))]

    def levels(self, values: Sequence[Any]) -> np.ndarray:
        """The position of each value among the choices.

        Parameters
        ----------
        values : sequence of length n
            Values of the hyper-parameter.

        Returns
        -------
        ndarray of int64, shape (n,)
            Levels from 0; -1 for a value that is not a choice.
        """
        place = {value: i for i, value in enumerate(self.values)}
        return np.array([place.get(value, -1) for value in values], np.int64)

    def to_plain(self) -> Any:
        """The form for YAML and JSON: a list."""
        return list(self.values)


@dataclass(frozen=True)
class Uniform:
    """A number between two limits, uniform on a linear or a logarithmic scale.

    Parameters
    ----------
    low, high : float
        The limits; `low` is less than `high`.
    scale : {"linear", "log"}
        The scale on which the number is uniform.
    times : tuple of (str, tuple of (value, float)), optional
        A second hyper-parameter, and by what the number is multiplied for some of its values: usual
        learning rates of Adam are smaller than those of SGD. The limits are those before it.

    Raises
    ------
    UsageError
        If the limits, the scale or a factor are not possible.

    Examples
    --------
    >>> round(Uniform(0.001, 0.1, "log").draw(0.5), 6)
    0.01
    >>> rates = Uniform(0.01, 0.1, "log", ("optimizer", (("adam", 0.1),)))
    >>> rates.factor("adam"), rates.factor("sgd"), rates.limits
    (0.1, 1.0, (0.001, 0.1))
    """

    low: float
    high: float
    scale: str = "linear"
    times: tuple[str, tuple[tuple[Value, float], ...]] | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError("", f"{name} {_what(value)} is not a number{number_hint(value)}")
            if not math.isfinite(value):
                raise UsageError("", f"{name} {value!r} is not finite")
        if self.scale not in ("linear", "log"):
            raise UsageError("", f"scale {_what(self.scale)} is neither linear nor log")
        if not self.low < self.high:
            raise UsageError("", f"low {self.low:g} is not below high {self.high:g}", "swap them")
        if self.scale == "log" and self.low <= 0:
            raise UsageError("", f"low {self.low:g} has no logarithm", "raise it above 0")
        for value, factor in self.times[1] if self.times else ():
            if isinstance(factor, bool) or not isinstance(factor, int | float) or factor <= 0:
                raise UsageError("", f"the factor for {value} is {_what(factor)}, not above 0")

    def factor(self, value: Value) -> float:
        """By what the number is multiplied for a value of the second hyper-parameter.

        Parameters
        ----------
        value : str, int, float or bool
            The value.

        Returns
        -------
        float
            1 where the value has no factor.
        """
        found = (factor for own, factor in self.times[1] if own == value) if self.times else ()
        return float(next(iter(found), 1.0))

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the largest number, with all factors."""
        factors = [1.0, *(factor for _, factor in self.times[1])] if self.times else [1.0]
        ends = [end * factor for end in (self.low, self.high) for factor in factors]
        return min(ends), max(ends)

    def draw(self, u: float) -> float:
        """Return the number at a position.

        Parameters
        ----------
        u : float
            A position in [0, 1).

        Returns
        -------
        float
        """
        if self.scale == "log":
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + u * (high - low))
        else:
            value = self.low + u * (self.high - self.low)
        # Rounding may move a value past the limits; a recipe must not leave its space.
        return float(min(max(value, self.low), self.high))

    def edges(self, levels: int) -> tuple[float, ...]:
        """The inner limits that cut the range into levels, equally likely without factors.

        Parameters
        ----------
        levels : int
            The number of levels.

        Returns
        -------
        tuple of float, length levels - 1
        """
        whole = Uniform(*self.limits, self.scale)
        return tuple(whole.draw(float(u)) for u in np.arange(1, levels) / levels)

    def levels(self, values: Sequence[float]) -> np.ndarray:
        """The third of the range in which each value lies.

        Parameters
        ----------
        values : sequence of float, length n
            Values of the hyper-parameter.

        Returns
        -------
        ndarray of int64, shape (n,)
            Levels from 0 to 2.
        """
        return np.searchsorted(self.edges(THIRDS), np.asarray(values, float), side="right")

    def to_plain(self) -> Any:
        """The form for YAML and JSON: a mapping of low, high and scale, and of the factors."""
        plain: dict[str, Any] = {"low": self.low, "high": self.high, "scale": self.scale}
        return plain | ({"times": {self.times[0]: dict(self.times[1])}} if self.times else {})


@dataclass(frozen=True)
class Unknown:
    """A hyper-parameter that is not known, as for nets trained elsewhere; it cannot be drawn."""

    def to_plain(self) -> Any:
        """The form for YAML and JSON: the mapping {"unknown": true}."""
        return {"unknown": True}


Distribution = Constant | Choice | Uniform | Unknown
"""What a space says about one hyper-parameter."""


def from_plain(plain: Any) -> Distribution:
    """Make a distribution from plain values: a scalar, a list, or a mapping (low, high, scale)."""
    if plain == {"unknown": True}:
        return Unknown()
    if isinstance(plain, list | tuple):
        return Choice(tuple(plain))
    if isinstance(plain, dict):
        unknown = sorted(set(map(str, plain)) - {"low", "high", "scale", "times"})
        missing = sorted({"low", "high"} - set(plain))
        if unknown or missing:
            what = f"has no {missing[0]!r}" if missing else f"does not know {unknown[0]!r}"
            raise UsageError("", f"a range {what}", "write {low: 0.001, high: 0.01, scale: log}")
        return Uniform(**plain | {"times": _times(plain.get("times"))})
    if isinstance(plain, Value):
        return Constant(plain)
    raise UsageError("", f"{_what(plain)} is neither a value, a list of values nor a range")


def _times(plain: Any) -> tuple[str, tuple[tuple[Value, float], ...]] | None:
    """The factors of a range, from a mapping of one hyper-parameter to its values' factors."""
    if plain is None:
        return None
    named = list(plain.items()) if isinstance(plain, dict) else []
    if len(named) != 1 or not isinstance(named[0][1], dict):
        raise UsageError("", "times is not possible", "write times: {optimizer: {adam: 0.1}}")
    name, factors = named[0]
    return str(name), tuple(factors.items())


def number_hint(value: Any) -> str:
    """A hint for text that was meant as a number; empty for other values.

    YAML reads 1e-3 as text but 1.0e-3 as a number, which surprises most people.
    """
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    return f" but text; write {number!r}" if math.isfinite(number) else ""


def _what(value: Any) -> str:
    """A short description of a wrong value, never its whole content."""
    if value is None:
        return "nothing"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "a mapping"
    return (repr(value) if isinstance(value, Value) else str(value))[:60]
