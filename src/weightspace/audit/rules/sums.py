"""The family of optimizers from column sums, given the loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightspace.audit.claims import Claims
from weightspace.audit.verdicts import Derived
from weightspace.evidence import Context, Evidence, Hypothesis
from weightspace.evidence.losses import AS_BEGUN, AS_SAID, FROM_ZERO, LINEAR, SOFTMAX

_KEEPING = ("none", "softmax")
"""Activations of the outputs that leave the gradients of the logits with a sum of 0."""


def from_sums(claims: Claims, evidence: Sequence[Evidence], context: Context) -> Iterator[Derived]:
    """What column sums say of the optimizer if the loss is softmax cross entropy.

    A linear optimizer is contradicted only if it is also claimed that nothing stands on the outputs
    and that no gradient was clipped by value. An adaptive one agrees with sums that changed if
    nothing else is said of these.

    Yields
    ------
    Derived
    """
    optimizer = claims.get("optimizer")
    if optimizer is None or claims.get("loss") != SOFTMAX:
        return
    head, clipped = _head(claims), _clipping(claims)
    if None in (head, clipped) or (optimizer in LINEAR and not (head and clipped)):
        return
    given = ("loss", *(head or ()), *(clipped or ()))
    for one in evidence:
        exact = next((h.p_value for h in one.hypotheses if h.name == AS_SAID), None)
        if one.claim == "optimizer" and exact is not None:
            rest = tuple(h for h in one.hypotheses if h.values and h.values != LINEAR)
            exact, more = _from_start(claims, one, exact)
            linear = Hypothesis(LINEAR, exact, "linear")
            yield Derived(replace(one, hypotheses=(linear, *rest)), (*given, *more), sharper=True)


def _from_start(claims: Claims, one: Evidence, exact: float) -> tuple[float, tuple[str, ...]]:
    """The p-value of a linear optimizer by what is claimed of the start, and these claims.

    Of several p-values the smallest counts, times their number.
    """
    possible: list[tuple[float, tuple[str, ...]]] = [(exact, ())]
    for hypothesis in one.hypotheses:
        if hypothesis.name == AS_BEGUN and "initialization" in claims.values:
            possible.append((hypothesis.p_value, ("initialization",)))
        if hypothesis.name == FROM_ZERO and claims.get("bias_initialization") == "zeros":
            possible.append((hypothesis.p_value, ("bias_initialization",)))
    least, more = min(possible)
    return min(1.0, len(possible) * least), more


def _head(claims: Claims) -> tuple[str, ...] | None:
    """The claim that nothing stands on the outputs; () if none does, None if something stands."""
    said = claims.get("output_activation")
    if said is None:
        return ()
    return ("output_activation",) if said in _KEEPING else None


def _clipping(claims: Claims) -> tuple[str, ...] | None:
    """The claim that nothing was clipped by value; () if none says it, None if it was or may be."""
    how, most = claims.get("gradient_clipping_by"), claims.get("gradient_clipping")
    if how == "value":
        return None
    if how is not None:
        return ("gradient_clipping_by",)
    if most is None:
        return ()
    return None if most else ("gradient_clipping",)
