"""Recipes of small nets, their images, and the plan as an ordinary torch module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
from weightspace.networks.grammar import (
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
    Shape,
)
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
        self.layers, shape = nn.ModuleList(), plan.input
        for layer in plan.layers:
            self.layers.append(_module(layer, shape))
            shape = layer.gives(shape)

    def forward(self, x: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
        left = iter(masks)
        for layer in self.layers:
            x = self._one(layer, x, left)
        return x

    def _one(self, layer: nn.Module, x: torch.Tensor, left: Iterator[torch.Tensor]) -> torch.Tensor:
        if isinstance(layer, Two):
            body, shortcut = x, x
            for one in layer.body:
                body = self._one(one, body, left)
            for one in layer.shortcut:
                shortcut = self._one(one, shortcut, left)
            return body + shortcut
        if isinstance(layer, nn.ReLU):
            return self.act(x)
        if isinstance(layer, nn.Dropout):
            mask = next(left)
            return x * (mask.view_as(x) if mask.numel() > 1 else mask)
        return layer(x)

    def tensors(self) -> list[torch.Tensor]:
        """Every stored tensor in the order of the plan's layout."""
        found: list[torch.Tensor | None] = []
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                found += [layer.weight, layer.bias]
            elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                found += [layer.bias, layer.weight, layer.running_mean, layer.running_var]
            elif isinstance(layer, nn.GroupNorm):
                found += [layer.bias, layer.weight]
        return [tensor for tensor in found if tensor is not None]


class Two(nn.Module):
    """The two chains of a residual block."""

    def __init__(self, block: Residual, shape: Shape) -> None:
        super().__init__()
        self.body, self.shortcut = nn.ModuleList(), nn.ModuleList()
        for chain, layers in ((self.body, block.body), (self.shortcut, block.shortcut)):
            now = shape
            for layer in layers:
                chain.append(_module(layer, now))
                now = layer.gives(now)


def _module(layer: Layer, shape: Shape) -> nn.Module:
    match layer:
        case Conv(width, kernel, stride, padding, groups, bias):
            return nn.Conv2d(shape[0], width, kernel, stride, padding, 1, groups, bias)
        case Dense(width, bias):
            return nn.Linear(shape[0], width, bias)
        case Norm("batch"):
            return (nn.BatchNorm2d if len(shape) == 3 else nn.BatchNorm1d)(shape[0])
        case Norm(_, groups):
            return nn.GroupNorm(groups, shape[0])
        case Pool(size, _, padding, "max"):
            return nn.MaxPool2d(size, layer.step, padding)
        case Pool(size, _, padding):
            return nn.AvgPool2d(size, layer.step, padding)
        case AdaptivePool(size):
            return nn.AdaptiveAvgPool2d(size)
        case Flatten():
            return nn.Flatten()
        case Dropout():
            return nn.Dropout()
        case Residual():
            return Two(layer, shape)
    return nn.ReLU()  # which stands for the recipe's function
