"""The augmentation of the images of one step, with each net's own random streams."""

from __future__ import annotations

import torch
from torch import Tensor

from weightspace.images.augmentation import AUGMENT_NUMBERS, RANGES, augment
from weightspace.images.cropping import CROP_NUMBERS, crop_and_flip
from weightspace.networks.batch import Images
from weightspace.networks.native import SUFFIX, augmented, library
from weightspace.training import streams

AT_ONCE = 1 << 18
"""The most image values in one call of torch's augmentation, so that they fit in the caches."""


def distorted(pool: Tensor, index: Tensor, seeds: Tensor, step: int, dtype: torch.dtype) -> Tensor:
    """Augment images `index` int64 [K, B] of `pool` uint8 [N, C, H, W]: [K, B, C, H, W].

    Net k uses its streams "augmentation" and "noise" at `step`, whichever implementation computes.
    """
    found = library() if index.device.type == "cpu" and dtype in SUFFIX else None
    if found is None:
        size = max(1, AT_ONCE // (index.shape[1] * pool[0].numel()))
        parts = zip(index.split(size), seeds.split(size), strict=True)
        return torch.cat([_by_torch(pool, *part, step, dtype) for part in parts])
    key, noise_key = (streams.keys(seeds, of, step) for of in ("augmentation", "noise"))
    return augmented(found, pool, index, key, noise_key, list(RANGES.values()), dtype)


def cropped(
    pool: Tensor, index: Tensor, seeds: Tensor, step: int, dtype: torch.dtype, kind: str
) -> Tensor:
    """Crop and flip images as `distorted` augments them; `kind` is flip_crop, flip or crop."""
    x = Images(pool, index).values(dtype)
    numbers = index.shape[1] * CROP_NUMBERS
    u = streams.uniform(streams.keys(seeds, "augmentation", step), numbers)
    flat = x.flatten(0, 1)
    made = crop_and_flip(
        flat, u.view(len(flat), CROP_NUMBERS), crop="crop" in kind, flip="flip" in kind
    )
    return made.view_as(x)


def _by_torch(pool: Tensor, index: Tensor, seeds: Tensor, step: int, dtype: torch.dtype) -> Tensor:
    x = Images(pool, index).values(dtype)
    flat = x.flatten(0, 1)
    numbers = index.shape[1] * AUGMENT_NUMBERS
    u = streams.uniform(streams.keys(seeds, "augmentation", step), numbers).to(dtype)
    noise = streams.normal(streams.keys(seeds, "noise", step), x[0].numel()).to(dtype)
    return augment(flat, u.view(len(flat), AUGMENT_NUMBERS), noise.view_as(flat)).view_as(x)
