"""The images of a run as one tensor on the training device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from weightspace.errors import UsageError
from weightspace.images import ImageSet


@dataclass(frozen=True)
class Pool:
    """All images of some sets as one tensor, so that a stack reads a batch with one call.

    Attributes
    ----------
    images : torch.Tensor of uint8 or float32, shape (N, C, H, W) or (N, F)
        The images of all sets, or rows of tables.
    labels : torch.Tensor of int64, shape (N,)
        Their labels.
    sets : mapping of str to ImageSet
        The image sets by name.
    train_start, test_start : dict of str to int
        For each set the position of its first training image and its first test image.
    """

    sets: Mapping[str, ImageSet]
    images: Tensor
    labels: Tensor
    train_start: dict[str, int]
    test_start: dict[str, int]

    def affine(self, name: str, inputs: str) -> Tensor:
        """Factor and addend of each channel of a set, float64 [2, C].

        Parameters
        ----------
        name : str
            The image set.
        inputs : {"unit", "centered", "standardized"}
            What the pixels become, as in recipes.

        Returns
        -------
        torch.Tensor
        """
        channels = self.images.shape[1]
        if inputs == "standardized":
            start = self.train_start[name]
            mean, deviation = _moments(self.images[start : start + len(self.sets[name].x_train)])
            deviation = deviation.where(deviation > 0, 1.0)  # values that never vary
            return torch.stack([1 / deviation, -mean / deviation])
        scale, shift = (2.0, -1.0) if inputs == "centered" else (1.0, 0.0)
        return torch.tensor([[scale] * channels, [shift] * channels], dtype=torch.float64)

    @classmethod
    def of(cls, sets: Mapping[str, ImageSet], device: str | torch.device = "cpu") -> Pool:
        """Make a pool of image sets that have the same size and the same number of channels.

        Parameters
        ----------
        sets : mapping of str to ImageSet
            The image sets by name.
        device : str or torch.device
            Where the tensors are kept.

        Returns
        -------
        Pool
        """
        kinds = {(s.x_train.dtype, s.x_train.ndim) for s in sets.values()}
        if len(kinds) > 1:
            raise UsageError(
                "dataset", "sets of bytes and of numbers cannot be in one space", "sample two zoos"
            )
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
                first = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x  # channels first
                images.append(torch.from_numpy(np.ascontiguousarray(first)))
                labels.append(torch.from_numpy(y.astype(np.int64)))
        return cls(
            sets,
            torch.cat(images).to(device),
            torch.cat(labels).to(device),
            train_start,
            test_start,
        )


def _moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel of images [N, C, ...], float64 [C]."""
    if images.dtype != torch.uint8:
        numbers = images.double().cpu().transpose(0, 1).flatten(1)
        return numbers.mean(1), numbers.std(1, correction=0)
    flat = images.flatten(2)
    count = flat.shape[0] * flat.shape[2]
    levels = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in flat.unbind(1):
        share = torch.bincount(channel.reshape(-1).int().cpu(), minlength=256).double() / count
        mean = (share * levels).sum()
        means.append(mean)
        deviations.append((share * (levels - mean) ** 2).sum().sqrt())
    return torch.stack(means), torch.stack(deviations)


def padded(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array [M, longest]; each row is repeated to fill up."""
    longest = max(len(row) for row in rows)
    return np.stack([np.resize(row, longest) for row in rows])
