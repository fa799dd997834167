"""What initial weights make exact: how far layers moved, and what training added to column sums."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from weightspace.evidence.altered import altered, rounding
from weightspace.evidence.initial_vector import InitialVector
from weightspace.evidence.learned import independent_of_growth
from weightspace.evidence.losses import ADAPTIVE, UNLESS, families
from weightspace.evidence.matching import LEAST
from weightspace.evidence.record import Estimate, Evidence, Hypothesis
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.evidence.subject import Layer, Subject

LAW = "initial weights by seed"

_KEPT = 0.01  # drift up to which column sums agree with a linear optimizer, in low precision too
_CHANGED = 0.05  # drift from which on they do not
_EXACT = 1e-3  # drift up to which the slope is read as weight decay
_IMPOSSIBLE = 1e-9  # of a linear optimizer that moved sums beyond rounding
_MOST = 2**22  # values of an output layer whose sums are compared, at most
_COMPARED = 2**20  # values of a tensor whose displacement is measured, at most
_LEAST_ERROR = 2e-6  # standard error of a slope at least: rounding need not be independent of sums
_SMALLEST = 1e-4  # displacement, relative to the initial weights, from which sums are looked at
_SEEN = 3.0  # standard errors of the slope from which on the sums surely began as known ones
_LEARNED = 0.01  # the p-value below which sums are said to have moved with what was learned
_MOST_INPUTS = 2048  # of which it is asked whether sums moved with what was learned
_LISTED = 64  # layers whose displacement is listed


@dataclass(frozen=True)
class SumChange:
    """What training did to the column sums of an output layer whose initial weights are known.

    Attributes
    ----------
    slope : float
        By how much the sums are multiplied, by least squares.
    error : float
        The standard error of the slope.
    drift : float
        What is left of the sums, relative to what it were if units had moved independently: 0 for
        a linear optimizer, about 1 for an adaptive one.
    moved : float
        How far the weights moved, relative to their initial size.
    fit : float
        The p-value that what is left of the sums does not depend on how the weights moved; 1 if
        little is left.
    inputs : int
        How many inputs the layer has.
    """

    slope: float
    error: float
    drift: float
    moved: float
    fit: float
    inputs: int


def sum_change(now: NDArray[np.floating], first: NDArray[np.floating]) -> SumChange:
    """Compare the column sums of a kernel with those of its initial values.

    Parameters
    ----------
    now, first : ndarray, shape (outputs, inputs)
        The kernel, and its initial values.

    Returns
    -------
    SumChange
    """
    now, first = now.astype(np.float64), first.astype(np.float64)
    sums, before = now.sum(0), first.sum(0)
    slope = float(sums @ before / (before @ before))
    left = sums - slope * before
    moved = now - slope * first
    size = math.sqrt(float(np.mean(moved**2)))
    drift = math.sqrt(float(np.mean(left**2)) / len(now)) / size if size else 0.0
    spread = math.sqrt(float(left @ left) / max(len(left) - 1, 1))
    return SumChange(
        slope,
        max(spread / math.sqrt(float(before @ before)), _LEAST_ERROR),
        drift,
        size / math.sqrt(float(np.mean(first**2))),
        1.0 if drift < _CHANGED else _independence(left, moved),
        len(sums),
    )


def _independence(left: NDArray[np.float64], moved: NDArray[np.float64]) -> float:
    return independent_of_growth(left[:_MOST_INPUTS], moved[:, :_MOST_INPUTS])


def exact_column_sums(subject: Subject, initial: InitialVector) -> Iterator[Evidence]:
    """Evidence on the optimizer's family and on weight decay, from sums before and after."""
    layer = subject.output
    if layer is None or layer.weight not in initial.places:
        return
    # With two units the gradients of both are opposite, and every usual optimizer is odd.
    if layer.outputs < 3 or layer.inputs < 8 or math.prod(layer.shape) > _MOST:
        return
    first = initial.values(layer.weight).reshape(layer.shape)
    now, first = subject.weight(layer), first.T if layer.axes == "in out" else first
    if not np.isfinite(now).all():
        return
    change = sum_change(now, first)
    if change.moved < _SMALLEST:
        return
    if change.drift >= _KEPT and (altered(now) or change.slope < _SEEN * change.error):
        return  # a new head learns weights that resemble the old one's, but not their sums
    yield _family(layer, change)
    if change.drift < _EXACT:
        yield _decay(layer, change)


def _family(layer: Layer, change: SumChange) -> Evidence:
    learned = max(change.fit, _IMPOSSIBLE)
    linear = 1.0 if change.drift < _CHANGED else learned
    adaptive = min(1.0, 2 * change.drift)
    if change.drift < _KEPT:
        says = (
            f"the column sums of the output layer are those of its initial weights times "
            f"{change.slope:.5f}, to within {change.drift:.1e} of how far the weights moved, "
            "as an optimizer keeps them that is linear in the gradient"
        )
    elif change.drift < _CHANGED:
        says = (
            f"the column sums of the output layer moved by {change.drift:.1%} of what "
            f"independent units give, which fits neither family well"
        )
    elif learned < _LEARNED:
        says = (
            f"the column sums of the output layer moved by {change.drift:.0%} of what "
            f"independent units give, and with what was learned (p = {change.fit:.0e}): the "
            f"optimizer is adaptive{UNLESS}"
        )
    else:
        says = (
            f"the column sums of the output layer moved by {change.drift:.0%} of what "
            "independent units give, but not surely with what was learned: so do noise, the mean "
            "with another net, and units that were rescaled"
        )
    hypotheses = families(linear, adaptive, (*ADAPTIVE, "lion"))
    return Evidence(LAW, "optimizer", says, layer.weight, change.drift, hypotheses)


def _decay(layer: Layer, change: SumChange) -> Evidence:
    """Weight decay from the slope; rounding errors are those that the sums show."""
    freedom = change.inputs - 1
    reach = float(stdtrit(freedom, 0.995)) * change.error
    score = (1 - change.slope) / change.error
    none = max(2 * float(stdtr(freedom, -abs(score))), LEAST)
    # What decay has left may be no more than rounding: then there is no upper limit.
    value, least, most = (
        -math.log(slope) if slope > 0 else math.inf
        for slope in (
            max(change.slope, change.error), change.slope + reach, change.slope - reach
        )
    )  # fmt: skip
    hypotheses = (Hypothesis((0.0,), none, "no weight decay"),)
    estimate = Estimate(PRODUCT, max(value, 0.0), max(least, 0.0), max(most, 0.0))
    if none < 1e-3 and change.slope > 1:
        says = f"the output layer was multiplied by {change.slope:.6f}, as no weight decay does"
        return Evidence(LAW, "weight_decay", says, layer.weight, score)
    if none < 1e-3:
        says = (
            f"weight decay multiplied the output layer by {change.slope:.6f}, so that the sum of "
            f"weight_decay x learning_rate / (1 - momentum) over the steps is about {value:.2g}"
        )
    else:
        says = (
            "the column sums of the output layer show no weight decay: the sum of weight_decay x "
            f"learning_rate / (1 - momentum) over the steps is at most {max(most, 0.0):.1e}"
        )
    return Evidence(LAW, "weight_decay", says, layer.weight, score, hypotheses, estimate)


def displacements(subject: Subject, initial: InitialVector) -> Iterator[Evidence]:
    """How far each kernel moved from its initial values, and which never moved."""
    kernels = [layer.weight for layer in subject.layers][:_LISTED]
    found = {
        name: _displacement(subject, name, first)
        for name, first in initial.each(_COMPARED)
        if name in kernels
    }
    yield from (found[name] for name in kernels if name in found)


def _displacement(subject: Subject, name: str, first: NDArray[np.float32]) -> Evidence:
    rows = -(-first.size // math.prod(subject.shapes[name][1:]))
    read = subject.read(name, 0, rows).reshape(-1)[: first.size]
    now = read.astype(np.float64)
    before = first.astype(np.float64)
    moved = math.sqrt(float(np.sum((now - before) ** 2)) / float(np.sum(before**2)))
    still = bool((np.abs(now - before) <= rounding(read) * np.abs(before) + 1e-12).all())
    says = (
        f"{name} still has its initial values: it was never trained"
        if still
        else f"{name} moved by {moved:.1%} of the size of its initial values"
    )
    estimate = Estimate("relative displacement", moved, moved, moved)
    return Evidence(LAW, "displacement", says, name, moved, (), estimate)
