"""Counters of batch norms: the number of steps, and from it epochs, batch size and images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from weightspace.evidence.context import Context
from weightspace.evidence.counting import STRAY, Claimed, fits_with_test_batches, judge
from weightspace.evidence.fits import Fit
from weightspace.evidence.lengths import UNUSUAL, named, of_claims, of_fits, trainings
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, unable
from weightspace.evidence.subject import Subject

if TYPE_CHECKING:
    from weightspace.checkpoints import Inspection

LAW = "counters"
NONE = "no batch norm in the file counts its batches"
"""Why the law is missing where nothing counts."""
_LARGE = 1_000_000  # values of a net that is likely to have been pretrained
_COMMON = 0.1  # the prior of one that explains a number nearby, of which there are several
_BETTER = 5  # times as usual as any other way, for a finding


def counter_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence on steps, epochs, batch size and images, and on batch norms used wrongly."""
    if not subject.counters:
        yield unable(LAW, "steps", NONE)
        return
    yield from _differing(subject.counters)
    if averaged(context):
        yield unable(
            LAW, "steps",
            "the file holds an average of nets, whose counters may be averages, or made anew",
        )  # fmt: skip
        return
    steps = counted(subject)
    if steps is None:
        yield from _none(subject.counters)
        return
    found = trainings(steps, context)
    explained = named(found) or _beside(steps, context)
    yield Evidence(
        LAW,
        "steps",
        f"the batch norms have seen {steps:,} batches in training mode{explained}",
        statistic=float(steps),
        hypotheses=(Hypothesis((steps,), 1.0),),
        estimate=Estimate("steps", steps, steps, steps),
    )
    yield from of_fits(LAW, found)
    yield from _test_mode(steps, found, context)
    judged = judge(steps, context.claims, context, pretrained=subject.size >= _LARGE)
    yield from of_claims(LAW, steps, judged, context.claims)


def averaged(context: Context) -> bool:
    """Whether the net is said to be an average of several: by a claim, or by its file.

    Its counters are then averages too, or those of one pass in which running statistics were
    estimated anew. And its weights are those of some earlier step.
    """
    if context.claims.get("weight_averaging") is True:
        return True
    return context.inspection is not None and keeps_average(context.inspection)


def keeps_average(found: Inspection) -> bool:
    """Whether a file says that it holds an average, as torch's `AveragedModel` does."""
    return any(note.name.rpartition(".")[2] == "n_averaged" for note in found.left_out)


def counted(subject: Subject) -> int | None:
    """The number of steps that most batch norms have counted, without those that counted none.

    Returns
    -------
    int or None
        None if there is no such number, or two numbers are equally frequent.
    """
    frequent = Counter(n for n in subject.counters.values() if n > 0).most_common(2)
    if not frequent or (len(frequent) > 1 and frequent[0][1] == frequent[1][1]):
        return None
    return frequent[0][0]


def _none(counters: Mapping[str, int]) -> Iterator[Evidence]:
    if any(counters.values()):
        yield unable(LAW, "steps", "no number of batches is that of most batch norms")
        return
    says = "all batch norms have counted 0 batches"
    yield unable(LAW, "steps", says)
    yield Evidence(
        LAW, "batch_norm",
        f"{says}: the net never calls them, it was never in training mode, or a program wrote the "
        "file that keeps no counts",
    )  # fmt: skip


def _beside(steps: int, context: Context) -> str:
    """What the training may be if some of the passes are beside it."""
    says = ", which no usual training of whole epochs gives"
    for stray in range(1, min(STRAY, steps - 1) + 1):
        found = trainings(steps - stray, context)
        if found and found[0].prior >= _COMMON:
            return f"{says}; {steps - stray:,} are as many as {found[0]}"
    return says


def _test_mode(steps: int, found: tuple[Fit, ...], context: Context) -> Iterator[Evidence]:
    """A finding if the count is unusual but for test batches that were passed in training mode."""
    plain = found[0].prior if found else 0.0
    ways = fits_with_test_batches(steps, Claimed(), context)
    if ways and ways[0].prior > max(UNUSUAL, _BETTER * plain):
        yield Evidence(
            LAW,
            "batch_norm",
            f"the net may have been tested in training mode: {ways[0]}, and its test batches after "
            f"each epoch, give {steps:,}",
        )


def _differing(counters: Mapping[str, int]) -> Iterator[Evidence]:
    """A finding if the batch norms of a net have counted different numbers."""
    frequent = Counter(counters.values()).most_common()
    if len(frequent) < 2:
        return
    usual = next(number for number, _ in frequent if number)
    for number, times in frequent:
        if number == usual:
            continue
        name = next(name for name, count in counters.items() if count == number)
        some = f"{times:,} of {len(counters):,} batch norms, such as {name},"
        yield Evidence(
            LAW, "batch_norm",
            f"{some} counted {number:,} batches, most {usual:,}: {_why(number, usual)}",
            where=name, statistic=number / usual,
        )  # fmt: skip


def _why(number: int, usual: int) -> str:
    if number == 0:
        return "never in training mode, or not used"
    if number % usual == 0:
        return f"used {number // usual} times in each step"
    if usual % number == 0 and usual // number <= 4:
        return "the others are used several times in each step"
    if number < usual:
        return "in eval mode for a part of the training, or added later"
    return "trained before, or used more often"
