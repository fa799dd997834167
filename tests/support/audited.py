"""Small nets trained by plain PyTorch and saved, for tests of audits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

IMAGES, BATCH, EPOCHS = 1000, 40, 6
STEPS = EPOCHS * IMAGES // BATCH


def normed() -> nn.Sequential:
    """A convolution, a batch norm, a dense layer; on images of 8 x 8."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )


def trained(net: nn.Module, optimizer: torch.optim.Optimizer, batch: int = BATCH) -> None:
    """Train on random images and labels, for `EPOCHS` epochs of `IMAGES` images."""
    draw = torch.Generator().manual_seed(1)
    images = torch.randn(IMAGES, 1, 8, 8, generator=draw)
    labels = torch.randint(0, 10, (IMAGES,), generator=draw)
    for _ in range(EPOCHS):
        for start in range(0, IMAGES, batch):
            optimizer.zero_grad()
            some = slice(start, start + batch)
            nn.functional.cross_entropy(net(images[some]), labels[some]).backward()
            optimizer.step()


def state_of(folder: Path, **more: Any) -> Path:
    """A net with batch norm, and what else shall be in the file."""
    torch.manual_seed(5)
    net = normed()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    trained(net, optimizer)
    path = folder / "net.pt"
    content = {"net": net.state_dict(), **more}
    if more.get("optimizer"):
        content["optimizer"] = optimizer.state_dict()
    torch.save(content, path)
    return path
