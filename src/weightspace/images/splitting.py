"""`split`: which images of the training set train and which validate."""

from __future__ import annotations

import numpy as np

from weightspace.errors import UsageError
from weightspace.images.imageset import ImageSet


def split(
    image_set: ImageSet, train_images: int, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw `train_images` of the training set and hold a fraction of them out for validation.

    Both draws are stratified: every class gives in proportion to its images, to within one image.
    The result depends on the labels, the numbers and the seed alone.

    Arguments: `train_images` counts the images used, validation included, 0 meaning all;
    `validation_fraction` from 0 up to, not including, 1; `seed` any whole number from 0.
    Returns: (train, validation), int64 positions in `x_train`, disjoint, each in random order.
    Raises: UsageError when the set has too few images for the request.
    """
    labels, name = image_set.y_train, image_set.name
    wanted = train_images or len(labels)
    if wanted < 0 or wanted > len(labels):
        raise UsageError(
            f"train_images: {wanted:,} asked of {name}, which has {len(labels):,} training images; "
            "ask for fewer, or 0 for all"
        )
    if not 0 <= validation_fraction < 1:
        raise UsageError(
            f"validation_fraction: {validation_fraction} is not from 0 up to, not including, 1"
        )
    present, sizes = np.unique(labels, return_counts=True)
    taken = shares(sizes, wanted)
    if taken.min() < 1:
        raise UsageError(
            f"train_images: {wanted:,} of {name} are too few for one image of each of its "
            f"{len(present)} classes; the rarest has {sizes.min():,} of {len(labels):,} images"
        )
    # Each class keeps at least one image to train on.
    held = np.minimum(shares(taken, round(wanted * validation_fraction)), taken - 1)
    if validation_fraction > 0 and held.sum() == 0:
        raise UsageError(
            f"validation_fraction: {validation_fraction} of {wanted:,} images of {name} leaves "
            "none to validate on; raise it, or train_images"
        )
    rng = np.random.default_rng([seed, 0x51717])
    train, validation = [], []
    for label, take, hold in zip(present, taken, held, strict=True):
        order = rng.permutation(np.flatnonzero(labels == label))
        validation.append(order[:hold])
        train.append(order[hold:take])
    return (
        rng.permutation(np.concatenate(train)).astype(np.int64),
        rng.permutation(np.concatenate(validation)).astype(np.int64),
    )


def shares(sizes: np.ndarray, total: int) -> np.ndarray:
    """`total` dealt out in proportion to `sizes` by largest remainder; int64, sums to `total`."""
    exact = sizes * (total / sizes.sum())
    dealt = np.floor(exact + 1e-9).astype(np.int64)
    # A stable sort: equal remainders go to the earlier class.
    order = np.argsort(-(exact - dealt), kind="stable")
    dealt[order[: total - dealt.sum()]] += 1
    return dealt
