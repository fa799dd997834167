"""`Verdict`: whether a claim agrees with the evidence, and the rule by which this is decided."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from weightspace.audit.claims import Claim, Claims
from weightspace.audit.deciding import what_would_decide
from weightspace.audit.numbers import among, is_number, p_of, rivals
from weightspace.audit.strength import number, strength_of, words
from weightspace.evidence.record import Evidence, Hypothesis, Value

LEVEL = 1e-4
"""A claim is contradicted below this p-value. A card makes about ten claims, and a card of which
all is true shall be contradicted in at most 1 of 1,000 cases."""

_MOST = 100  # values of a hypothesis that are written
ANY_OTHER = "any other"
"""The name of a hypothesis without values that means every other value. A hypothesis without values
that has another name is no answer to a claim."""

Word = Literal["consistent", "contradicted", "undecidable"]


def plain(one: Evidence) -> dict[str, Any]:
    """Evidence as plain values, of hypotheses with very many values only the first."""
    found = one.to_dict()
    for hypothesis in found["hypotheses"]:
        if (more := len(hypothesis["values"]) - _MOST) > 0:
            hypothesis["values"] = [*hypothesis["values"][:_MOST], f"and {more:,} more"]
    return found


@dataclass(frozen=True)
class Bearing:
    """Evidence on a claim, with the p-value of the claimed value.

    `given` names the other claims on which it rests. `counts` is False for evidence that stands
    here a second time, with what other claims make of it.
    """

    evidence: Evidence
    p_value: float
    given: tuple[str, ...] = ()
    counts: bool = True


@dataclass(frozen=True)
class Verdict:
    """Whether a claim agrees with the evidence.

    Attributes
    ----------
    claim : Claim
        What is claimed.
    verdict : {"consistent", "contradicted", "undecidable"}
        "contradicted" if the p-value is below 0.0001; "consistent" if it is not, and the evidence
        rules out another value that much; else "undecidable".
    strength : str
        How strong the evidence is, in words and numbers.
    p_value : float or None
        The p-value of the claimed value: the smallest of all evidence, times how many there are.
        None if there is no evidence.
    bearings : tuple of Bearing
        The evidence on the claim, the strongest first.
    given : tuple of str
        The other claims on which the verdict rests.
    decides : str
        What would decide it; "" if it is decided.
    about : tuple of Evidence
        Other evidence about the hyper-parameter, which says nothing of the claimed value.
    """

    claim: Claim
    verdict: Word
    strength: str
    p_value: float | None = None
    bearings: tuple[Bearing, ...] = ()
    given: tuple[str, ...] = ()
    decides: str = ""
    about: tuple[Evidence, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain values for JSON.

        Returns
        -------
        dict
            The keys are `claim`, `value`, `said`, `place`, `verdict`, `strength`, `p_value`,
            `given`, `decides` and `evidence`. In the evidence, `p_value` is that of the claimed
            value; it is null where the evidence says nothing of it.
        """
        return {
            "claim": self.claim.name,
            "value": self.claim.value,
            "said": self.claim.said,
            "place": self.claim.place,
            "verdict": self.verdict,
            "strength": self.strength,
            "p_value": self.p_value,
            "given": list(self.given),
            "decides": self.decides,
            "evidence": [
                *(plain(one.evidence) | {"p_value": one.p_value} for one in self.bearings),
                *(plain(one) | {"p_value": None} for one in self.about),
            ],
        }


@dataclass(frozen=True)
class _Rival:
    """Another value that could have been claimed; "" means any other."""

    p_value: float
    name: str


@dataclass(frozen=True)
class Derived:
    """Evidence that follows from other evidence and other claims, which are named.

    `sharper` says that it is evidence on the same claim, by the same statistic, of which no p-value
    was below 0.0001 unless this one is.
    """

    evidence: Evidence
    given: tuple[str, ...] = ()
    sharper: bool = False


def judged(
    claim: Claim, claims: Claims, evidence: Sequence[Evidence], derived: Sequence[Derived] = ()
) -> Verdict:
    """The verdict on a claim.

    Parameters
    ----------
    claim : Claim
        What is claimed.
    claims : Claims
        All claims.
    evidence : sequence of Evidence
        All evidence on the net.
    derived : sequence of Derived
        What follows from it and other claims.

    Returns
    -------
    Verdict

    Notes
    -----
    The p-value of a claim is the smallest of those of its evidence, times their number
    (Bonferroni). So it is valid however the evidence depends on each other, and nothing counts
    twice. What other claims make sharper is one piece of evidence.
    """
    if not claim.known:
        return Verdict(
            claim, "undecidable", "weightspace knows no claim of this name",
        )  # fmt: skip
    covered = claims.covered(claim)
    found, about = _sorted(claim, covered, evidence, derived)
    if not found:
        return _undecided(
            claim, "the evidence does not tell" if about else "no evidence", (), about
        )
    count = sum(one.counts for one in found)
    p_value = min(1.0, found[0].p_value * count)
    if p_value < LEVEL:
        alone = any(one.p_value * count < LEVEL and not one.given for one in found)
        return Verdict(
            claim, "contradicted", strength_of(p_value), p_value, found,
            () if alone else found[0].given, "", about,
        )  # fmt: skip
    ruled_out = [
        (rival, one)
        for one in found
        if (rival := _rival(one.evidence, claim, covered)).p_value * count < LEVEL
    ]
    if not ruled_out:
        return _undecided(claim, "the evidence fits other values too", found, about, p_value)
    rival, best = min(ruled_out, key=lambda one: (one[0].p_value, len(one[1].given)))
    first = tuple(sorted(found, key=lambda one: one is not best))
    strength = strength_of(rival.p_value * count, rival.name)
    return Verdict(claim, "consistent", strength, p_value, first, best.given, "", about)


def _undecided(
    claim: Claim, strength: str, found: tuple[Bearing, ...], about: tuple[Evidence, ...],
    p_value: float | None = None,
) -> Verdict:  # fmt: skip
    decides = what_would_decide(claim, (*about, *(one.evidence for one in found)))
    return Verdict(claim, "undecidable", strength, p_value, found, (), decides, about)


def _sorted(
    claim: Claim, covered: tuple[Value, ...], evidence: Sequence[Evidence],
    derived: Sequence[Derived],
) -> tuple[tuple[Bearing, ...], tuple[Evidence, ...]]:  # fmt: skip
    """The evidence on the claimed value, the strongest first, and that on other values."""
    found, about = [], []
    for one in _all_on(claim.name, evidence, derived):
        p_value = _p_value(one.evidence, claim.name, covered)
        if p_value is None:
            about.append(one.evidence)
        else:
            found.append(Bearing(one.evidence, p_value, one.given, not one.sharper))
    return tuple(sorted(found, key=lambda bearing: bearing.p_value)), tuple(about)


def p_value_of(evidence: Sequence[Evidence], name: str, value: Value) -> float | None:
    """The p-value of a value, from all evidence on it; None if there is none."""
    found = [p for one in evidence if (p := _p_value(one, name, (value,))) is not None]
    return min(1.0, min(found) * len(found)) if found else None


def _all_on(
    name: str, evidence: Sequence[Evidence], derived: Sequence[Derived]
) -> Iterator[Derived]:
    for one in evidence:
        if one.claim == name and not one.missing:
            yield Derived(one)
    for other in derived:
        if other.evidence.claim == name:
            yield other


def _p_value(one: Evidence, name: str, covered: tuple[Value, ...]) -> float | None:
    """The p-value of the best of some values; None if the evidence says nothing of them."""
    found = [h.p_value for h in one.hypotheses if _covers(h, covered)]
    if found:
        return max(found)
    if one.estimate is not None and one.estimate.name == name:
        return max(
            (p_of(one.estimate, float(value)) for value in covered if is_number(value)),
            default=None,
        )
    return None


def _rival(one: Evidence, claim: Claim, covered: tuple[Value, ...]) -> _Rival:
    """The rival that the evidence rules out most."""
    found = [
        _Rival(h.p_value, "" if h.name == ANY_OTHER else h.name or words(h.values))
        for h in one.hypotheses
        if (h.values or h.name == ANY_OTHER) and not _covers(h, covered)
    ]
    if one.estimate is not None and one.estimate.name == claim.name and is_number(claim.value):
        sides = rivals(claim.name, float(claim.value))
        p_values = [min((p_of(one.estimate, rival), rival) for rival in side) for side in sides]
        p_value, rival = max(p_values)
        exact = one.estimate.low == one.estimate.value == one.estimate.high
        found.append(_Rival(p_value, "" if exact else number(rival)))
    return min(found, key=lambda rival: rival.p_value, default=_Rival(1.0, ""))


def _covers(hypothesis: Hypothesis, covered: tuple[Value, ...]) -> bool:
    return any(among(value, hypothesis.values) for value in covered)
