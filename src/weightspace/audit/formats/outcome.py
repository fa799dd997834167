"""`Outcome`: the audit of one file, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weightspace.audit.auditing import Audit, Readings
from weightspace.audit.rules.counting import JOINT
from weightspace.audit.strength import number
from weightspace.audit.verdicts import Verdict


@dataclass(frozen=True)
class Outcome:
    """The audit of one file, or why it cannot be read.

    Attributes
    ----------
    file : str
        The file.
    audit : Audit or None
        None if it cannot be read.
    error : str
        Why it cannot be read; "" if it can.
    card : str
        The card with the claims, such as "README.md"; "" if there is none.
    """

    file: str
    audit: Audit | None = None
    error: str = ""
    card: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain values; of a file that cannot be read, `file` and `error`."""
        if self.audit is None:
            return {"file": self.file, "error": self.error}
        return self.audit.to_dict()


_ORDER = ("contradicted", "consistent", "undecidable")


def in_order(audit: Audit) -> list[Verdict]:
    """The verdicts, those on contradicted claims first."""
    return sorted(audit.verdicts, key=lambda one: _ORDER.index(one.verdict))


def headline(audit: Audit) -> str:
    """One line that says how many claims are contradicted, consistent and undecidable."""
    counts = {word: sum(one.verdict == word for one in audit.verdicts) for word in _ORDER}
    if not audit.verdicts:
        return "no claims"
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def reason(verdict: Verdict) -> str:
    """The sentence of the decisive evidence, and on what it rests; "" if there is none."""
    if not verdict.bearings or verdict.verdict == "undecidable":
        return ""
    said = verdict.bearings[0].evidence.says
    if not verdict.given or verdict.claim.name == JOINT:
        return said
    given = " and ".join(verdict.given)
    return f"{said} (if {given} {'is' if len(verdict.given) == 1 else 'are'} as claimed)"


def value_of(verdict: Verdict) -> str:
    """The claimed value, as people write it."""
    value = verdict.claim.value
    if verdict.claim.name == JOINT:
        return "together"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def readings_title(readings: Readings) -> str:
    """The heading of readings."""
    around = any(one["source"] == "population" for one in readings)
    return f"what {'a population around it' if around else 'the model'} reads off the weights"


def reading_text(one: Mapping[str, Any]) -> str:
    """What is read of a hyper-parameter, and how often such answers are right."""
    if one["value"] is None:
        return f"nothing: {one['reason']}"
    if one["source"] == "shapes":
        return f"{one['value']}, as the shapes show"
    if "low" in one:
        value, low, high = (number(one[key]) for key in ("value", "low", "high"))
        return (
            f"{value} ({low} to {high}, as for 90% of {one['n']} held-out nets); right to within a "
            f"factor of 2 for {one['accuracy']:.0%}"
        )
    right = ""
    if one["accuracy"] is not None:
        right = f": such answers were right for {one['accuracy']:.0%} of {one['n']} held-out nets"
    known = (
        ", if the net is of one of the values that the model knows" if one["conditional"] else ""
    )
    return f"{one['value']}{right}{known}"
