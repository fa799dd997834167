"""`ImageSet`: images with labels, and the check that four arrays fit together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from weightspace.errors import DataError


@dataclass(frozen=True)
class ImageSet:
    """Images and labels for training and test.

    Attributes
    ----------
    name : str
        The name of the set.
    x_train, x_test : ndarray of uint8 or float32, shape (N, H, W, C) or (N, F)
        Images, C = 1 or 3; or numbers, which nets get as they are: images, or rows of a table.
    y_train, y_test : ndarray of int64, shape (N,)
        Labels from 0 to len(classes) - 1.
    classes : tuple of str
        The name of each label.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: tuple[str, ...]


class Arrays(NamedTuple):
    """What a reader returns: images [N, H, W] or [N, H, W, C], rows [N, F], labels integer [N]."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class Sizes(NamedTuple):
    """What headers state: the numbers of images, and (rows, columns, channels) or (features,)."""

    train: int
    test: int
    shape: tuple[int, ...]


def assemble(
    name: str, where: object, arrays: Arrays, classes: Sequence[str] | None = None
) -> ImageSet:
    """Make an image set of arrays; DataError if an array breaks a rule.

    Without `classes` the labels are their own names, and each of 0 .. K-1 must occur in training.
    """
    x_train, x_test = (
        _images(where, part, x)
        for part, x in (("x_train", arrays.x_train), ("x_test", arrays.x_test))
    )
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            where,
            f"x_train has images of {_times(x_train.shape[1:])}, x_test of "
            f"{_times(x_test.shape[1:])}",
            "bring both to one size",
        )
    y_train = _labels(where, "y_train", arrays.y_train, len(x_train))
    y_test = _labels(where, "y_test", arrays.y_test, len(x_test))
    if classes is None:
        # Check before making names: a wrong label of 2**40 must not become 2**40 names.
        found = np.unique(y_train)
        if found[-1] != len(found) - 1:
            gap = int(np.argmax(found != np.arange(len(found))))
            raise DataError(
                where,
                f"y_train goes up to {found[-1]} but label {gap} never occurs",
                "number the classes 0, 1, 2, ... without gaps",
            )
        classes = [str(label) for label in range(len(found))]
    for part, labels in (("y_train", y_train), ("y_test", y_test)):
        if labels.max() >= len(classes):
            raise DataError(
                where,
                f"{part} holds label {labels.max()}, but there are {len(classes)} classes",
                f"labels must be 0..{len(classes) - 1}",
            )
    return ImageSet(name, x_train, y_train, x_test, y_test, tuple(classes))


def image_shape(
    where: object, what: str, shape: tuple[int, ...], dtype: np.dtype
) -> tuple[int, ...]:
    """(N, rows, columns, channels) of the image array `what` in `where`, a file or a name.

    Of an array of float32 with two axes it is (N, features).
    """
    if dtype not in (np.uint8, np.float32):
        raise DataError(
            where, f"{what} is {dtype}", "images must be uint8, 0..255, and other numbers float32"
        )
    if dtype == np.float32 and len(shape) == 2 and 0 not in shape:
        return shape
    if len(shape) == 3:
        shape = (*shape, 1)
    if len(shape) != 4 or shape[3] not in (1, 3):
        raise DataError(
            where,
            f"{what} has shape {list(shape)}",
            "images must be [N, H, W] or [N, H, W, C] with C = 1 or 3",
        )
    if 0 in shape:
        raise DataError(where, f"{what} has shape {list(shape)}: no images", "give at least one")
    return shape


def _images(where: object, what: str, x: np.ndarray) -> np.ndarray:
    x = x.reshape(image_shape(where, what, x.shape, x.dtype))
    if x.dtype != np.uint8 and not np.isfinite(x).all():
        raise DataError(where, f"{what} holds NaN or infinity", "replace them")
    return x


def _labels(where: object, what: str, y: np.ndarray, images: int) -> np.ndarray:
    if y.dtype.kind not in "iu":
        raise DataError(where, f"{what} is {y.dtype}", "labels must be whole numbers")
    if y.shape != (images,):
        raise DataError(
            where,
            f"{what} has shape {list(y.shape)} for {images:,} images",
            "give one label for each image",
        )
    if y.min() < 0:
        raise DataError(where, f"{what} holds label {y.min()}", "labels must start at 0")
    if y.max() > np.iinfo(np.int64).max:
        raise DataError(where, f"{what} holds label {y.max()}", "labels must be 0..classes-1")
    return y.astype(np.int64)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
