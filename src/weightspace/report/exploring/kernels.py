"""The kernels of a net's first layer as images of few bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from weightspace.networks import Layout
from weightspace.networks.layout import TensorSpec

_MOST_SHOWN = 64
_MOST_SIDE = 64
_MOST_CHANNELS = 8
_LEVELS = 127


@dataclass(frozen=True)
class Kernels:
    """How the first layer of a net is shown as images.

    Parameters
    ----------
    tensor : TensorSpec
        The weights of the layer.
    kind : {"kernels", "rows"}
        Kernels of a convolution, or rows of a dense layer that reads an image.
    size : tuple of int
        How many images are shown, their channels, height and width.
    """

    tensor: TensorSpec
    kind: str
    size: tuple[int, int, int, int]

    @property
    def values(self) -> int:
        """The number of values of one snapshot."""
        return prod(self.size)

    def about(self) -> dict[str, Any]:
        """What the page knows of the images of a net."""
        own = {"kind": self.kind, "size": self.size, "of": self.tensor.shape[0]}
        return own | {"tensor": self.tensor.name}

    def read(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Images of vectors float32 [m, P]: codes int8 [m, values], and float32 [m] to multiply by.

        The largest weight of a snapshot has the code 127 or -127. What is not finite becomes 0.
        """
        own = self.tensor
        count, channels, *sides = self.size
        planes = own.size // (own.shape[0] * prod(sides))
        shape = (len(vectors), own.shape[0], planes, *sides)
        rows = (
            vectors[:, own.offset : own.stop]
            .reshape(shape)[:, :count, :channels]
            .reshape(len(vectors), self.values)
        )
        values = np.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
        most = np.abs(values).max(axis=1)
        scale = np.where(most > 0, most, 1.0) / _LEVELS
        return np.rint(values / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def kernels_of(layout: Layout, side: int | None, planes: int | None) -> Kernels | None:
    """The images of the first layer, or None if it has none.

    `side` and `planes` are those of the net's images, in pixels and channels, None where they are
    not known. A dense layer has images only if these explain the number of its inputs.
    """
    weights = [spec for spec in layout.tensors if spec.role == "weight" and len(spec.shape) > 1]
    if not weights:
        return None
    first = min(weights, key=lambda spec: (spec.layer, spec.offset))
    count = min(first.shape[0], _MOST_SHOWN)
    if len(first.shape) == 4 and max(first.shape[2:]) <= _MOST_SIDE:
        channels = min(first.shape[1], _MOST_CHANNELS)
        return Kernels(first, "kernels", (count, channels, *first.shape[2:]))
    if len(first.shape) == 3 and max(first.shape[1:]) <= _MOST_SIDE:
        return Kernels(first, "kernels", (count, 1, *first.shape[1:]))
    if len(first.shape) == 2 and side and planes and side <= _MOST_SIDE:
        size = (planes, side, side)
        return Kernels(first, "rows", (count, *size)) if first.shape[1] == prod(size) else None
    return None


def fitting(kernels: Kernels, allowance: int) -> Kernels:
    """The same with fewer images, so that one snapshot has at most `allowance` values."""
    each = kernels.values // kernels.size[0]
    count = max(1, min(kernels.size[0], allowance // each))
    return Kernels(kernels.tensor, kernels.kind, (count, *kernels.size[1:]))
