"""The images of a run as one tensor on the training device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from weightspace.images import ImageSet


@dataclass(frozen=True)
class Pool:
    """Every image of some sets of one size as one tensor, so that a stack gathers in one call.

    `images` uint8 [N, C, H, W]; `labels` int64 [N]; a set's training images start at
    `train_start[name]`, its test images at `test_start[name]`.
    """

    sets: Mapping[str, ImageSet]
    images: Tensor
    labels: Tensor
    train_start: dict[str, int]
    test_start: dict[str, int]

    @classmethod
    def of(cls, sets: Mapping[str, ImageSet], device: str | torch.device = "cpu") -> Pool:
        """The pool of image sets that have been brought to one size and one number of channels."""
        images, labels = [], []
        train_start: dict[str, int] = {}
        test_start: dict[str, int] = {}
        start = 0
        for name, image_set in sets.items():
            for starts, x, y in (
                (train_start, image_set.x_train, image_set.y_train),
                (test_start, image_set.x_test, image_set.y_test),
            ):
                starts[name] = start
                start += len(x)
                images.append(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
                labels.append(torch.from_numpy(y.astype(np.int64)))
        return cls(
            sets,
            torch.cat(images).to(device),
            torch.cat(labels).to(device),
            train_start,
            test_start,
        )


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array [M, longest], each repeated to fill its row."""
    longest = max(len(row) for row in rows)
    return np.stack([np.resize(row, longest) for row in rows])
