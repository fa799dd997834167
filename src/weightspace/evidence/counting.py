"""`judge`: whether claims of steps, epochs, batch size and images agree with a count of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from weightspace.evidence.context import TRAIN_IMAGES, Context
from weightspace.evidence.fits import (
    LARGEST_BATCH,
    Fit,
    Images,
    batch_sizes_that_fit,
    batches_of,
    divisors,
    fits,
    images_that_fit,
)
from weightspace.evidence.record import Value

BEARING = ("steps", "epochs", "batch_size", "train_images", "drop_last")
TEST_IMAGES = {60_000: 10_000, 50_000: 10_000, 73_257: 26_032}
"""The test images of data sets of so many training images."""
FROM_SCRATCH = ("none", "no", "false", "scratch")
"""What a claim `pretrained_from` says of a net that was not pretrained."""
LAST = "last"
"""What a claim `checkpoint` says of a file that was saved when the training ended."""
STRAY = 3
"""The most passes that are beside a training: a look at the shapes, a first try."""
_TEST_BATCHES = (1000, 100, 64, 128, 32, 256, 10_000)
_LARGEST = 10**10  # steps: more would take too long to factorise, and no training has as many
_MOST_PASSES = 64  # of one step, or processes that share an epoch


@dataclass(frozen=True)
class Claimed:
    """What is claimed of a training's length, None where nothing is.

    `most` is the number of images that a claimed data set has, of which some may have been kept
    for validation. `augmented` says that images were augmented, and `last` that the file is the end
    of the training.
    """

    steps: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    train_images: int | None = None
    drop_last: bool | None = None
    most: int | None = None
    augmented: bool = False
    last: bool = False

    @classmethod
    def of(cls, claims: Mapping[str, Value]) -> Claimed:
        """The claims that bear on the number of steps; what is no whole number is left out."""
        numbers = {name: _whole(claims.get(name)) for name in BEARING[:4]}
        dropped = claims.get("drop_last")
        sizes = TRAIN_IMAGES.get(str(claims.get("dataset", "")))
        return cls(
            **numbers,
            drop_last=dropped if isinstance(dropped, bool) else None,
            most=max(sizes) if sizes else None,
            augmented=claims.get("augmentation") is True,
            last=claims.get("checkpoint") == LAST,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of what is claimed."""
        named = [name for name in BEARING if getattr(self, name) is not None]
        return (*named, *(["dataset"] if self.most is not None else []))

    def only(self, names: Sequence[str]) -> Claimed:
        """These claims alone."""
        fields = {"dataset": "most"}
        dropped = [fields.get(name, name) for name in self.names if name not in names]
        nothing: dict[str, Any] = dict.fromkeys(dropped)
        return replace(self, **nothing)


@dataclass(frozen=True)
class Judged:
    """How claims agree with a count of steps.

    Attributes
    ----------
    verdict : {"consistent", "contradicted", "undecidable"}
        Consistent if a usual training of whole epochs has all claimed values and that many steps;
        contradicted if none has, for any number of images, and none of the known excuses holds.
    fits : tuple of Fit
        The trainings with all claimed values, the most usual first.
    images : tuple of Images
        The numbers of images that would make the claims true, where these are not claimed.
    excuses : tuple of str
        What would make the claims true in another way, in words.
    conflict : tuple of str
        The fewest claims that cannot all be true; empty unless contradicted.
    instead : tuple of Fit
        The trainings that agree with all claims but those of epochs and steps; empty unless
        contradicted.
    """

    verdict: str
    fits: tuple[Fit, ...] = ()
    images: tuple[Images, ...] = ()
    excuses: tuple[str, ...] = ()
    conflict: tuple[str, ...] = ()
    instead: tuple[Fit, ...] = ()


def judge(
    steps: int,
    claims: Mapping[str, Value],
    context: Context | None = None,
    plain: bool = False,
    pretrained: bool = False,
    renewed: bool = False,
) -> Judged:
    """Whether claims agree with a number of forward passes in training mode, or of steps.

    Parameters
    ----------
    steps : int
        How many passes or steps were counted, at least 1.
    claims : dict of str to value
        `steps`, `epochs`, `batch_size`, `train_images`, `drop_last` and `dataset`. `checkpoint:
        last` says that the file is the end of the training; otherwise fewer whole epochs, or fewer
        steps, than claimed contradict nothing. `augmentation: true` allows more images than
        claimed. Others do not matter.
    context : Context, optional
        The numbers of images and batch sizes that are usual.
    plain : bool
        Whether each step is known to be one pass of one batch by one process. Otherwise several
        passes of a step, gathered gradients and processes that share an epoch excuse a claim.
    pretrained : bool
        Whether the net may have begun with the counter of another training. Then only fewer steps
        than claimed contradict. A claim `pretrained_from` says so, too.
    renewed : bool
        Whether it counts the steps of an optimizer, which may have been made anew during the
        training. Then only more steps than claimed contradict, and `plain` does not matter.

    Returns
    -------
    Judged
        "undecidable" if nothing that matters is claimed.

    Examples
    --------
    >>> judge(9380, {"epochs": 10, "batch_size": 64}).verdict
    'consistent'
    >>> judge(9380, {"epochs": 11, "checkpoint": "last"}).conflict
    ('epochs',)
    """
    asked, claimed = context or Context(), Claimed.of(claims)
    if not set(claimed.names) - {"dataset"} or not 1 <= steps <= _LARGEST:
        return Judged("undecidable")
    found = _plain(steps, claimed, asked)
    if found.verdict != "contradicted":
        return found
    if (pretrained or began_elsewhere(claims)) and not steps < (_least(claimed) or 0):
        return Judged("undecidable", excuses=("the count may have begun in another training",))

    def excused(part: Claimed) -> tuple[str, ...]:
        if renewed:
            return tuple(_of_steps(steps, part, asked))
        return tuple(_excuses(steps, part, asked, plain))

    excuses = excused(claimed)
    instead = _plain(steps, replace(claimed, epochs=None, steps=None), asked).fits
    if excuses:
        return Judged("undecidable", excuses=excuses, instead=instead)
    return replace(found, conflict=_conflict(steps, claimed, asked, excused), instead=instead)


def began_elsewhere(claims: Mapping[str, Value]) -> bool:
    """Whether it is claimed that the net was pretrained."""
    return str(claims.get("pretrained_from", "")).lower() not in ("", *FROM_SCRATCH)


def _least(claimed: Claimed) -> int | None:
    """The least number of steps that the claims allow; None if they leave it open."""
    epochs, size, images = claimed.epochs, claimed.batch_size, claimed.train_images
    if claimed.steps is not None or epochs is None or size is None or images is None:
        return claimed.steps
    return epochs * min(batches_of(images, size, claimed.drop_last), default=0)


def _most(claimed: Claimed) -> int | None:
    """The greatest number of steps that the claims allow; None if they leave it open."""
    epochs, size = claimed.epochs, claimed.batch_size
    images = claimed.train_images or claimed.most
    if claimed.steps is not None or epochs is None or size is None or images is None:
        return claimed.steps
    return epochs * max(batches_of(images, size, claimed.drop_last), default=0)


def _plain(steps: int, claimed: Claimed, asked: Context) -> Judged:
    """The verdict if every step was one batch of the training images, and every epoch whole."""
    if claimed.steps is not None and claimed.steps != steps:
        return Judged("contradicted")
    usual = _usual_images(claimed, asked)
    sizes = asked.batch_sizes if claimed.batch_size is None else (claimed.batch_size,)
    epochs = None if claimed.epochs is None else (claimed.epochs,)
    found = fits(steps, usual, sizes, epochs, claimed.drop_last)
    if found or not set(claimed.names) - {"steps", "dataset"}:
        return Judged("consistent", found)
    images = tuple(_images(steps, claimed))
    return Judged("undecidable" if images else "contradicted", images=images)


def _usual_images(claimed: Claimed, asked: Context) -> tuple[int, ...]:
    if claimed.train_images is not None:
        return (claimed.train_images,)
    own = () if asked.images is None else (len(asked.images.x_train),)
    most = claimed.most
    if most is None:
        return (*asked.train_images, *own)
    splits = next(sizes for sizes in TRAIN_IMAGES.values() if max(sizes) == most)
    return (*splits, *(number for number in own if number <= most))


def _images(steps: int, claimed: Claimed) -> Iterator[Images]:
    """The numbers of images, usual or not, of which a training has the claimed values."""
    fixed, size, dropped = claimed.train_images, claimed.batch_size, claimed.drop_last
    most = claimed.most or steps * LARGEST_BATCH
    for epochs in sorted(divisors(steps)) if claimed.epochs is None else (claimed.epochs,):
        batches, rest = divmod(steps, epochs)
        if rest:
            continue
        if size is not None:
            for found in images_that_fit(steps, size, epochs, dropped):
                low, high = max(found.low, fixed or 1), min(found.high, fixed or most)
                if low <= high:
                    yield replace(found, low=low, high=high)
        elif fixed is None:
            if batches <= most:
                yield Images(batches, min(most, batches * LARGEST_BATCH), epochs)
        elif batch_sizes_that_fit(batches, fixed, dropped):
            yield Images(fixed, fixed, epochs)


def _excuses(steps: int, claimed: Claimed, asked: Context, plain: bool) -> Iterator[str]:
    """Usual ways in which a true claim gives another count, of those that give this one."""
    for stray in range(1, min(STRAY, steps - 1) + 1):
        if _plain(steps - stray, claimed, asked).verdict != "contradicted":
            yield f"{stray} of the passes may not belong to the training, such as a look at shapes"
            break
    yield from _with_test_batches(steps, claimed, asked)
    yield from _unwhole(steps, claimed, asked)
    if not claimed.last:
        yield from _earlier(steps, claimed, asked)
    if claimed.augmented:
        yield from _with_more_images(steps, claimed, asked)
    if not plain:
        yield from _several(steps, claimed, asked)


def _of_steps(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """The same of the steps of an optimizer."""
    most = _most(claimed)
    if most is None or steps <= most:
        yield (
            "the optimizer may have been made anew during the training, a step may gather several "
            "batches, and the file may be of an earlier step"
        )
    elif claimed.augmented:
        yield from _with_more_images(steps, claimed, asked)


def _unwhole(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """A training that stopped within an epoch, or running statistics that were made anew."""
    epochs, size, images = claimed.epochs, claimed.batch_size, claimed.train_images
    if epochs is None:
        if claimed.steps in (None, steps) and size is not None and images is not None:
            yield "the training may have stopped within an epoch"
        return
    if claimed.steps == steps and size is not None and images is not None:
        whole = max(batches_of(images, size, claimed.drop_last), default=0)
        if (epochs - 1) * whole < steps < epochs * whole:
            yield f"the training may have stopped within epoch {epochs}"
    if epochs > 1 and claimed.steps is None:
        once = _plain(steps, replace(claimed, epochs=1), asked)
        if once.verdict == "consistent":
            yield "the running statistics may have been estimated anew, in one pass of the images"


def _earlier(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """A file that was saved before the training ended, as that of the best epoch is."""
    if claimed.steps is not None and steps < claimed.steps:
        yield f"the file may be that of step {steps:,} of {claimed.steps:,}"
        return
    for epochs in range((claimed.epochs or 1) - 1, 0, -1):
        sooner = replace(claimed, epochs=epochs, steps=None)
        if steps % epochs == 0 and _plain(steps, sooner, asked).verdict != "contradicted":
            yield f"the file may be that of epoch {epochs:,} of {claimed.epochs:,}"
            return


def _with_more_images(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """An epoch of more images than claimed, to which changed ones were added."""
    more = replace(claimed, train_images=None, most=None)
    number = claimed.train_images or claimed.most
    if number is None or _plain(steps, more, asked).verdict == "contradicted":
        return
    if all(one.high > number for one in _images(steps, more)):
        yield "augmented images may have been added to those of an epoch"


def _several(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """Several passes of a step, or several processes."""
    for times in range(2, _MOST_PASSES + 1):
        if steps % times == 0 and _consistent(steps // times, claimed, asked):
            yield f"each step may have {times} forward passes, or gather {times} small batches"
            break
    size = claimed.batch_size
    if size is None or claimed.steps not in (None, steps):
        return
    for times in range(2, _MOST_PASSES + 1):
        smaller = replace(claimed, batch_size=max(1, size // times))
        if size % times == 0 and claimed.steps is None and _consistent(steps, smaller, asked):
            yield f"each step may gather {times} batches of {size // times}"
            break
    for processes in (2, 4, 8, 16, 32, 64):
        if _consistent(steps, replace(claimed, batch_size=size * processes), asked):
            yield f"{processes} processes may have shared each epoch"
            break


def _consistent(steps: int, claimed: Claimed, asked: Context) -> bool:
    return _plain(steps, claimed, asked).verdict == "consistent"


def _with_test_batches(steps: int, claimed: Claimed, asked: Context) -> Iterator[str]:
    """Test or validation images that were passed in training mode, too."""
    if claimed.steps is not None:
        return
    for fit in fits_with_test_batches(steps, claimed, asked)[:1]:
        yield f"the net may never have been in eval mode: {fit}, and the test batches beside"
        return
    number = claimed.train_images or claimed.most
    if number is None or claimed.epochs is None or steps % claimed.epochs:
        return
    size = claimed.batch_size
    for own in asked.batch_sizes if size is None else (size,):
        batches = max(batches_of(number, own, claimed.drop_last), default=0)
        more = steps // claimed.epochs - batches
        if 0 < more <= _most_test_batches(number, own, batches):
            yield f"{more:,} batches of an epoch may be test batches, passed in training mode"
            return


def _most_test_batches(number: int, size: int, batches: int) -> int:
    """How many batches the test images are at most; of an unknown data set, those of training."""
    test = TEST_IMAGES.get(number)
    return batches if test is None else max(-(-test // one) for one in (size, *_TEST_BATCHES))


def fits_with_test_batches(steps: int, claimed: Claimed, asked: Context) -> tuple[Fit, ...]:
    """Trainings that give the count if each epoch passes the test images in training mode too.

    The test batches are as large as those of the training, or of a usual size.
    """
    found: dict[Fit, None] = {}
    sizes = asked.batch_sizes if claimed.batch_size is None else (claimed.batch_size,)
    for number in _usual_images(claimed, asked):
        test = TEST_IMAGES.get(number)
        for size in sizes if test else ():
            for batches in batches_of(number, size, claimed.drop_last):
                for own in dict.fromkeys((size, *_TEST_BATCHES)):
                    assert test is not None
                    epoch = batches + -(-test // own)
                    if steps % epoch or claimed.epochs not in (None, steps // epoch):
                        continue
                    epochs = (steps // epoch,)
                    weight = 1.0 if own == size else 0.2
                    found |= {
                        replace(fit, prior=fit.prior * weight): None
                        for fit in fits(batches * epochs[0], (number,), (size,), epochs)
                    }
    return tuple(sorted(found, key=lambda fit: -fit.prior))


def _conflict(
    steps: int, claimed: Claimed, asked: Context, excused: Callable[[Claimed], tuple[str, ...]]
) -> tuple[str, ...]:
    """The fewest claims that are contradicted together."""
    for number in range(1, len(claimed.names) + 1):
        for names in combinations(claimed.names, number):
            part = claimed.only(names)
            if set(names) == {"dataset"} or _plain(steps, part, asked).verdict != "contradicted":
                continue
            if not excused(part):
                return names
    return claimed.names


def _whole(value: Value | None) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 1 <= value < 2**53 and value == int(value) else None
