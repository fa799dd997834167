"""What M nets see at one step: images by their places in a pool, or made for the step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Images of M nets, B each: `pool` uint8 [N, C, H, W] at `index` int64 [M, B].

    The nets at `rows` int64 [K] see `made` [K, B, C, H, W], values in 0..1, instead.
    """

    pool: Tensor
    index: Tensor
    rows: Tensor | None = None
    made: Tensor | None = None

    def values(self, dtype: torch.dtype) -> Tensor:
        """All of them in 0..1: [M, B, C, H, W]."""
        x = self.pool.index_select(0, self.index.reshape(-1)).to(dtype).div_(255)
        x = x.view(*self.index.shape, *self.pool.shape[1:])
        if self.rows is not None and self.made is not None:
            x[self.rows] = self.made
        return x


@dataclass(frozen=True)
class Step:
    """What a step's forward and backward pass give for M nets.

    `gradient` [M, trainable values] of each net's own loss; `loss` (with label smoothing), `nll`
    (mean negative log likelihood, nats) and `correct` (share of right answers), float64 [M].
    """

    gradient: Tensor
    loss: Tensor
    nll: Tensor
    correct: Tensor
