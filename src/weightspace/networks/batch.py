"""The input images and the result of one training step of M nets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Images of M nets, B each: `pool` uint8 [N, C, H, W] at the positions `index` int64 [M, B].

    A pool of float32 [N, ...] has numbers that nets get as they are.

    The nets `rows` int64 [K] get the augmented images `made` [K, B, C, H, W], values in 0..1,
    instead. `affine` [M, 2, C], if given, has a factor and an addend for each channel of each net,
    which are applied last.
    """

    pool: Tensor
    index: Tensor
    rows: Tensor | None = None
    made: Tensor | None = None
    affine: Tensor | None = None

    def values(self, dtype: torch.dtype) -> Tensor:
        """All images as numbers, those of bytes in 0..1: [M, B, C, H, W]."""
        x = self.pool.index_select(0, self.index.reshape(-1)).to(dtype)
        if self.pool.dtype == torch.uint8:
            x.div_(255)
        x = x.view(*self.index.shape, *self.pool.shape[1:])
        if self.rows is not None and self.made is not None:
            x[self.rows] = self.made
        return x if self.affine is None else _changed(x, self.affine)

    def levels(self, dtype: torch.dtype) -> Tensor | None:
        """What each byte of the pool stands for, per net and channel: [M, C, 256], or None."""
        if self.affine is None or self.pool.dtype != torch.uint8:
            return None
        scale, shift = self.affine.unbind(1)
        steps = torch.arange(256, dtype=dtype, device=scale.device) / 255
        return (steps * scale.to(dtype).unsqueeze(2) + shift.to(dtype).unsqueeze(2)).contiguous()

    def augmented(self, dtype: torch.dtype) -> Tensor:
        """The augmented images [K, B, C, H, W] as the nets get them."""
        assert self.made is not None
        if self.affine is None:
            return self.made.to(dtype)
        return _changed(self.made.to(dtype), self.affine[self.rows])

    def of(self, nets: Tensor, count: int) -> Images:
        """The first `count` images of some of the nets, int64 [K]."""
        index = self.index[nets, :count]
        affine = None if self.affine is None else self.affine[nets]
        if self.rows is None or self.made is None:
            return Images(self.pool, index, affine=affine)
        place = {int(row): i for i, row in enumerate(self.rows)}
        inside = [(i, place[int(net)]) for i, net in enumerate(nets) if int(net) in place]
        if not inside:
            return Images(self.pool, index, affine=affine)
        rows, chosen = torch.tensor(inside, device=index.device).unbind(1)
        return Images(self.pool, index, rows, self.made[chosen, :count], affine)


def _changed(x: Tensor, affine: Tensor) -> Tensor:
    """Images [M, B, C, ...] with the factor and the addend of each net's channels."""
    scale, shift = affine.to(x.dtype).view(len(x), 2, 1, -1, *[1] * (x.dim() - 3)).unbind(1)
    return x * scale + shift


Masks = list[Tensor | None]
"""The factors of each dropout of a plan in training: [M, B, values], or [M, B, channels] where it
drops whole channels (0, or 1 / keep probability). None where nothing is dropped."""


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
