"""Weight decay from how far the weights shrank, given rate, momentum and steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from weightspace.audit.claims import Claims
from weightspace.audit.findings import shown
from weightspace.audit.numbers import is_number, p_of
from weightspace.audit.rules.steps import known_steps
from weightspace.audit.strength import number
from weightspace.audit.verdicts import LEVEL, Derived
from weightspace.evidence import Context, Estimate, Evidence, Hypothesis
from weightspace.evidence.shrinkage import PRODUCT, PRODUCT_OF_NORMED, shrinkage

PRODUCTS = {PRODUCT: 0.0, PRODUCT_OF_NORMED: 1e-3}
"""What laws call the shrinkage, and the least p-value of one that gives no p-value of its own."""
_BY_SCALE = ("column sums", "still directions", "inputs that never vary", "unused rows")
"""Laws that compare the scale of weights with those of usual initializations."""
_OTHER_SCALE = 0.02
"""The least p-value of what they say. So often people draw the first weights at a scale of their
own, such as 0.001 times normal numbers, which looks as weights that decayed."""
_ONE_SCALE = "torch_default"
"""The initialization whose scale nobody chooses."""
_LINEAR = ("sgd", "momentum", "nesterov")
_MEAN_RATE = {
    "constant": (0.95, 1.05), "linear": (0.2, 1.0), "cosine": (0.2, 1.0), "step": (0.01, 1.0),
    "exponential": (0.01, 1.0), "plateau": (0.01, 1.0),
}  # fmt: skip
"""The learning rate in units of the claimed one, by schedule: the least mean, and the most."""
_ANY_SCHEDULE = (0.01, 10.0)
"""The same where no schedule is claimed: one that rises may start a tenth below its top."""
_FITS = 0.01
_RIVALS = (1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2, 5e-2)


@dataclass(frozen=True)
class Pace:
    """How fast a weight decay shrinks weights, as other claims have it, and which they are.

    Each of `rates`, `momenta` and `steps` is the least and the greatest that is possible.
    """

    rates: tuple[float, float]
    momenta: tuple[float, float]
    steps: tuple[float, float]
    given: tuple[str, ...]

    def of(self, decay: float) -> tuple[float, float]:
        """Minus the logarithm of what a weight decay leaves, from what to what.

        Among rates of one mean, a constant one shrinks weights least. Who claims a momentum may
        have used Nesterov's.
        """
        each = [
            tuple(
                shrinkage(rate * decay, momentum, steps, nesterov=nesterov)
                for rate, steps in zip(self.rates, self.steps, strict=True)
            )
            for momentum, nesterov in product(self.momenta, (False, True))
        ]
        return min(slow for (slow, _), _ in each), max(fast for _, (_, fast) in each)


def from_product(
    claims: Claims, evidence: Sequence[Evidence], context: Context
) -> Iterator[Derived]:
    """Evidence on the weight decay from an estimate of the shrinkage.

    No weight decay means a shrinkage of 0, whatever the rate. That of any other value also depends
    on the claimed learning rate, momentum and steps, on the schedule, and holds for optimizers that
    are linear in the gradient.

    Yields
    ------
    Derived
    """
    claimed = claims.get("weight_decay")
    if not is_number(claimed):
        return
    decay = float(claimed)
    pace = _pace(claims, evidence, context)
    one_scale = claims.get("initialization") == _ONE_SCALE
    for one in evidence:
        estimate = one.estimate
        if estimate is None or estimate.name not in PRODUCTS or one.missing:
            continue
        if estimate.low == estimate.high:
            continue  # no measured shrinkage is exact; this one was cut off at 0
        least = 0.0
        if one.law in _BY_SCALE:
            least = 0.0 if one_scale else _OTHER_SCALE
        found = (
            _of_none(one, estimate, pace, least)
            if decay == 0
            else [_of_some(one, estimate, decay, pace, least)]
        )
        rests = ("initialization",) if one_scale and one.law in _BY_SCALE else ()
        yield from (replace(each, given=(*each.given, *rests)) for each in found)


def _of_none(
    one: Evidence, estimate: Estimate, pace: Pace | None, least: float
) -> Iterator[Derived]:
    """Evidence on no weight decay: nothing shrank, and some weight decays would shrink more."""
    says = f"{one.says}: {estimate.name} is {shown(estimate)}"
    own = _own(one)
    none = _floored(one, p_of(estimate, 0.0), least) if own is None else own
    rivals = () if pace is None or none < LEVEL else _ruled_out(one, estimate, pace, least)
    if own is None or rivals:
        found = replace(one, claim="weight_decay", says=says, estimate=None)
        given = pace.given if pace is not None and rivals else ()
        yield Derived(replace(found, hypotheses=(Hypothesis((0.0,), none), *rivals)), given)


def _of_some(
    one: Evidence, estimate: Estimate, decay: float, pace: Pace | None, least: float
) -> Derived:
    """Evidence on some weight decay: the shrinkage is what it makes with the other claims."""
    says = f"{one.says}: {estimate.name} is {shown(estimate)}"
    own = _own(one)
    none = _floored(one, p_of(estimate, 0.0), least) if own is None else own
    hypotheses = [Hypothesis((0.0,), none, "no weight decay")]
    if pace is None:
        says += "; with claims of learning_rate and steps this would be a weight decay"
    else:
        low, high = pace.of(decay)
        says += f"; {number(decay)} {_would_shrink(low, high)}"
        p_value = _floored(one, _p_of_range(estimate, low, high), least)
        hypotheses.insert(0, Hypothesis((decay,), p_value))
    found = replace(one, claim="weight_decay", says=says, estimate=None)
    given = () if pace is None else pace.given
    return Derived(replace(found, hypotheses=tuple(hypotheses)), given)


def _would_shrink(low: float, high: float) -> str:
    if math.isinf(high):
        return "may shrink weights by any factor, as they swing about 0"
    return f"would shrink weights as if it were {number(low)} to {number(high)}"


def _own(one: Evidence) -> float | None:
    """The p-value that the law itself gives to no weight decay; None if it gives none."""
    covering = [h.p_value for h in one.hypotheses if 0.0 in h.values]
    return max(covering) if one.claim == "weight_decay" and covering else None


def _floored(one: Evidence, p_value: float, least: float) -> float:
    """A p-value from an interval, which is never less than what the law trusts itself.

    A law whose assumptions may fail gives no p-value below how often they do. Where no weight decay
    fits, it does not say how often.
    """
    assert one.estimate is not None
    own = _own(one)
    floor = own if own is not None and own < _FITS else PRODUCTS[one.estimate.name]
    return max(p_value, floor, least)


def _pace(claims: Claims, evidence: Sequence[Evidence], context: Context) -> Pace | None:
    """The pace of a weight decay; None if the claims do not tell it."""
    rate, optimizer = claims.get("learning_rate"), claims.get("optimizer")
    steps = known_steps(claims, evidence, context)
    if not is_number(rate) or steps is None or optimizer not in (None, *_LINEAR):
        return None
    momentum, schedule = claims.get("momentum"), claims.get("schedule")
    # Who says nothing of momentum may have used some.
    momenta = (float(momentum), float(momentum)) if is_number(momentum) else (0.0, 0.99)
    slow, fast = _MEAN_RATE.get(str(schedule), _ANY_SCHEDULE)
    given = ["learning_rate", *(["momentum"] if momentum is not None else []), *steps.given]
    if schedule is not None:
        given.append("schedule")
    rates = (slow * float(rate), fast * float(rate))
    return Pace(rates, momenta, (steps.low, steps.high), tuple(given))


def _p_of_range(estimate: Estimate, low: float, high: float) -> float:
    """The p-value of the best number in a range."""
    if low <= estimate.value <= high:
        return 1.0
    return p_of(estimate, low if estimate.value < low else high)


def _ruled_out(
    one: Evidence, estimate: Estimate, pace: Pace, least: float
) -> tuple[Hypothesis, ...]:
    """Usual weight decays that are not 0, each with its p-value."""
    judged = (
        Hypothesis((decay,), _floored(one, _p_of_range(estimate, *pace.of(decay)), least))
        for decay in _RIVALS
    )
    return tuple(one for one in judged if one.p_value < LEVEL)
