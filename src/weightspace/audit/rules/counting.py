"""Steps, epochs, batch size and images against a counter of batches, or an optimizer's steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.audit.rules.steps import exact_steps
from weightspace.audit.strength import words
from weightspace.audit.verdicts import Derived
from weightspace.evidence import Context, Evidence, Hypothesis
from weightspace.evidence.beside import STATES
from weightspace.evidence.counters import LAW, NONE
from weightspace.evidence.counting import LAST, judge
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
    count = _counted(evidence)
    stated = dict(claims.values)
    if count is None or (count.law == STATES and _gathers(stated)):
        return
    if count.law == STATES:  # which says what `steps` may be by itself
        stated.pop("steps", None)
    named = [name for name in (*_COUNTED, "dataset") if stated.get(name) is not None]
    found = judge(count.steps, stated, context, renewed=count.law == STATES)
    if found.verdict == "consistent":
        for name in named:
            if rivals := _ruled_out(count, name, stated, context):
                others = tuple(other for other in named if other != name)
                yield Derived(_fits(count, name, stated[name], rivals), others)
    elif found.verdict == "contradicted" and count.law == LAW and len(found.conflict) > 1:
        says = contradiction(count.steps, found, stated)
        value = ", ".join(f"{name} {claims.get(name)}" for name in found.conflict)
        hypotheses = (Hypothesis((value,), 0.0),)
        yield Derived(
            Evidence(LAW, JOINT, says, "", float(count.steps), hypotheses), found.conflict
        )


@dataclass(frozen=True)
class _Count:
    """A number of steps that is known exactly, and the law that knows it."""

    law: str
    steps: int


def _counted(evidence: Sequence[Evidence]) -> _Count | None:
    """The count of batch norms; that of a saved optimizer, where no batch norm counts."""
    counters = [one for one in evidence if one.law == LAW]
    counted = exact_steps(counters)
    if counted is not None:
        return _Count(LAW, counted)
    if any(one.missing != NONE for one in counters):
        return None
    for one in evidence:
        found = one.estimate if one.law == STATES and one.claim == "steps" else None
        if found is not None and found.low == found.value > 0:
            return _Count(STATES, int(found.value))
    return None


def _gathers(stated: Mapping[str, Value]) -> bool:
    """Whether it is claimed that a step gathers the gradients of several batches."""
    times = stated.get("gradient_accumulation")
    return is_number(times) and times > 1


def _ruled_out(
    count: _Count, name: str, stated: Mapping[str, Value], context: Context
) -> tuple[Value, ...]:
    """Other values of a claim that the count contradicts, with the other claims as they are.

    Since the count is that of the claimed value, the file is taken to be the end of its training.
    """
    value = stated.get(name)
    if not is_number(value):
        return ()
    near = (value - 1, value + 1, value // 2, value * 2, value * 3, value * 10)
    usual = [size for size in context.batch_sizes if value / 4 <= size <= value * 4]
    others = usual if name == "batch_size" else near
    ended, anew = {**stated, "checkpoint": LAST}, count.law == STATES
    return tuple(
        other
        for other in dict.fromkeys(others)
        if other >= 1
        and other != value
        and judge(count.steps, {**ended, name: other}, context, renewed=anew).verdict
        == "contradicted"
    )


def _fits(count: _Count, name: str, value: Value, rivals: tuple[Value, ...]) -> Evidence:
    what = "steps" if count.law == STATES else "batches"
    says = (
        f"{count.steps:,} {what} fit; with {name.replace('_', ' ')} {words(rivals)} they would not"
    )
    hypotheses = (Hypothesis((value,), 1.0), Hypothesis(rivals, 0.0, words(rivals)))
    return Evidence(count.law, name, says, "", float(count.steps), hypotheses)
