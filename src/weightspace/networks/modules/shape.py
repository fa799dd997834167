"""`ModuleShape`: where each tensor of a module lies in its vector, kept by a zoo or not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from weightspace.networks.layout import Layout


@dataclass(frozen=True)
class Piece:
    """A tensor of a module: parameter or buffer, changed by the optimizer (`trained`) or not."""

    name: str
    shape: tuple[int, ...]
    trained: bool
    whole: torch.dtype | None = None
    """The type of whole numbers or truth values; None for floating types."""

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModuleShape:
    """The shapes of a stack of modules; the interface of `networks.stack.StackShape`.

    A vector begins with the values of the layout, which a zoo keeps. The tensors that no layout
    holds come after them (tables of positions, counts of batches, ...).
    """

    layout: Layout
    pieces: tuple[Piece, ...]

    @cached_property
    def trained(self) -> tuple[Piece, ...]:
        """What the optimizer changes, in the order of `weights`."""
        return tuple(piece for piece in self.pieces if piece.trained)

    @cached_property
    def kept(self) -> tuple[Piece, ...]:
        """The rest: what a forward pass may change, one tensor of `stats` for each."""
        return tuple(piece for piece in self.pieces if not piece.trained)

    @cached_property
    def _sizes(self) -> list[int]:
        return [piece.size for piece in self.trained]

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((piece.size for piece in self.pieces), initial=0))

    def split(self, vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Vectors [M, P] -> (weights [M, n], stats: one [M x values] for each other tensor)."""
        weights, stats = [], []
        for piece, start in zip(self.pieces, self._starts, strict=False):
            values = vectors[:, start : start + piece.size]
            if piece.trained:
                weights.append(values)
            elif piece.whole is None:
                stats.append(values.reshape(-1).clone())
            else:
                stats.append(values.round().to(piece.whole).reshape(-1))
        return torch.cat(weights, 1), stats

    def join(self, weights: Tensor, stats: list[Tensor]) -> Tensor:
        """Vectors [M, P] from what `split` returned."""
        rest, left, found = iter(stats), 0, []
        for piece in self.pieces:
            if piece.trained:
                found.append(weights[:, left : left + piece.size])
                left += piece.size
            else:
                found.append(next(rest).view(len(weights), -1).to(weights.dtype))
        return torch.cat(found, 1)

    def parameters(self, flat: Tensor) -> list[Tensor]:
        """The trained tensors of one net, as views of its weights [n]."""
        values = flat.split(self._sizes)
        return [v.view(piece.shape) for piece, v in zip(self.trained, values, strict=True)]

    def apart(self, stats: list[Tensor], nets: int) -> list[Tensor]:
        """The other tensors as [M, *shape]."""
        return [s.view(nets, *piece.shape) for piece, s in zip(self.kept, stats, strict=True)]
