"""Steps, epochs, batch size and images against a counter of batches, or an optimizer's steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.audit.rules.steps import exact_steps
from weightspace.audit.strength import words
from weightspace.audit.verdicts import Derived
from weightspace.evidence import Context, Evidence, Hypothesis
from weightspace.evidence.beside import STATES
from weightspace.evidence.counters import LAW
from weightspace.evidence.counting import LAST, LAST_STEPS, PASSES, STEPS, judge
from weightspace.evidence.lengths import contradiction
from weightspace.evidence.record import Value

_COUNTED = ("steps", "epochs", "batch_size", "train_images")
JOINT = "training_length"
"""The name of the claim that steps, epochs, batch size and images make together."""


def from_count(claims: Claims, evidence: Sequence[Evidence], context: Context) -> Iterator[Derived]:
    """What a counter says of claims together, or a saved optimizer where nothing counts.

    A claim that fits is consistent with the counter if another value would not fit, with the other
    claims as they are. Claims that do not fit together, while each alone does, are contradicted as
    one: nobody can tell which is wrong.

    Yields
    ------
    Derived
    """
    law, counted = _counted(evidence)
    named = [name for name in (*_COUNTED, "dataset") if claims.get(name) is not None]
    if counted is None or not named:
        return
    found = judge(counted, claims.values, context, counted=LAST_STEPS if law == STATES else PASSES)
    if found.verdict == "consistent":
        for name in named:
            if rivals := _ruled_out(law, counted, name, claims, context):
                others = tuple(other for other in named if other != name)
                yield Derived(_fits(law, name, claims, rivals, counted), others)
    elif found.verdict == "contradicted" and len(found.conflict) > 1:
        says = contradiction(counted, found, claims.values)
        value = ", ".join(f"{name} {claims.get(name)}" for name in found.conflict)
        hypotheses = (Hypothesis((value,), 0.0),)
        yield Derived(Evidence(law, JOINT, says, "", float(counted), hypotheses), found.conflict)


def _counted(evidence: Sequence[Evidence]) -> tuple[str, int | None]:
    """The law that knows the number of steps exactly, counters first, and the number."""
    for law in (LAW, STATES):
        counted = exact_steps([one for one in evidence if one.law == law])
        if counted is not None and counted > 0:
            return law, counted
    return LAW, None


def _ruled_out(
    law: str, counted: int, name: str, claims: Claims, context: Context
) -> tuple[Value, ...]:
    """Other values of a claim that the counter contradicts, with the other claims as they are.

    Since the count is that of the claimed value, the file is taken to be the end of its training,
    and an optimizer to be that of all of it.
    """
    value = claims.get(name)
    if not is_number(value):
        return ()
    near = (value - 1, value + 1, value // 2, value * 2, value * 3, value * 10)
    usual = [size for size in context.batch_sizes if value / 4 <= size <= value * 4]
    others = usual if name == "batch_size" else near
    ended = {**claims.values, "checkpoint": LAST}
    kind = STEPS if law == STATES else PASSES
    return tuple(
        other
        for other in dict.fromkeys(others)
        if other >= 1
        and other != value
        and judge(counted, {**ended, name: other}, context, counted=kind).verdict == "contradicted"
    )


def _fits(law: str, name: str, claims: Claims, rivals: tuple[Value, ...], counted: int) -> Evidence:
    says = f"{counted:,} batches fit; with {name.replace('_', ' ')} {words(rivals)} they would not"
    value = claims.get(name)
    assert value is not None
    hypotheses = (Hypothesis((value,), 1.0), Hypothesis(rivals, 0.0, words(rivals)))
    return Evidence(law, name, says, "", float(counted), hypotheses)
