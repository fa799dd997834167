"""Dropout with factors that are handed in, in the place of torch's dropout modules."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_CHANNELS = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@dataclass(frozen=True)
class Site:
    """One use of dropout in a forward pass: how many factors of which shape, at which rate."""

    shape: tuple[int, ...]
    rate: float


class Deck:
    """The factors of one forward pass, dealt in order; or a recording of how many it needs."""

    def __init__(self) -> None:
        self.sites: list[Site] | None = None
        self._masks: list[Tensor] = []

    def deal(self, masks: list[Tensor]) -> None:
        """Hand in the factors of the next pass."""
        self._masks = list(masks)

    def draw(self, shape: tuple[int, ...], rate: float) -> Tensor | float:
        """The factors of the next use; 1 while it is recorded."""
        if self.sites is not None:
            self.sites.append(Site(shape, rate))
            return 1.0
        if not self._masks or self._masks[0].shape != shape:
            raise RuntimeError("uses dropout in another way than it did before")
        return self._masks.pop(0)


class Dropped(nn.Module):
    """Dropout of values, or of whole channels, with the factors of a deck."""

    def __init__(self, deck: Deck, rate: float, channels: bool) -> None:
        super().__init__()
        self._deck, self.rate, self.channels = deck, rate, channels

    def forward(self, x: Tensor) -> Tensor:
        """Multiply by the factors, in training."""
        if not self.training or self.rate == 0:
            return x
        shape = tuple(x.shape)
        if self.channels:
            shape = shape[:2] + (1,) * (len(shape) - 2)
        return x * self._deck.draw(shape, self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"p={self.rate}"


def take_over(module: nn.Module, deck: Deck) -> nn.Module:
    """The module with every dropout module replaced by one that draws from the deck."""
    replaced: dict[nn.Module, Dropped] = {}

    def instead(child: nn.Module) -> nn.Module:
        if type(child) not in (nn.Dropout, *_CHANNELS):
            return child
        if child not in replaced:
            rate = float(getattr(child, "p"))  # noqa: B009 - typed as a module only
            replaced[child] = Dropped(deck, rate, type(child) in _CHANNELS)
            replaced[child].train(child.training)
        return replaced[child]

    for parent in list(module.modules()):
        # Not `named_children`, which names a child once only.
        for name, child in list(parent._modules.items()):
            if child is not None and (other := instead(child)) is not child:
                parent._modules[name] = other
    return instead(module)


def factors(numbers: Tensor, site: Site, dtype: torch.dtype) -> Tensor:
    """Factors [M, *shape] from 16-bit numbers [M, n]: 0, or 1 / (1 - rate)."""
    kept = (numbers >= site.rate * 65536 - 32768).to(dtype)
    whole = kept / (1 - site.rate) if site.rate < 1 else torch.zeros_like(kept)
    return whole.view(-1, *site.shape)
