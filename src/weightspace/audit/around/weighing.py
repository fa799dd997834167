"""What the readings of a population around a net mean for what is claimed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from weightspace.audit.around.looking import Around
from weightspace.audit.around.rates import Rate
from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.audit.strength import number
from weightspace.audit.verdicts import Verdict
from weightspace.evidence import Evidence
from weightspace.evidence.record import Value
from weightspace.meta.design.labels import level_name
from weightspace.meta.model.answer import Reading

LAW = "population around it"
ENOUGH = 0.9
"""The share of held-out nets that must be read rightly, for a reading to support a claim."""
_SAID = {("schedule", "exponential"): "constant"}
"""Levels of the space whose recipe has another name for people: no decay is a constant rate."""
_RATE = "learning_rate"
_MORE = "more nets, by a larger `budget`"


def weighed(verdict: Verdict, claims: Claims, around: Around) -> Verdict:
    """The verdict with what the population says of the claim.

    A reading may support a claim that nothing else decides, where such answers were right for 90 %
    of held-out nets. It contradicts none: a population of some hundred nets cannot show that it
    errs in less than 1 of 1,000.
    """
    name = verdict.claim.name
    if not verdict.claim.known:
        return verdict
    if name == _RATE and around.rate is not None:
        says, agrees, right = _of_rate(around.rate, verdict.claim.value, around.nets)
    elif name in around.readings:
        values = [_level(name, value) for value in claims.covered(verdict.claim)]
        says, agrees, right = _of_level(around.readings[name], values, around.nets)
    else:
        return verdict
    about = (Evidence(LAW, name, says), *verdict.about)
    if verdict.verdict != "undecidable":
        return replace(verdict, about=about)
    if agrees and right >= ENOUGH:
        undecided = tuple(one.evidence for one in verdict.bearings)
        return replace(
            verdict, verdict="consistent", bearings=(), decides="",
            about=(about[0], *undecided, *about[1:]),
            strength=f"by a population: {right:.0%} of such answers are right",
        )  # fmt: skip
    return replace(verdict, strength=_WEAK[agrees], about=about, decides=_MORE)


_WEAK = {
    True: "a population agrees, but such answers are too often wrong",
    False: "a population speaks against it, but such answers are no proof",
    None: "a population does not tell",
}


_Said = tuple[str, bool | None, float]
"""A sentence, whether the reading agrees with the claim, how often such readings are right."""


def _of_rate(rate: Rate, claimed: Value, nets: int) -> _Said:
    says = (
        f"{nets} nets around it: {number(rate.value)} ({number(rate.low)} to "
        f"{number(rate.high)}, as for 90% of held-out nets); right to within a factor of 2 for "
        f"{rate.within:.0%}"
    )
    if not is_number(claimed) or not float(claimed) > 0:
        return says, None, 0.0
    ratio = float(claimed) / rate.value
    inside = rate.low <= float(claimed) <= rate.high
    agrees = True if 0.5 <= ratio <= 2 else None if inside else False
    return says, agrees, rate.within


def _of_level(one: Reading, values: Sequence[str], nets: int) -> _Said:
    if one.level is None:
        return f"{nets} nets around it: {one.reason}", None, 0.0
    value = _spoken(one, one.level)
    right = one.right or 0.0
    left = ", ".join(_spoken(one, level) for level in one.possible)
    return (
        f"{nets} nets around it: {value}, as for {right:.0%} of {one.right_nets} held-out nets "
        f"with such an answer; not ruled out: {left}",
        True if one.level in values else None if set(values) & set(one.possible) else False,
        right,
    )


def _spoken(one: Reading, level: str) -> str:
    """A level as people say it."""
    return _SAID.get((one.property, level), level)


def _level(name: str, value: Value) -> str:
    if name == "schedule" and value == "constant":
        return "exponential"
    if is_number(value) and not isinstance(value, bool) and name != "batch_size":
        return level_name(float(value))
    return level_name(value)


def readings_of(around: Around) -> list[dict[str, Any]]:
    """The readings as plain values, in the form of `audit.readings.readings`.

    That of the learning rate has a number, `low` and `high`, and as `accuracy` the share of
    held-out nets that were right to within a factor of 2.
    """
    found: list[dict[str, Any]] = []
    for one in around.readings.values():
        value = None if one.level is None else _spoken(one, one.level)
        found.append(
            {
                "property": one.property, "value": value, "reason": one.reason,
                "source": "population",
                "probability": one.probability, "accuracy": one.right, "n": one.right_nets,
                "levels": [_spoken(one, x) for x in one.levels],
                "possible": [_spoken(one, x) for x in one.possible],
                "told": one.told, "conditional": one.conditional,
            }
        )  # fmt: skip
    if around.rate is not None:
        rate = around.rate
        found.append(
            {
                "property": _RATE, "value": rate.value, "reason": "", "source": "population",
                "probability": None, "accuracy": rate.within, "n": rate.nets,
                "low": rate.low, "high": rate.high, "conditional": True,
            }
        )  # fmt: skip
    return found
