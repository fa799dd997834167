"""`Evidence`: what one law of training says of one net."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from weightspace.markup import summary

Value = str | int | float | bool


@dataclass(frozen=True)
class Hypothesis:
    """A possible answer, and how well the net agrees with it.

    Attributes
    ----------
    values : tuple of str, int, float or bool
        The values of the claim that this answer covers, spelled as recipes spell them: for a claim
        of the optimizer, ("sgd", "momentum", "nesterov").
    p_value : float
        The probability that the statistic is at least as extreme as it is, if the answer is true.
        From 0 to 1.
    name : str
        What the answer is called in sentences; by default its only value.
    """

    values: tuple[Value, ...]
    p_value: float
    name: str = ""


@dataclass(frozen=True)
class Estimate:
    """A number that a law measures.

    Attributes
    ----------
    name : str
        What it is, such as "steps".
    value : float
        The best guess.
    low, high : float
        The limits of its 99 % interval; equal to `value` for a number that is known exactly.
        `inf` where there is no limit.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """What one law of training says of one net.

    Attributes
    ----------
    law : str
        The name of the law, as in docs/laws.md.
    claim : str
        The claim on which it bears, such as "optimizer".
    says : str
        A sentence for people.
    where : str
        The tensor that was looked at; "" for the whole file.
    statistic : float or None
        The number by which the hypotheses are judged.
    hypotheses : tuple of Hypothesis
        The possible answers; empty if the law only measures something.
    estimate : Estimate or None
        What the law measures.
    missing : str
        Why the law cannot be applied; "" if it was.
    """

    law: str
    claim: str
    says: str
    where: str = ""
    statistic: float | None = None
    hypotheses: tuple[Hypothesis, ...] = ()
    estimate: Estimate | None = None
    missing: str = ""

    @property
    def p_value(self) -> float | None:
        """The p-value of the least likely hypothesis; None if there is none."""
        return min((one.p_value for one in self.hypotheses), default=None)

    def _repr_html_(self) -> str:
        facts: list[tuple[str, object]] = [("claim", self.claim), ("says", self.says)]
        facts += [("tensor", self.where)] if self.where else []
        facts += [("not applicable", self.missing)] if self.missing else []
        if self.estimate is not None:
            one = self.estimate
            facts.append((one.name, f"{one.value:.4g} ({one.low:.4g} to {one.high:.4g})"))
        rows = [
            (one.name or ", ".join(map(str, one.values)), one.p_value) for one in self.hypotheses
        ]
        return summary(f"Evidence of {self.law}", facts, ("answer", "p-value"), rows)

    def to_dict(self) -> dict[str, Any]:
        """The evidence as plain values for JSON.

        Returns
        -------
        dict
            The keys are `law`, `claim`, `says`, `where`, `statistic`, `p_value` (of the least
            likely hypothesis), `hypotheses` and `estimate`. What is not finite is null.
        """
        return {
            "law": self.law,
            "claim": self.claim,
            "says": self.says,
            "where": self.where,
            "statistic": _plain(self.statistic),
            "p_value": self.p_value,
            "hypotheses": [
                {"name": one.name or str(one.values[0]), "values": list(one.values),
                 "p_value": one.p_value}
                for one in self.hypotheses
            ],
            "estimate": self.estimate and {
                "name": self.estimate.name,
                "value": _plain(self.estimate.value),
                "low": _plain(self.estimate.low),
                "high": _plain(self.estimate.high),
            },
        }  # fmt: skip


def unable(law: str, claim: str, reason: str) -> Evidence:
    """The evidence of a law that cannot be applied, with the reason."""
    return Evidence(law, claim, f"{law}: not applicable, {reason}", missing=reason)


def _plain(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else float(number)
