"""Rules by which claims and evidence together say something of another claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from weightspace.audit.claims import Claims
from weightspace.audit.rules.counting import from_count
from weightspace.audit.rules.decay import from_product
from weightspace.audit.rules.stored import from_state
from weightspace.audit.rules.sums import from_sums
from weightspace.audit.verdicts import Derived
from weightspace.evidence import Context, Evidence

Rule = Callable[[Claims, Sequence[Evidence], Context], Iterator[Derived]]

RULES: tuple[Rule, ...] = (from_state, from_count, from_product, from_sums)
"""Each is a function of the claims, the evidence, and what is known beside. To add one, write a
function in a module of this package and add it here."""


def derived_from(
    claims: Claims, evidence: Sequence[Evidence], context: Context
) -> tuple[Derived, ...]:
    """What follows from the claims and the evidence together, by all rules."""
    return tuple(found for rule in RULES for found in rule(claims, evidence, context))
