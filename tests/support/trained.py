"""Small nets that a plain PyTorch loop trains on real images, for the laws of training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from weightspace.evidence import Subject
from weightspace.images import load
from weightspace.networks import Layout
from weightspace.networks.layout import TensorSpec

Optimizer = Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]
CROSS_ENTROPY = nn.CrossEntropyLoss()


def digits(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """The handwritten digits of scikit-learn: images [1297, 64] from 0 to 1, labels [1297]."""
    images = load("digits")
    x = torch.from_numpy(images.x_train.astype(np.float64) / 255).to(dtype)
    return x.reshape(len(x), -1), torch.from_numpy(images.y_train)


def mlp(
    *widths: int, dtype: torch.dtype = torch.float64, act: type[nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Dense layers with activations between them."""
    layers: list[nn.Module] = []
    for one, other in itertools.pairwise(widths):
        layers += [nn.Linear(one, other, dtype=dtype), act()]
    return nn.Sequential(*layers[:-1])


def zero_biases(net: nn.Module) -> nn.Module:
    """The same net, whose biases begin at 0."""
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
    return net


def train(
    net: nn.Module,
    optimizer: Optimizer,
    steps: int = 100,
    *,
    batch: int = 32,
    loss: Callable[[Tensor, Tensor], Tensor] = CROSS_ENTROPY,
    clip: float = 0.0,
    schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None,
) -> nn.Module:
    """Train a net for some steps on digits, and return it."""
    x, y = digits(next(net.parameters()).dtype)
    chosen = optimizer(net.parameters())
    rates = schedule(chosen) if schedule else None
    order = torch.Generator().manual_seed(5)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,), generator=order)
        chosen.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        if clip:
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        chosen.step()
        if rates:
            rates.step()
    return net


def subject(net: nn.Module) -> Subject:
    """The subject that a chain of dense layers is."""
    specs, values, offset, layer = [], [], 0, -1
    for name, parameter in net.named_parameters():
        role = name.rpartition(".")[2]
        layer += role == "weight"
        specs.append(TensorSpec(name, role, "fc", layer, tuple(parameter.shape), offset))
        offset += parameter.numel()
        values.append(parameter.detach().float().numpy().reshape(-1))
    return Subject.of_vector(np.concatenate(values), Layout(tuple(specs)))
