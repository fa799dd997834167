"""`split`: which images of the training set are used for training and which for validation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from weightspace.errors import UsageError
from weightspace.images.imageset import ImageSet


def split(
    image_set: ImageSet, train_images: int, validation_fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of the training set, and hold a fraction of them out for validation.

    Both draws are stratified: each class gives images in proportion to its size, up to one image.
    The result depends only on the labels, the numbers and the seed.

    Parameters
    ----------
    image_set : ImageSet
        The image set.
    train_images : int
        The number of images that are used, including those for validation; 0 means all.
    validation_fraction : float
        The share for validation, from 0 up to, not including, 1.
    seed : int
        A whole number from 0.

    Returns
    -------
    train, validation : ndarray of int64
        Disjoint positions in `x_train`, each in random order.

    Raises
    ------
    UsageError
        If the set has too few images.

    Examples
    --------
    >>> from weightspace.images import load
    >>> train, validation = split(load("digits"), train_images=100, validation_fraction=0.2, seed=0)
    >>> len(train), len(validation)
    (80, 20)
    """
    labels, name = image_set.y_train, image_set.name
    wanted = train_images or len(labels)
    if wanted < 0 or wanted > len(labels):
        raise UsageError(
            "train_images",
            f"{wanted:,} asked of {name}, which has {len(labels):,} training images",
            "ask for fewer, or 0 for all",
        )
    if not 0 <= validation_fraction < 1:
        raise UsageError(
            "validation_fraction", f"{validation_fraction} is not from 0 up to, not including, 1"
        )
    present, sizes = np.unique(labels, return_counts=True)
    taken = shares(sizes, wanted)
    if taken.min() < 1:
        raise UsageError(
            "train_images",
            f"{wanted:,} of {name} are too few for one image of each of its {len(present)} classes",
            f"the rarest has {sizes.min():,} of {len(labels):,} images",
        )
    # Each class keeps at least one training image.
    held = np.minimum(shares(taken, round(wanted * validation_fraction)), taken - 1)
    if validation_fraction > 0 and held.sum() == 0:
        raise UsageError(
            "validation_fraction",
            f"{validation_fraction} of {wanted:,} images of {name} leaves none to validate on",
            "raise it, or train_images",
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


def shares(sizes: np.ndarray, total: int) -> NDArray[np.int64]:
    """Divide `total` in proportion to `sizes` by largest remainder; int64, sums to `total`."""
    exact: NDArray[np.float64] = sizes * (total / sizes.sum())
    dealt = np.floor(exact + 1e-9).astype(np.int64)
    # A stable sort, so that the earlier class wins if remainders are equal.
    order = np.argsort(-(exact - dealt), kind="stable")
    dealt[order[: total - dealt.sum()]] += 1
    return dealt
