"""How many steps a net was trained, from evidence or from claims."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from weightspace.audit.claims import Claims
from weightspace.audit.numbers import is_number
from weightspace.evidence import Context, Evidence
from weightspace.evidence.context import TRAIN_IMAGES
from weightspace.evidence.counters import averaged
from weightspace.evidence.counting import LAST

_EARLIEST = 0.1
"""The share of the claimed steps after which the earliest file is saved that people share."""


@dataclass(frozen=True)
class Steps:
    """A number of steps, from `low` to `high`, and the claims on which it rests."""

    low: float
    high: float
    given: tuple[str, ...] = ()


def exact_steps(evidence: Sequence[Evidence]) -> int | None:
    """The number of steps that evidence knows exactly; None if none does."""
    for one in evidence:
        found = one.estimate
        if found is None or found.name != "steps" or one.claim != "steps":
            continue
        if found.low == found.value == found.high:
            return int(found.value)
    return None


def known_steps(claims: Claims, evidence: Sequence[Evidence], context: Context) -> Steps | None:
    """The number of steps, by evidence first, then by claims; None if nothing says it.

    What counts passes counts all that a step gathers. So a smaller number of steps that is claimed
    is possible, too, and so is that which a claim of gathered gradients leaves. A larger one is
    possible where running statistics were made anew. Where nothing counts, the file may be of an
    earlier step than the last, unless it is claimed that it is not. An average of nets has shrunk
    as some earlier step has.

    Parameters
    ----------
    claims : Claims
        What is claimed: steps, or epochs and batch size.
    evidence : sequence of Evidence
        What is known of the net.
    context : Context
        What is known beside it: the user's data.

    Returns
    -------
    Steps or None
    """
    found = _counted_or_claimed(claims, evidence, context)
    if found is None or not averaged(context):
        return found
    given = ("weight_averaging",) if claims.get("weight_averaging") is True else ()
    return Steps(0.0, found.high, (*found.given, *given))


def _counted_or_claimed(
    claims: Claims, evidence: Sequence[Evidence], context: Context
) -> Steps | None:
    claimed, gathered = claims.get("steps"), claims.get("gradient_accumulation")
    passes = max(1.0, float(gathered)) if is_number(gathered) else 1.0
    if (exact := exact_steps(evidence)) is not None:
        other = float(claimed) if is_number(claimed) else exact
        given = ("steps",) if other != exact else ()
        return Steps(min(exact, other) / passes, max(exact, other), given)
    if is_number(claimed):
        return _or_sooner(Steps(float(claimed), float(claimed), ("steps",)), claims)
    told = _of_epochs(claims, context, passes)
    return None if told is None else _or_sooner(told, claims)


def _or_sooner(found: Steps, claims: Claims) -> Steps:
    """The claimed steps, or those of an earlier file, such as that of the best epoch.

    Nothing counts them here. So only a claim that the file is the end of the training excludes it.
    """
    if claims.get("checkpoint") == LAST:
        return replace(found, given=(*found.given, "checkpoint"))
    epochs = claims.get("epochs")
    share = 1 / float(epochs) if is_number(epochs) and epochs > 1 else _EARLIEST
    return replace(found, low=found.low * share)


def _of_epochs(claims: Claims, context: Context, passes: float) -> Steps | None:
    epochs, size = claims.get("epochs"), claims.get("batch_size")
    images, name = _images(claims, context)
    if not is_number(epochs) or not is_number(size) or not images:
        return None
    times, batch = float(epochs), float(size)
    given = ("epochs", "batch_size", *([name] if name else []))
    low, high = min(images), max(images)
    low, high = math.floor(low / batch), math.ceil(high / batch)
    return Steps(times * low / passes, times * high, given)


def _images(claims: Claims, context: Context) -> tuple[tuple[int, ...], str]:
    """The numbers of training images that are possible, and the claim that says so."""
    if is_number(claimed := claims.get("train_images")):
        return (int(claimed),), "train_images"
    if known := TRAIN_IMAGES.get(str(claims.get("dataset"))):
        return known, "dataset"
    if context.images is not None:
        return (len(context.images.x_train),), ""
    return (), ""
