"""The strength of evidence, and values, in words and numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from weightspace.evidence.record import Value

_WORDS = ((1e-12, "overwhelming"), (1e-8, "very strong"), (1e-6, "strong"))
_MOST = 6  # values in a row


def strength_of(p_value: float, rival: str | None = None) -> str:
    """What a p-value means.

    It is that of the claim, or that of a rival which was ruled out; "" means any other value.

    >>> strength_of(3e-9), strength_of(0.0)
    ('very strong (p = 3e-09)', 'exact')
    >>> strength_of(0.0, ""), strength_of(3e-9, "adam")
    ('exact: no other value fits', 'very strong: not adam (p = 3e-09)')
    """
    word = next((word for limit, word in _WORDS if p_value < limit), "clear")
    said = "exact" if p_value == 0 else f"{word} (p = {number(p_value)})"
    if rival is None:
        return said
    if not rival:
        return f"{said}: no other value fits"
    return f"exact: not {rival}" if p_value == 0 else f"{word}: not {rival} (p = {number(p_value)})"


def words(values: Sequence[Value]) -> str:
    """Values for people, the first few of them.

    >>> words((True,)), words(("sgd", "momentum")), words((1000, 0.5))
    ('true', 'sgd or momentum', '1,000 or 0.5')
    """
    shown = [_word(value) for value in values[:_MOST]]
    left = len(values) - _MOST
    others = "other" if left == 1 else "others"
    more = [f"{left:,} {others}"] if left > 0 else []
    return " or ".join([*shown, *more])


def _word(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else number(float(value))


def number(value: float) -> str:
    """A number for people: few digits, thousands apart.

    >>> number(4690.0), number(0.00123456), number(3e-20)
    ('4,690', '0.00123', '3e-20')
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
