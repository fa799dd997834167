"""Weight decay from the product that shrinks the weights, given rate, momentum and steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number, p_of
from weightspace.audit.rules.steps import known_steps
from weightspace.audit.strength import number
from weightspace.audit.verdicts import Derived
from weightspace.evidence import Context, Estimate, Evidence, Hypothesis

PRODUCT = "weight_decay x learning_rate x steps / (1 - momentum)"
_LINEAR = ("sgd", "momentum", "nesterov")
_MEAN_RATE = {
    "constant": (0.95, 1.05), "linear": (0.2, 1.0), "cosine": (0.2, 1.0), "step": (0.01, 1.0),
    "exponential": (0.01, 1.0), "plateau": (0.01, 1.0),
}  # fmt: skip
"""The mean of the learning rate in units of the claimed one, between what and what, by schedule."""
_ANY_SCHEDULE = (0.01, 10.0)
"""The same where no schedule is claimed: one that rises may start a tenth below its top."""
_RIVALS = (1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2)


def from_product(
    claims: Claims, evidence: Sequence[Evidence], context: Context
) -> Iterator[Derived]:
    """Evidence on the weight decay from an estimate of the product.

    No weight decay means a product of 0, whatever the rate. Any other value means a product that
    also depends on the claimed learning rate, momentum and steps, on the schedule, and holds for
    optimizers that are linear in the gradient.

    Yields
    ------
    Derived
    """
    claimed = claims.get("weight_decay")
    for one in evidence:
        estimate = one.estimate
        if estimate is None or estimate.name != PRODUCT or one.missing:
            continue
        none = p_of(estimate, 0.0)
        found = _factor(claims, evidence, context)
        if claimed is None or not is_number(claimed):
            continue
        says = f"{one.says}: the product is {_shown(estimate)}"
        if claimed == 0:
            rivals = () if found is None else _ruled_out(estimate, found[0])
            yield Derived(
                replace(one, says=says, claim="weight_decay", estimate=None, hypotheses=(
                    Hypothesis((0.0,), none), *rivals)),
                () if not rivals else found[1],  # type: ignore[index]
            )  # fmt: skip
        elif found is not None:
            low, high = (float(claimed) * factor for factor in found[0])
            says += f"; {number(float(claimed))} means {number(low)} to {number(high)}"
            p_value = _p_of_range(estimate, low, high)
            hypotheses = (
                Hypothesis((claimed,), p_value),
                Hypothesis((0.0,), none, "no weight decay"),
            )
            yield Derived(
                replace(one, says=says, claim="weight_decay", estimate=None, hypotheses=hypotheses),
                found[1],
            )
        else:
            says += "; claims of learning_rate and steps would turn it into a weight decay"
            yield Derived(
                replace(one, says=says, claim="weight_decay", estimate=None, hypotheses=(
                    Hypothesis((0.0,), none, "no weight decay"),)),
            )  # fmt: skip


def _factor(
    claims: Claims, evidence: Sequence[Evidence], context: Context
) -> tuple[tuple[float, float], tuple[str, ...]] | None:
    """The product in units of the weight decay, from what to what, and the claims it rests on."""
    rate, optimizer = claims.get("learning_rate"), claims.get("optimizer")
    steps = known_steps(claims, evidence, context)
    if not is_number(rate) or steps is None or optimizer not in (None, *_LINEAR):
        return None
    momentum = claims.get("momentum")
    given = ["learning_rate", *(["momentum"] if momentum is not None else []), *steps.given]
    if momentum is not None:
        least = most = float(momentum)
    else:
        least, most = 0.0, 0.99  # who says nothing of momentum may have used some
    schedule = claims.get("schedule")
    if schedule is not None:
        given.append("schedule")
    slow, fast = _MEAN_RATE.get(str(schedule), _ANY_SCHEDULE)
    rate = float(rate)  # type: ignore[arg-type]
    low = rate * steps.low / (1 - least) * slow
    high = rate * steps.high / (1 - most) * fast
    return (low, high), tuple(given)


def _p_of_range(estimate: Estimate, low: float, high: float) -> float:
    """The p-value of the best number in a range."""
    if low <= estimate.value <= high:
        return 1.0
    return p_of(estimate, low if estimate.value < low else high)


def _ruled_out(estimate: Estimate, factor: tuple[float, float]) -> tuple[Hypothesis, ...]:
    """Usual weight decays that are not 0, each with its p-value."""
    return tuple(
        Hypothesis((decay,), _p_of_range(estimate, decay * factor[0], decay * factor[1]))
        for decay in _RIVALS
    )


def _shown(estimate: Estimate) -> str:
    def end(value: float) -> str:
        return number(value) if math.isfinite(value) else "more"

    if estimate.low == estimate.high:
        return number(estimate.value)
    return f"{number(estimate.value)} ({end(estimate.low)} to {end(estimate.high)})"
