"""Numbers that the state of an optimizer holds, and others that it would contradict."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.audit.strength import words
from weightspace.audit.verdicts import ANY_OTHER, LEVEL, Derived, p_value_of
from weightspace.evidence import Context, Evidence, Hypothesis
from weightspace.evidence.beside import STATES, state_law
from weightspace.evidence.record import Value
from weightspace.evidence.subject import Subject

_NUMBERS = ("learning_rate", "momentum", "weight_decay", "beta1", "beta2", "epsilon", "steps")
_NO_NET = Subject((), lambda name, start, stop: (_ for _ in ()).throw(KeyError(name)), {})


def from_state(claims: Claims, evidence: Sequence[Evidence], context: Context) -> Iterator[Derived]:
    """What the state of an optimizer would say if another number were claimed.

    A claim agrees with the state only if another one would not. A state without its first learning
    rate contradicts none, unless it is claimed that no schedule changed it.

    Yields
    ------
    Derived
    """
    for name in _NUMBERS:
        claimed = claims.get(name)
        about = [one for one in evidence if one.law == STATES and one.claim == name]
        if not about or not is_number(claimed):
            continue
        value = float(claimed)
        agreed = p_value_of(about, name, value)
        if name == "learning_rate" and claims.get("schedule") == "constant":
            yield Derived(_alone(about[0], value, agreed is not None), ("schedule",))
        elif agreed is not None and agreed >= LEVEL:
            rivals = [rival for rival in _rivals(name, value) if _contradicts(name, rival, context)]
            if rivals:
                hypotheses = (*about[0].hypotheses, Hypothesis(tuple(rivals), 0.0, words(rivals)))
                yield Derived(replace(about[0], hypotheses=hypotheses))


def _alone(one: Evidence, value: float, agrees: bool) -> Evidence:
    """The evidence of a rate that no schedule has changed: it is the only one."""
    none = () if agrees else (Hypothesis((value,), 0.0),)
    return replace(one, hypotheses=(*one.hypotheses, *none, Hypothesis((), 0.0, ANY_OTHER)))


def _rivals(name: str, value: float) -> tuple[Value, ...]:
    if value == 0:
        return (1e-4, 0.5)
    if name == "steps":
        return (int(value) // 2, int(value) * 2)
    return tuple(one for one in (value / 2, value * 2) if name != "momentum" or one < 1)


def _contradicts(name: str, rival: Value, context: Context) -> bool:
    other = replace(context, claims={**context.claims, name: rival})
    found = [one for one in state_law(_NO_NET, other) if one.claim == name and not one.missing]
    p_value = p_value_of(found, name, rival)
    return p_value is not None and p_value < LEVEL
