"""Activation functions by name, and one that applies a different function to each net of a stack.

To add a function, add a line to `ACTIVATIONS`. It then works in recipes, spaces, stacks and labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "elu": F.elu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "leaky_relu": F.leaky_relu,
}


@dataclass(frozen=True)
class Runs:
    """Which consecutive nets of a stack use the same function: `(name, first, stop)` in order."""

    runs: tuple[tuple[str, int, int], ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Runs:
        """Find the runs of equal neighbours in `names`, which has one name for each net."""
        runs: list[tuple[str, int, int]] = []
        for index, name in enumerate(names):
            if runs and runs[-1][0] == name:
                runs[-1] = (name, runs[-1][1], index + 1)
            else:
                runs.append((name, index, index + 1))
        return cls(tuple(runs))


def activate(x: Tensor, runs: Runs, dim: int, width: int = 1) -> Tensor:
    """Apply each net's activation; axis `dim` holds `width` values for each net, net after net."""
    if len(runs.runs) == 1:
        return ACTIVATIONS[runs.runs[0][0]](x)
    pieces = x.split([(stop - first) * width for _, first, stop in runs.runs], dim)
    return torch.cat(
        [ACTIVATIONS[name](piece) for (name, _, _), piece in zip(runs.runs, pieces, strict=True)],
        dim,
    )
