"""The input images and the result of one training step of M nets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Images of M nets, B each: `pool` uint8 [N, C, H, W] at the positions `index` int64 [M, B].

    The nets `rows` int64 [K] get the augmented images `made` [K, B, C, H, W], values in 0..1,
    instead.
    """

    pool: Tensor
    index: Tensor
    rows: Tensor | None = None
    made: Tensor | None = None

    def values(self, dtype: torch.dtype) -> Tensor:
        """All images as numbers in 0..1: [M, B, C, H, W]."""
        x = self.pool.index_select(0, self.index.reshape(-1)).to(dtype).div_(255)
        x = x.view(*self.index.shape, *self.pool.shape[1:])
        if self.rows is not None and self.made is not None:
            x[self.rows] = self.made
        return x


@dataclass(frozen=True)
class Step:
    """The result of a forward and backward pass of M nets.

    `gradient` [M, trainable values] is of each net's own loss. `loss` (with label smoothing), `nll`
    (mean negative log likelihood in nats) and `correct` (share of correct predictions) are float64
    [M].
    """

    gradient: Tensor
    loss: Tensor
    nll: Tensor
    correct: Tensor
