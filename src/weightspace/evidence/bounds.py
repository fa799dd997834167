"""Bounds of adaptive steps: how far a parameter can be from where it began."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from weightspace.evidence.context import Context
from weightspace.evidence.counters import averaged, counted
from weightspace.evidence.counting import began_elsewhere
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, Value, unable
from weightspace.evidence.subject import Subject

LAW = "bounds of steps"
_MOST_NORMS = 4096
_SPREAD = 0.1  # of scales at first: some nets begin them at random around 1
_USUAL_BETAS = ((0.9, 0.999), (0.9, 0.98), (0.9, 0.95), (0.9, 0.99), (0.95, 0.999), (0.5, 0.999))


@dataclass(frozen=True)
class Movement:
    """How far the norms have moved away from where they began, upwards for their scales."""

    scale: float
    scale_name: str
    shift: float
    shift_name: str

    @property
    def certain(self) -> tuple[float, str]:
        """The distance that no random start explains, and the tensor."""
        far = max(0.0, self.scale - _SPREAD)
        return (far, self.scale_name) if far > self.shift else (self.shift, self.shift_name)


def bound_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on the learning rate of adaptive optimizers from the scales and shifts of norms."""
    steps = _steps(subject, context)
    if steps is None:
        yield unable(LAW, "learning_rate", "the number of steps is neither counted nor claimed")
        return
    moved = movement(subject)
    if moved is None:
        yield unable(LAW, "learning_rate", "the net has no norms with scales or shifts")
        return
    if began_elsewhere(context.claims) or not moved.certain[0]:
        reason = "the norms have not moved" if not moved.certain[0] else (
            "the norms of a pretrained net began elsewhere"
        )  # fmt: skip
        yield unable(LAW, "learning_rate", reason)
        return
    yield _lower(moved, steps)
    yield from _claimed(moved, steps, context.claims)


def movement(subject: Subject) -> Movement | None:
    """How far scales lie above 1, and shifts from 0, at most.

    Decoupled weight decay pulls scales towards 0. So what lies below 1 says nothing.

    Returns
    -------
    Movement or None
        None if the net has no norms with scales or shifts.
    """
    names = [norm.names for layer in subject.layers for norm in layer.norms][:_MOST_NORMS]
    scales = [(float(subject.values(one["scale"]).max()) - 1, one["scale"])
              for one in names if "scale" in one and one["scale"] in subject.shapes]  # fmt: skip
    shifts = [(float(np.abs(subject.values(one["shift"])).max()), one["shift"])
              for one in names if "shift" in one and one["shift"] in subject.shapes]  # fmt: skip
    if not scales and not shifts:
        return None
    scale, shift = max(scales, default=(0.0, "")), max(shifts, default=(0.0, ""))
    found = Movement(max(0.0, scale[0]), scale[1], shift[0], shift[1])
    return found if math.isfinite(found.scale + found.shift) else None


def farthest(
    optimizer: str, steps: int, betas: tuple[float, float] | None = None, alpha: float = 0.99
) -> float | None:
    """How far an adaptive optimizer can move a parameter, in learning rates.

    Parameters
    ----------
    optimizer : str
        As recipes spell it.
    steps : int
        The number of steps.
    betas : tuple of float, optional
        Those of Adam and AdamW; by default the usual ones that allow most.
    alpha : float
        The decay of the mean square of RMSprop.

    Returns
    -------
    float or None
        An upper limit for any sequence of gradients; None for an optimizer whose steps have none.
    """
    match optimizer:
        case "adam" | "adamw":
            possible = _USUAL_BETAS if betas is None else (betas,)
            return max(_adam(steps, one, two) for one, two in possible)
        case "rmsprop":
            return steps / math.sqrt(1 - alpha)
        case "adagrad" | "lion":
            return float(steps)
    return None


def _adam(steps: int, one: float, two: float) -> float:
    """The sum of the longest steps of Adam, with its corrections of the first steps' bias.

    The mean of gradients and the root of their mean square are sums with weights a and b. By Cauchy
    and Schwarz, their ratio is at most the root of the sum of a^2 / b.
    """
    if not 0 <= one < 1 or not 0 <= two < 1 or one**2 >= two:
        return math.inf
    exact = np.arange(1, min(steps, 100_000) + 1, dtype=np.float64)
    ratio = one**2 / two
    squared = (
        (1 - one) ** 2 / (1 - one**exact) ** 2 * (1 - two**exact) / (1 - two)
        * (1 - ratio**exact) / (1 - ratio)
    )  # fmt: skip
    limit = max(squared.max(), (1 - one) ** 2 / (1 - two) / (1 - ratio))
    return float(np.sqrt(squared).sum() + (steps - exact.size) * math.sqrt(limit))


def _steps(subject: Subject, context: Context) -> int | None:
    """The number of steps that is claimed, and otherwise the one that is counted."""
    claimed = context.claims.get("steps")
    if isinstance(claimed, int) and not isinstance(claimed, bool) and claimed > 0:
        return claimed
    return None if averaged(context) else counted(subject)


def _lower(moved: Movement, steps: int) -> Evidence:
    far, name = moved.certain
    allowed = farthest("adam", steps, (0.9, 0.999))
    assert allowed is not None
    return Evidence(
        LAW,
        "learning_rate",
        f"{name} has moved by {far:.3g} or more in {steps:,} steps: the mean learning rate of an "
        f"adaptive optimizer would be about {far / steps:.1e} or more, {far / allowed:.1e} for "
        "sure",
        where=name,
        statistic=far,
        estimate=Estimate("least mean learning rate of Adam", far / steps, far / allowed, math.inf),
    )


def _claimed(moved: Movement, steps: int, claims: Mapping[str, Value]) -> Iterator[Evidence]:
    """Whether a claimed learning rate of a claimed optimizer can have moved the norms so far."""
    rate, optimizer = claims.get("learning_rate"), str(claims.get("optimizer", ""))
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not rate > 0:
        return
    one, two = claims.get("beta1"), claims.get("beta2")
    known = isinstance(one, float | int) and isinstance(two, float | int)
    alpha = claims.get("alpha", 0.99)
    allowed = farthest(
        optimizer,
        steps,
        (float(one), float(two)) if known else None,  # type: ignore[arg-type]
        float(alpha) if isinstance(alpha, float | int) and 0 <= alpha < 1 else 0.99,
    )
    if allowed is None or (optimizer == "rmsprop" and claims.get("momentum")):
        return
    far, name = moved.certain
    possible = far <= rate * allowed * (1 + 1e-5)
    verb = "can" if possible else "cannot"
    yield Evidence(
        LAW,
        "learning_rate",
        f"{steps:,} steps of {optimizer} with a learning rate of {rate:g} {verb} move {name} by "
        f"{far:.3g}; {rate * allowed:.3g} is the farthest",
        where=name,
        statistic=far / (rate * allowed),
        hypotheses=(Hypothesis((rate,), 1.0 if possible else 0.0, f"with {optimizer}"),),
    )
