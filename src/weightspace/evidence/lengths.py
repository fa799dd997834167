"""What a number of steps says of a training: those that have as many, and claims against it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from weightspace.evidence.context import Context
from weightspace.evidence.counting import Claimed, Judged
from weightspace.evidence.fits import Fit, fits
from weightspace.evidence.record import Evidence, Hypothesis, Value

UNUSUAL = 0.01
"""The prior below which a fit is no explanation."""
_LISTED = 12  # fits
_OF: Mapping[str, Callable[[Fit], int]] = {
    "epochs": lambda fit: fit.epochs,
    "batch_size": lambda fit: fit.batch_size,
    "train_images": lambda fit: fit.images,
}


def trainings(steps: int, context: Context) -> tuple[Fit, ...]:
    """All trainings of whole epochs that have so many steps, of usual data sets and the user's.

    Parameters
    ----------
    steps : int
        The number of steps, at least 1.
    context : Context
        What is known beside the net.

    Returns
    -------
    tuple of Fit
        The most usual first.
    """
    own = () if context.images is None else (len(context.images.x_train),)
    return fits(steps, (*context.train_images, *own), context.batch_sizes)


def named(found: Sequence[Fit]) -> str:
    """What the most usual training is, as the end of a sentence; "" if none is usual."""
    if not found or found[0].prior < UNUSUAL:
        return ""
    more = len(found) - 1
    also = f"; {more:,} less usual ones have as many" if more else ""
    return f", as many as a training of {found[0]}{also}"


def of_fits(law: str, found: Sequence[Fit]) -> Iterator[Evidence]:
    """For each property, the values of all trainings, the most usual first.

    Parameters
    ----------
    law : str
        The law that counted the steps.
    found : sequence of Fit
        The trainings.

    Yields
    ------
    Evidence
    """
    for claim, get in _OF.items():
        values = tuple(dict.fromkeys(get(fit) for fit in found))[:_LISTED]
        if values:
            listed = ", ".join(f"{value:,}" for value in values)
            says = f"fit the number of batches, the most usual first: {listed}"
            alike = tuple(Hypothesis((value,), 1.0) for value in values)
            yield Evidence(law, claim, says, hypotheses=alike)


def of_claims(
    law: str, steps: int, found: Judged, claims: Mapping[str, Value]
) -> Iterator[Evidence]:
    """Whether the claims agree with the count; those that do not, each with the others' values.

    Parameters
    ----------
    law : str
        The law that counted the steps.
    steps : int
        How many steps were counted.
    found : Judged
        What they say of the claims.
    claims : dict of str to value
        The claims that were judged.

    Yields
    ------
    Evidence
    """
    if found.verdict == "consistent":
        claimed = [name for name in Claimed.of(claims).names if name in claims]
        way = str(found.fits[0]) if found.fits else "the counter itself"
        says = f"{_listed(claimed, claims)}: {way} gives {steps:,} steps"
        for name in claimed:
            if name != "dataset":
                yield _about(law, name, claims[name], 1.0, says)
    elif found.verdict == "contradicted":
        says = contradiction(steps, found, claims)
        alone = len(found.conflict) == 1
        for name in found.conflict:
            if alone:
                yield _about(law, name, claims[name], 0.0, says)
            else:
                yield Evidence(law, name, says)
    elif found.excuses:
        says = f"{steps:,} steps are not what is claimed, but {'; or '.join(found.excuses)}"
        for name in Claimed.of(claims).names:
            yield Evidence(law, name, says)


def contradiction(steps: int, found: Judged, claims: Mapping[str, Value]) -> str:
    """The sentence that says which claims cannot all be true, and what fits instead.

    Parameters
    ----------
    steps : int
        How many steps were counted.
    found : Judged
        The verdict, a contradiction.
    claims : dict of str to value
        The claims that were judged.

    Returns
    -------
    str
    """
    says = f"no training with {_listed(found.conflict, claims)} has {steps:,} batches"
    return f"{says}; {found.instead[0]} would" if found.instead else says


def _about(law: str, name: str, value: Value, p_value: float, says: str) -> Evidence:
    return Evidence(law, name, says, hypotheses=(Hypothesis((value,), p_value),))


def _listed(names: Iterable[str], claims: Mapping[str, Value]) -> str:
    return ", ".join(f"{name} {claims[name]}" for name in names)
