"""Image sets of the Hugging Face hub, named `hub:OWNER/NAME` or `hub:OWNER/NAME/CONFIG`."""

from __future__ import annotations

import importlib
import re
from collections import Counter
from typing import Any

import numpy as np

from weightspace.errors import DataError
from weightspace.images.imageset import Arrays
from weightspace.images.resizing import resample

PREFIX = "hub:"
_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)(?:/([\w.-]+))?")
_TEST_SPLITS = ("test", "validation", "valid", "val")


def read(name: str) -> tuple[Arrays, tuple[str, ...]]:
    """The images and class names of a hub data set, from its train and test (or validation) splits.

    The data set needs one column of images and one of class labels. All images are resized to one
    size: that of more than half of them or, if there is none, the smallest height and width. The
    result is grey if all images are grey, otherwise it has three channels.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise DataError(
            repr(name), "is not a hub name", "write hub:OWNER/NAME or hub:OWNER/NAME/CONFIG"
        )
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise DataError(
            name, "needs the package datasets", 'pip install "weightspace[hub]"'
        ) from None
    splits = _fetch(datasets, name, *match.groups())
    train, test = _pick(name, splits)
    image, label, classes = _columns(datasets, name, train)
    decoded = [_decode(name, part, image, label) for part in (train, test)]
    return _uniform([x for x, _ in decoded], [y for _, y in decoded]), classes


def _fetch(datasets: Any, name: str, repository: str, config: str | None) -> Any:
    try:
        # Data sets that are scripts are refused, also with old versions that would run them.
        return datasets.load_dataset(repository, config, trust_remote_code=False)
    except Exception as error:  # many kinds: keep the hub's own text
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            name,
            f"the hub did not deliver ({reason[:300]})",
            "check the name, the config and the network",
        ) from None


def _pick(name: str, splits: Any) -> tuple[Any, Any]:
    test = next((splits[key] for key in _TEST_SPLITS if key in splits), None)
    if "train" not in splits or test is None:
        raise DataError(
            name,
            f"has splits {', '.join(splits)}",
            "an image set needs train, and test or validation",
        )
    return splits["train"], test


def _columns(datasets: Any, name: str, part: Any) -> tuple[str, str, tuple[str, ...]]:
    images = [key for key, kind in part.features.items() if isinstance(kind, datasets.Image)]
    labels = [key for key, kind in part.features.items() if isinstance(kind, datasets.ClassLabel)]
    # If there are several label columns (coarse, fine), only one called label is used.
    labels = ["label"] if "label" in labels else labels
    images = ["image"] if "image" in images else images
    if len(images) != 1 or len(labels) != 1:
        raise DataError(
            name,
            f"has {len(images)} image and {len(labels)} class-label columns among "
            f"{', '.join(part.features)}",
            "it needs one of each, or columns called image and label",
        )
    return images[0], labels[0], tuple(map(str, part.features[labels[0]].names))


def _decode(name: str, part: Any, image: str, label: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Images uint8 [H, W, 1 or 3], each of its own size, and labels int64 [N]."""
    x, y = [], []
    for row, item in enumerate(part.select_columns([image, label])):
        picture, number = item[image], item[label]
        if number is None or number < 0:
            raise DataError(name, f"row {row:,} has no label", "this split cannot be used")
        if picture is None:
            raise DataError(name, f"row {row:,} has no image", "this split cannot be used")
        grey = picture.mode in ("1", "L")
        values = np.asarray(picture.convert("L" if grey else "RGB"), np.uint8)
        x.append(values[..., None] if grey else values)
        y.append(number)
    if not x:
        raise DataError(name, "a split is empty", "choose another set or config")
    return x, np.array(y, np.int64)


def _uniform(x: list[list[np.ndarray]], y: list[np.ndarray]) -> Arrays:
    sizes = Counter(image.shape[:2] for part in x for image in part)
    (rows, columns), often = sizes.most_common(1)[0]
    if 2 * often <= sizes.total():
        rows, columns = (min(size[axis] for size in sizes) for axis in (0, 1))
    channels = max(image.shape[2] for part in x for image in part)
    train, test = (
        np.concatenate([resample(image[None], rows, columns, channels) for image in part])
        for part in x
    )
    return Arrays(train, y[0], test, y[1])
