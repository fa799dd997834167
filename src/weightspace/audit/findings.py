"""`Finding`: what can be said of a net without any claim, the most certain first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from weightspace.audit import spelling
from weightspace.audit.numbers import among
from weightspace.audit.strength import number, strength_of, words
from weightspace.audit.verdicts import ANY_OTHER, LEVEL, p_value_of
from weightspace.checkpoints import Inspection
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, Value

_LISTED = 50  # values of a hypothesis
_WEAK = 0.05  # the p-value from which on evidence is not told beside stronger one
_FIRST = ("hostile", "code")


@dataclass(frozen=True)
class Finding:
    """Something that can be said of a net or its file.

    Attributes
    ----------
    kind : str
        "hostile", "code" or "doubt" for what `inspect` finds in a file; "evidence" for what the
        evidence says of a hyper-parameter; "note" for evidence that decides nothing.
    text : str
        One line.
    claim : str
        The hyper-parameter; "" if it is about the file.
    strength : str
        How strong the evidence is; "" if it decides nothing.
    p_value : float or None
        That of the values that are ruled out.
    where : str
        The tensor or the place in the file.
    """

    kind: str
    text: str
    claim: str = ""
    strength: str = ""
    p_value: float | None = None
    where: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain values for JSON: a key for each attribute."""
        return asdict(self)


def findings_of(found: Inspection, evidence: Sequence[Evidence]) -> tuple[Finding, ...]:
    """What can be said of a net, the most certain first.

    Parameters
    ----------
    found : Inspection
        What the file says about itself.
    evidence : sequence of Evidence
        What the file and the laws of training say.

    Returns
    -------
    tuple of Finding
    """
    file = [Finding(one.kind, one.text, where=one.where) for one in found.findings]
    known = sorted(said(evidence), key=lambda one: one.p_value or 0.0)
    told = {one.claim for one in known}
    notes = dict.fromkeys(
        Finding("note", one.says, one.claim, where=one.where)
        for one in evidence
        if not one.missing and (one.claim not in told or not (one.hypotheses or one.estimate))
    )
    first = [one for one in file if one.kind in _FIRST]
    return (*first, *known, *notes, *(one for one in file if one.kind not in _FIRST))


def said(evidence: Sequence[Evidence]) -> Iterator[Finding]:
    """For each hyper-parameter, the values that are not ruled out, if some are."""
    usable = [one for one in evidence if not one.missing]
    for name in dict.fromkeys(one.claim for one in usable):
        about = [one for one in usable if one.claim == name]
        exact = next((one for one in about if _is_exact(one.estimate)), None)
        if exact is not None and exact.estimate is not None:
            if exact.estimate.name != name:
                continue  # shown with what it is an estimate of
            yield Finding("evidence", f"{number(exact.estimate.value)}: {exact.says}", name,
                          strength_of(0.0), 0.0, exact.where)  # fmt: skip
            continue
        yield from _left(name, about)
    for one in usable:
        if one.estimate is not None and one.estimate.name != one.claim:
            yield Finding("evidence", f"{one.estimate.name} {shown(one.estimate)}: {one.says}",
                          one.claim, "measured", 0.01, one.where)  # fmt: skip


def _left(name: str, about: Sequence[Evidence]) -> Iterator[Finding]:
    values: list[Value] = []
    for one in about:
        for hypothesis in one.hypotheses:
            if len(hypothesis.values) <= _LISTED:
                values += [v for v in hypothesis.values if not among(v, values)]
    judged = [(value, p_value_of(about, name, value)) for value in values]
    left = [value for value, p in judged if p is not None and p >= LEVEL]
    left = list(dict.fromkeys(_spelled(name, value) for value in left))
    out = [(value, p) for value, p in judged if p is not None and p < LEVEL]
    any_other = min(
        (h.p_value for one in about for h in one.hypotheses if _is_rest(h)), default=1.0
    )
    worst = max((p for _, p in out), default=any_other)
    if not out and any_other >= LEVEL:
        return
    rest = words(left) or "none of the usual"
    no = f", not {words([value for value, _ in out])}" if out else ""
    weighty = sorted((one for one in about if one.hypotheses), key=_least)
    weighty = [one for one in weighty if one is weighty[0] or _least(one) < _WEAK]
    says = "; ".join(dict.fromkeys(one.says for one in weighty))
    where = next((one.where for one in weighty if one.where), "")
    yield Finding("evidence", f"{rest}{no}: {says}", name, strength_of(worst), worst, where)


def _least(one: Evidence) -> float:
    """The p-value of the values that a piece of evidence speaks against most."""
    return min((h.p_value for h in one.hypotheses if h.values or _is_rest(h)), default=1.0)


def _is_rest(one: Hypothesis) -> bool:
    """Whether a hypothesis stands for all values that are not listed."""
    return one.name == ANY_OTHER or len(one.values) > _LISTED


def _spelled(claim: str, value: Value) -> Value:
    """A name as recipes spell it, where laws know several."""
    return spelling.name(claim, value) if isinstance(value, str) else value


def shown(estimate: Estimate) -> str:
    """An estimate for people: its value and its 99 % interval."""
    if _is_exact(estimate):
        return number(estimate.value)
    if math.isinf(estimate.high):
        return f"at least {number(estimate.low)}"
    if math.isinf(estimate.low):
        return f"at most {number(estimate.high)}"
    return f"{number(estimate.value)} ({number(estimate.low)} to {number(estimate.high)})"


def _is_exact(estimate: Estimate | None) -> bool:
    return estimate is not None and estimate.low == estimate.value == estimate.high
