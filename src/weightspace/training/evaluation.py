"""The evaluation of nets: mean loss and accuracy on images that are held out for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from weightspace.networks.arithmetic import Arithmetic
from weightspace.networks.batch import Images
from weightspace.space import Recipe
from weightspace.training.pool import Pool, padded

EVALUATION_BATCH = 125


@dataclass(frozen=True)
class Held:
    """The images on which nets are evaluated.

    Positions in the pool and labels are int64 [M, E]; weights, float64 [M, E], sum to 1 for each
    net.
    """

    index: Tensor
    labels: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], pool: Pool) -> Held:
        """Make it from positions for each net; shorter arrays are padded with weight 0."""
        device, index = pool.images.device, torch.from_numpy(padded(rows))
        longest = index.shape[1]
        weight = np.stack([(np.arange(longest) < len(row)) / len(row) for row in rows])
        index = index.to(device)
        return cls(index, pool.labels[index], torch.from_numpy(weight).to(device))

    def keep(self, rows: Tensor) -> Held:
        """The same for some of the nets, no longer than needed."""
        weight = self.weight[rows]
        longest = int((weight > 0).sum(1).max()) if len(rows) else 0
        return Held(self.index[rows, :longest], self.labels[rows, :longest], weight[:, :longest])

    def labels_of(self, row: int) -> Tensor:
        """The labels of one net's images, int64 [n]."""
        return self.labels[row][self.weight[row] > 0]


def evaluate(
    arithmetic: Arithmetic,
    pool: Pool,
    held: Held,
    recipes: Sequence[Recipe],
    weights: Tensor,
    stats: list[Tensor],
    affine: Tensor | None = None,
) -> tuple[list[float], list[float]]:
    """Mean loss and accuracy of each of M nets, without dropout or augmentation.

    `weights` and `stats` are as `StackShape.split` returns them; row i belongs to `recipes[i]`, and
    so does row i of `affine` (as in `Images`). An
    accuracy is one count of images divided by another, whatever the order of summation.
    """
    activations = [r.activation for r in recipes]
    loss = torch.zeros(len(recipes), dtype=torch.float64, device=weights.device)
    right = torch.zeros_like(loss)
    for first in range(0, held.index.shape[1], EVALUATION_BATCH):
        here = slice(first, first + EVALUATION_BATCH)
        y, weight = held.labels[:, here], held.weight[:, here]
        images = Images(pool.images, held.index[:, here], affine=affine)
        logits = arithmetic.logits(images, weights, stats, activations)
        nll = -torch.log_softmax(logits, 2).gather(2, y.unsqueeze(2)).squeeze(2)
        loss += (nll * weight).sum(1)
        right += ((logits.argmax(2) == y) & (weight > 0)).sum(1)
    return loss.tolist(), (right / (held.weight > 0).sum(1)).tolist()
