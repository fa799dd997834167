"""What training hands out of a net: its snapshots, and how it ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

LEAST_MOVE = 1e-6
"""A value that moved by less did not move: that much is rounding."""


@dataclass(frozen=True)
class Snapshot:
    """One net at one moment: `vector` float32 [P] and what it was worth.

    `number` counts from 1. `metrics` holds loss (mean cross entropy in nats) and accuracy (a
    fraction) of five kinds: `train_`, `validation_` and `test_` were measured at this moment,
    without dropout and augmentation; `batch_` are means over the batches since the previous
    snapshot as the net was trained on them, with both, NaN where there was no batch.
    """

    net: str
    number: int
    step: int
    epoch: float
    vector: np.ndarray
    metrics: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """How a net's training ended: its steps, where it diverged if so, and whether it is dead.

    Converged: the stopping rule ended it, rather than the recipe's `epochs`.
    Dead: no trainable value moved by more than rounding, or the last test accuracy is within two
    standard errors of what always giving the commonest answer earns.
    """

    net: str
    steps: int
    diverged_step: int | None
    dead: bool
    converged: bool


def is_dead(initial: Tensor, last: Tensor, accuracy: float, labels: Tensor) -> bool:
    """Whether a net is dead, from its first and last weights [n] and its accuracy on `labels`."""
    moved = (last - initial).abs().max().item() > LEAST_MOVE
    # Chance is what always giving the commonest answer earns; on a handful of test images
    # two standard errors must not reach to certainty.
    chance = labels.bincount().max().item() / len(labels)
    error = math.sqrt(chance * (1 - chance) / len(labels))
    return not moved or accuracy <= chance + min(2 * error, (1 - chance) / 2)
