"""Small dense nets trained by plain PyTorch, and the subjects of laws that they are."""

from __future__ import annotations

import itertools
import os

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from weightspace.errors import DataError
from weightspace.evidence import Subject
from weightspace.evidence.subject import Layer
from weightspace.images import ImageSet, load

OPTIMIZERS = {
    "sgd": lambda p, lr, wd: torch.optim.SGD(p, lr, weight_decay=wd),
    "momentum": lambda p, lr, wd: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=wd),
    "adam": lambda p, lr, wd: torch.optim.Adam(p, lr, weight_decay=wd),
    "adamw": lambda p, lr, wd: torch.optim.AdamW(p, lr, weight_decay=wd),
    "rmsprop": lambda p, lr, wd: torch.optim.RMSprop(p, lr, weight_decay=wd),
}


def published(name: str) -> ImageSet:
    """A published image set; the test is skipped where it is missing."""
    try:
        return load(name)
    except DataError:
        folder = os.environ.get("WEIGHTSPACE_DATA") or "not set"
        pytest.skip(f"{name} is not in $WEIGHTSPACE_DATA ({folder})")


def blobs(count: int = 2_000, side: int = 16, dark: int = 3) -> ImageSet:
    """Made-up images: smooth blobs of ten kinds, in a frame of pixels that are always 0."""
    rng = np.random.default_rng(0)
    inner = side - 2 * dark
    y = rng.integers(0, 10, count)
    places = rng.uniform(0, inner, (10, 3, 2))
    grid = np.stack(np.meshgrid(np.arange(inner), np.arange(inner), indexing="ij"), -1)
    x = np.zeros((count, side, side, 1), np.uint8)
    for image, label in enumerate(y):
        centers = places[label] + rng.normal(0, 0.7, (3, 2))
        far = ((grid[:, :, None] - centers) ** 2).sum(-1)
        light = np.exp(-far / 3).sum(-1).clip(0, 1) * 250 + rng.integers(1, 5, (inner, inner))
        x[image, dark:-dark, dark:-dark, 0] = light
    return ImageSet("blobs", x, y, x[:100], y[:100], tuple("0123456789"))


def dense(*sizes: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> nn.Sequential:
    """A net of dense layers with ReLU, with torch's default initialization."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after, dtype=dtype), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def train(
    net: nn.Module, images: ImageSet, optimizer: str = "sgd", lr: float = 0.1, decay: float = 0.0,
    steps: int = 50, batch: int = 64, mean: float = 0.0, sd: float = 1.0,
) -> nn.Module:  # fmt: skip
    """Train on flat images of values (pixel / 255 - mean) / sd, in the order of the set."""
    parameters = list(net.parameters())
    update = OPTIMIZERS[optimizer]([p for p in parameters if p.requires_grad], lr, decay)
    x = torch.from_numpy(images.x_train.reshape(len(images.x_train), -1))
    y = torch.from_numpy(images.y_train.astype(np.int64))
    for step in range(steps):
        at = (torch.arange(batch) + step * batch) % len(x)
        inputs = (x[at].to(parameters[0].dtype) / 255 - mean) / sd
        loss = functional.cross_entropy(net(inputs), y[at])
        update.zero_grad()
        loss.backward()
        update.step()
    return net


def subject_of(net: nn.Module) -> Subject:
    """The subject that a torch net is, of dense layers and convolutions without norms."""
    tensors: dict[str, Tensor] = {name: v.detach() for name, v in net.state_dict().items()}
    layers = []
    for name, module in net.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            shape = tuple(module.weight.shape)
            layers.append(
                Layer(len(layers), f"{name}.weight", shape, shape[1], shape[0], shape[2:],
                      f"{name}.bias" if module.bias is not None else "")
            )  # fmt: skip

    def read(name: str, start: int, stop: int) -> np.ndarray:
        return tensors[name][start:stop].float().numpy()

    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    return Subject(tuple(layers), read, shapes, chain=True)
