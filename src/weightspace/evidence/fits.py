"""`fits`: every number of images, batch size and number of epochs that makes a number of steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from weightspace.evidence.context import TRAIN_IMAGES

MOST_EPOCHS = 2000
LARGEST_BATCH = 65_536
_USUAL_BATCHES = {64: 1.0, 32: 0.8, 128: 0.8, 256: 0.5, 16: 0.5, 100: 0.5, 4: 0.3, 8: 0.3,
                  512: 0.3, 10: 0.2, 50: 0.2, 1024: 0.2, 200: 0.1, 1000: 0.1, 20: 0.1}  # fmt: skip
_WHOLE = frozenset(numbers[0] for numbers in TRAIN_IMAGES.values())
_ROUND_EPOCHS = (10, 5, 20, 50, 100, 200, 300, 30, 15, 3, 25, 40, 60, 150, 1, 2, 12, 8, 90)


@dataclass(frozen=True)
class Fit:
    """A training that gives a number of steps.

    Attributes
    ----------
    images, batch_size, epochs : int
        So many images a pass, in batches of that size, passed that often.
    drop_last : bool or None
        Whether the last, smaller batch is left out; None where there is none.
    prior : float
        How usual it is, from 0 to 1; only its order means something.
    """

    images: int
    batch_size: int
    epochs: int
    drop_last: bool | None
    prior: float

    def __str__(self) -> str:
        last = {True: ", the last, smaller one left out", False: "", None: ""}[self.drop_last]
        passes = "1 epoch" if self.epochs == 1 else f"{self.epochs:,} epochs"
        return f"{passes} of {self.images:,} images in batches of {self.batch_size:,}{last}"


@dataclass(frozen=True)
class Images:
    """The numbers of images of which one epoch of some batch size has so many batches.

    Attributes
    ----------
    low, high : int
        The least and the greatest.
    epochs : int
        The number of epochs.
    batch_size : int or None
        The batch size; None if several fit.
    drop_last : bool or None
        Whether the last, smaller batch is left out; None if both fit.
    """

    low: int
    high: int
    epochs: int
    batch_size: int | None = None
    drop_last: bool | None = None


def fits(
    steps: int,
    images: Iterable[int],
    batch_size: Iterable[int],
    epochs: Iterable[int] | None = None,
    drop_last: bool | None = None,
) -> tuple[Fit, ...]:
    """All trainings of whole epochs that give a number of steps, the most usual first.

    Parameters
    ----------
    steps : int
        The number of steps, at least 1.
    images : iterable of int
        Numbers of training images that are possible.
    batch_size : iterable of int
        Batch sizes that are possible.
    epochs : iterable of int, optional
        Numbers of epochs that are possible; by default 1 to 2,000.
    drop_last : bool, optional
        Whether the last, smaller batch is left out; by default both are possible.

    Returns
    -------
    tuple of Fit

    Examples
    --------
    >>> str(fits(9380, images=(60_000,), batch_size=(32, 64))[0])
    '10 epochs of 60,000 images in batches of 64'
    """
    sizes, numbers = sorted(set(batch_size)), sorted(set(images))
    found = [
        Fit(number, size, passes, last, _prior(number, size, passes, last is True))
        for passes in _divisors(steps, epochs)
        for number in numbers
        for size in sizes
        for last in _ways(number, size, steps // passes)
        if drop_last is None or last in (None, drop_last)
    ]
    return tuple(sorted(found, key=lambda fit: -fit.prior))


def images_that_fit(
    steps: int, batch_size: int, epochs: int, drop_last: bool | None = None
) -> tuple[Images, ...]:
    """Which numbers of images give a number of steps, for a batch size and a number of epochs.

    Returns
    -------
    tuple of Images
        Empty if the number of epochs does not divide the number of steps.
    """
    if steps % epochs or not steps:
        return ()
    batches = steps // epochs
    found = []
    if drop_last is not True:
        low = batch_size * (batches - 1) + 1
        found.append(Images(low, batch_size * batches, epochs, batch_size, False))
    if drop_last is not False:
        low = batch_size * batches
        found.append(Images(low, low + batch_size - 1, epochs, batch_size, True))
    return tuple(found)


def batch_sizes_that_fit(
    batches: int, images: int, drop_last: bool | None = None
) -> tuple[tuple[int, int], ...]:
    """The ranges of batch sizes by which so many images make so many batches."""
    found = []
    if drop_last is not True and batches <= images:
        most = LARGEST_BATCH if batches == 1 else (images - 1) // (batches - 1)
        found.append((-(-images // batches), most))
    if drop_last is not False:
        found.append((images // (batches + 1) + 1, images // batches))
    return tuple((low, high) for low, high in found if 1 <= low <= high)


def batches_of(images: int, batch_size: int, drop_last: bool | None) -> tuple[int, ...]:
    """How many batches an epoch has: one number, or two if it is not known what is left out."""
    kept, whole = -(-images // batch_size), images // batch_size
    numbers = {True: (whole,), False: (kept,), None: (kept, whole)}[drop_last]
    return tuple(dict.fromkeys(number for number in numbers if number))


def _divisors(steps: int, epochs: Iterable[int] | None) -> Sequence[int]:
    possible: Iterable[int] = range(1, MOST_EPOCHS + 1) if epochs is None else epochs
    return [number for number in possible if number >= 1 and steps >= 1 and steps % number == 0]


def divisors(number: int) -> Iterator[int]:
    """All divisors of a number from 1 on, without order."""
    for one in range(1, math.isqrt(number) + 1):
        if number % one == 0:
            yield one
            if one * one != number:
                yield number // one


def _ways(images: int, size: int, batches: int) -> tuple[bool | None, ...]:
    """Whether the last batch is left out (None if it is whole), if so many batches fit at all."""
    whole, rest = divmod(images, size)
    if batches == whole:
        return (True if rest else None,)
    return (False,) if rest and batches == whole + 1 else ()


def _prior(images: int, size: int, epochs: int, left_out: bool) -> float:
    """How usual a training is: the product of what its parts are.

    All images of a published set count most, then usual batch sizes and numbers of epochs. Other
    numbers of epochs are those of the best epoch of a training, or the less usual the more they
    are. Few loops leave the last batch out.
    """
    number = 1.0 if images in _WHOLE else 0.4
    batch = _USUAL_BATCHES.get(size, 0.03)
    place = _ROUND_EPOCHS.index(epochs) if epochs in _ROUND_EPOCHS else -1
    length = 1 / (1 + 0.1 * place) if place >= 0 else 0.2 / (1 + epochs / 100)
    return number * batch * length * (0.15 if left_out else 1.0)
