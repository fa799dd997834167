"""Nets that a plain PyTorch loop trains on handwritten digits, and what the law of seeds says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from weightspace.checkpoints.opening import open_net
from weightspace.evidence import Context, Evidence, of_checkpoint
from weightspace.evidence.seeds import seed_law
from weightspace.images import load


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """The training images of the built-in digits, float32 [n, 1, 8, 8], and their labels."""
    images = load("digits")
    x = torch.tensor(images.x_train).permute(0, 3, 1, 2).float() / 255
    return x.contiguous(), torch.tensor(images.y_train).long()


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 16, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 60), nn.ReLU(), nn.Linear(60, 10),
    )  # fmt: skip


def normed() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05, weight_decay=0.002),
    "momentum": lambda p: torch.optim.SGD(p, 0.02, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, 0.003),
    "adamw": lambda p: torch.optim.AdamW(p, 0.003, weight_decay=0.05),
}


def trained(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> nn.Module:
    """The net after some steps of 32 digits each, with softmax cross entropy."""
    x, y = digits()
    x, y = x.to(next(net.parameters()).dtype), y
    draw = torch.Generator().manual_seed(0)
    for _ in range(steps):
        chosen = torch.randint(len(x), (32,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
        optimizer.step()
    return net


def judged(net: nn.Module, folder: Path, **context: object) -> list[Evidence]:
    """What the law of seeds says of a net that is saved as a state dict."""
    torch.save(net.state_dict(), folder / "net.pt")
    with open_net(folder / "net.pt") as opened:
        return list(seed_law(of_checkpoint(opened), Context(**context)))
