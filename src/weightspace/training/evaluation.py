"""What a net is worth: mean loss and accuracy on images held for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from weightspace.networks.batch import Images
from weightspace.networks.native import NativeStack
from weightspace.networks.stack import TorchStack
from weightspace.space import Recipe
from weightspace.training.pool import Pool, padded

EVALUATION_BATCH = 125


@dataclass(frozen=True)
class Held:
    """Images that nets are evaluated on: positions [M, E] and weights [M, E] that sum to 1."""

    index: Tensor
    weight: Tensor

    @classmethod
    def of(cls, rows: Sequence[np.ndarray], device: str | torch.device) -> Held:
        """From one array of positions a net; shorter ones are padded with weight 0."""
        index = padded(rows)
        longest = index.shape[1]
        weight = np.stack([(np.arange(longest) < len(row)) / len(row) for row in rows])
        return cls(torch.from_numpy(index).to(device), torch.from_numpy(weight).to(device))

    def keep(self, rows: Tensor) -> Held:
        """The same for some of the nets."""
        return Held(self.index[rows], self.weight[rows])

    def labels(self, row: int, pool: Pool) -> Tensor:
        """The labels of one net's images, int64 [n]."""
        return pool.labels[self.index[row][self.weight[row] > 0]]


def evaluate(
    arithmetic: TorchStack | NativeStack,
    pool: Pool,
    held: Held,
    recipes: Sequence[Recipe],
    weights: Tensor,
    stats: list[Tensor],
) -> tuple[list[float], list[float]]:
    """Mean loss and accuracy of each of M nets, without dropout or augmentation.

    `weights` and `stats` as from `StackShape.split`, row i those of `recipes[i]`.
    """
    activations = [r.activation for r in recipes]
    loss = torch.zeros(len(recipes), dtype=torch.float64, device=weights.device)
    accuracy = loss.clone()
    for first in range(0, held.index.shape[1], EVALUATION_BATCH):
        here = slice(first, first + EVALUATION_BATCH)
        index = held.index[:, here]
        logits = arithmetic.logits(Images(pool.images, index), weights, stats, activations)
        y = pool.labels[index]
        nll = -torch.log_softmax(logits, 2).gather(2, y.unsqueeze(2)).squeeze(2)
        loss += (nll * held.weight[:, here]).sum(1)
        accuracy += ((logits.argmax(2) == y) * held.weight[:, here]).sum(1)
    return loss.tolist(), accuracy.tolist()
