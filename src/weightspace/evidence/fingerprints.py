"""Fingerprints of data sets: in how many images each pixel differs from its usual value.

The table `fingerprints.json` holds such counts, and no images. To add a set to it:
`python -m weightspace.evidence.fingerprints NAME SOURCE`, where NAME is a set that
`weightspace.images.load` knows, such as your own NAME.npz.
"""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weightspace.disk import inner_of, read_text, write_file
from weightspace.errors import DataError

_TABLE = Path(__file__).with_name("fingerprints.json")
_LARGEST = 2**24  # bytes of a table
_OFTEN = 0.1
"""Pixels that vary in a larger share of the images are not listed in the table."""


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a data set: which pixels never or seldom vary.

    Attributes
    ----------
    name : str
        The name of the set, as claims spell it.
    varied : ndarray of int64, shape (H, W, C) or (features,)
        In how many images each pixel differs from its usual value (its median). Of a set that was
        read from the table, pixels that vary in more than 10 % of the images have the count that is
        10 %.
    images : int
        How many images were counted.
    source : str
        Where they come from.
    """

    name: str
    varied: NDArray[np.int64]
    images: int
    source: str = ""

    @property
    def constant(self) -> NDArray[np.bool_]:
        """The pixels that never vary, in the shape of an image."""
        found: NDArray[np.bool_] = self.varied == 0
        return found

    @property
    def share(self) -> NDArray[np.float64]:
        """The share of images in which a pixel varies, at most 0.1, in the shape of an image."""
        return np.minimum(self.varied / self.images, _OFTEN)

    def to_dict(self) -> dict[str, Any]:
        """The fingerprint as plain values for JSON: shape, images, source and the rare pixels."""
        flat = self.varied.ravel()
        rare = np.flatnonzero(flat < _OFTEN * self.images)
        return {
            "images": self.images,
            "source": self.source,
            "shape": list(self.varied.shape),
            "rare": {str(place): int(flat[place]) for place in rare},
        }

    @classmethod
    def from_dict(cls, name: str, values: dict[str, Any]) -> Fingerprint:
        """The fingerprint that `to_dict` described."""
        images = int(values["images"])
        flat = np.full(int(np.prod(values["shape"])), int(np.ceil(_OFTEN * images)))
        for place, count in values["rare"].items():
            flat[int(place)] = count
        return cls(name, flat.reshape(values["shape"]), images, values["source"])


def fingerprint_of(images: np.ndarray, name: str, source: str = "") -> Fingerprint:
    """The fingerprint of a data set.

    Parameters
    ----------
    images : ndarray of uint8 or float32, shape (N, H, W, C), (N, H, W) or (N, features)
        The training images.
    name : str
        The name of the set.
    source : str
        Where they come from.

    Returns
    -------
    Fingerprint

    Raises
    ------
    DataError
        If there are no images.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.zeros((5, 2, 2), np.uint8)
    >>> images[3, 0, 1] = 7
    >>> fingerprint_of(images, "mine").varied[..., 0].tolist()
    [[0, 1], [0, 0]]
    """
    if images.ndim < 2 or not len(images):
        raise DataError(name, "there are no images", "give at least one, as [N, H, W, C]")
    shape = (*images.shape[1:], 1) if images.ndim == 3 else images.shape[1:]
    flat = images.reshape(len(images), -1)
    varied = np.empty(flat.shape[1], np.int64)
    width = max(1, 2**24 // len(flat))
    for start in range(0, flat.shape[1], width):
        part = np.ascontiguousarray(flat[:, start : start + width].T)
        usual = np.partition(part, len(flat) // 2, axis=1)[:, len(flat) // 2]
        varied[start : start + width] = (part != usual[:, None]).sum(1)
    return Fingerprint(name, varied.reshape(shape), len(images), source)


@functools.cache
def known() -> tuple[Fingerprint, ...]:
    """The fingerprints of the table, in its order."""
    table = json.loads(read_text(_TABLE, _LARGEST))
    return tuple(Fingerprint.from_dict(name, values) for name, values in table.items())


def add(fingerprint: Fingerprint, path: Path = _TABLE) -> None:
    """Write a fingerprint into a table, in place of an older one of its name."""
    table = json.loads(read_text(path, _LARGEST)) if path.exists() else {}
    table[fingerprint.name] = fingerprint.to_dict()
    lines = (f"{json.dumps(name)}: {json.dumps(values)}" for name, values in table.items())
    write_file(inner_of(path), ("{\n" + ",\n".join(lines) + "\n}\n").encode())


if __name__ == "__main__":
    from weightspace.images import load

    name, source = sys.argv[1:3]
    add(fingerprint_of(load(name).x_train, name, source))
