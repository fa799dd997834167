"""Recipes of small nets, their images, and the plan as an ordinary torch module."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.grammar import Conv, Dense, Dropout, Flatten, Norm, Pool, Spot
from weightspace.space import Recipe

SIDE = 8


def small(name: str) -> ImageSet:
    raw = load(name)
    x_train, x_test = resize(raw.x_train[:400], SIDE, 1), resize(raw.x_test[:80], SIDE, 1)
    return ImageSet(name, x_train, raw.y_train[:400], x_test, raw.y_test[:80], raw.classes)


BASE = Recipe(
    dataset="digits",
    batch_size=16,
    filter_size=3,
    depth_conv=3,
    depth_fc=2,
    width_conv=3,
    width_fc=8,
    blocks=2,
    input_size=SIDE,
    channels=1,
    outputs=10,
    epochs=3,
    train_images=160,
)
INITIALIZATIONS = ("glorot_uniform", "normal", "glorot_normal", "constant", "he_normal")
MIXED = [
    replace(
        BASE,
        seed=100 + i,
        dataset=("digits", "textures")[i % 2],
        optimizer=("adam", "rmsprop", "momentum", "adamw", "sgd")[i % 5],
        activation=("relu", "elu", "sigmoid", "tanh", "gelu", "leaky_relu")[i % 6],
        initialization=INITIALIZATIONS[2 * i % 5],
        learning_rate=0.001 * (1 + i),
        augmentation=i in (0, 3, 4, 7),
        dropout=(0.5, 0.25)[i % 2],
        weight_decay=0.01 * (i in (3, 5)),
        label_smoothing=0.1 * (i == 6),
        label_noise=0.2 * (i == 2),
        learning_rate_decay=0.5 if i == 1 else 1.0,
    )
    for i in range(8)
]


class PlainNet(nn.Module):
    """The plan as an ordinary module: slow, obvious, one net; dropout masks are handed in."""

    def __init__(self, plan: Plan, activation: str) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.layers = nn.ModuleList(_module(spot) for spot in plan.spots)

    def forward(self, x: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
        left = iter(masks)
        for layer in self.layers:
            if isinstance(layer, nn.ReLU):
                x = self.act(x)
            else:
                x = x * next(left) if isinstance(layer, nn.Dropout) else layer(x)
        return x

    def tensors(self) -> list[torch.Tensor]:
        """Every stored tensor in the order of the plan's layout."""
        found: list[torch.Tensor] = []
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                found += [layer.weight, layer.bias]
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                found += [layer.bias, layer.weight, layer.running_mean, layer.running_var]
        return found


def _module(spot: Spot) -> nn.Module:
    match spot.layer:
        case Conv() as conv:
            return nn.Conv2d(spot.takes[0], conv.width, conv.kernel, padding=conv.padding)
        case Dense(width):
            return nn.Linear(spot.takes[0], width)
        case Norm():
            norm = nn.BatchNorm2d if len(spot.takes) == 3 else nn.BatchNorm1d
            return norm(spot.takes[0])
        case Pool(size):
            return nn.MaxPool2d(size)
        case Flatten():
            return nn.Flatten()
        case Dropout():
            return nn.Dropout()
    return nn.ReLU()  # which stands for the recipe's function
