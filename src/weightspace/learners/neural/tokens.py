"""A network on tokens: the same perceptron for each token, attention, and a last perceptron."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from weightspace.arrays import Float
from weightspace.learners.neural.architectures import Dropout

_FARTHEST = 5.0


class TokenNetwork(nn.Module):
    """Maps rows, which are `tokens` tokens next to each other, to scores of the classes.

    Every token, together with a learned vector for its position, goes through the same perceptron.
    Each of `heads` attention heads takes its own weighted mean of the tokens.
    """

    precision = torch.float64
    """The precision of predictions: in float64 they hardly depend on the other rows."""

    centre: Float[Tensor, " F"]
    inverse: Float[Tensor, " F"]

    def __init__(
        self, length: int, tokens: int, classes: int, *, hidden: int = 96, heads: int = 4
    ) -> None:
        super().__init__()
        if tokens < 1:
            raise ValueError(f"tokens: {tokens}; give at least 1")
        width = -(-length // tokens)
        self.tokens, self.missing = tokens, width * tokens - length
        self.register_buffer("centre", torch.zeros(length))
        self.register_buffer("inverse", torch.ones(length))
        self.places = nn.Parameter(0.5 * torch.randn(tokens, hidden))
        self.embed = nn.Linear(width, hidden)
        self.mix = nn.Sequential(nn.GELU(), Dropout(0.2), nn.Linear(hidden, hidden), nn.GELU())
        self.attend = nn.Linear(hidden, heads)
        self.answer = nn.Sequential(
            Dropout(0.3), nn.Linear(heads * hidden, hidden), nn.GELU(), nn.Linear(hidden, classes)
        )

    def standardise(self, rows: Float[np.ndarray, "n F"]) -> None:
        """Set the mean and the deviation of each column from these rows."""
        values = np.asarray(rows, np.float64)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        alive = spread > 1e-6 * np.abs(mean) + 1e-12
        inverse = np.where(alive, 1 / np.where(alive, spread, 1), 0)
        self.centre.copy_(torch.from_numpy(mean))
        self.inverse.copy_(torch.from_numpy(inverse))

    def forward(self, rows: Float[Tensor, "n F"]) -> Float[Tensor, "n levels"]:
        """Scores of rows."""
        seen = ((rows - self.centre) * self.inverse).clamp(-_FARTHEST, _FARTHEST)
        seen = nn.functional.pad(seen, (0, self.missing)).unflatten(1, (self.tokens, -1))
        embedded = self.mix(self.embed(seen) + self.places)
        share = self.attend(embedded).softmax(dim=1)
        means = share.transpose(1, 2) @ embedded
        out: Tensor = self.answer(means.flatten(1))
        return out
