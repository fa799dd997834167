"""The results of training a net: its snapshots, and how its training ended."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

LEAST_MOVE = 1e-6
"""A smaller change of a value counts as rounding."""


@dataclass(frozen=True)
class Snapshot:
    """One net at one step of its training.

    Attributes
    ----------
    net : str
        The name of the net.
    number : int
        The number of the snapshot, from 1.
    step : int
        The optimizer steps taken so far.
    epoch : float
        The epochs completed so far.
    vector : ndarray of float32, shape (layout.size,)
        All values of the net.
    metrics : dict of str to float
        Loss (mean cross entropy in nats) and accuracy (from 0 to 1) of five kinds. `train_`,
        `validation_` and `test_` are measured at this step, without dropout and augmentation.
        `batch_` are means over the training batches since the previous snapshot, with both; NaN
        without batches.
    """

    net: str
    number: int
    step: int
    epoch: float
    vector: np.ndarray
    metrics: dict[str, float]


@dataclass(frozen=True)
class Outcome:
    """How the training of a net ended.

    Attributes
    ----------
    net : str
        The name of the net.
    steps : int
        The optimizer steps taken.
    diverged_step : int or None
        The first step after which a value was not finite.
    dead : bool
        Whether no trainable value changed by more than rounding, or the last test accuracy is
        within two standard errors of the accuracy of always predicting the most frequent class.
    converged : bool
        Whether the stopping rule ended the training, before the recipe's `epochs`.
    """

    net: str
    steps: int
    diverged_step: int | None
    dead: bool
    converged: bool


def is_dead(initial: Tensor, last: Tensor, accuracy: float, labels: Tensor) -> bool:
    """Whether a net is dead, from its first and last weights [n] and its accuracy on `labels`."""
    moved = (last - initial).abs().max().item() > LEAST_MOVE
    # Chance is the accuracy of always predicting the most frequent class. With few test images,
    # two standard errors above it must stay below 1.
    chance = labels.bincount().max().item() / len(labels)
    error = math.sqrt(chance * (1 - chance) / len(labels))
    return not moved or accuracy <= chance + min(2 * error, (1 - chance) / 2)
