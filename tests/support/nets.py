"""Recipes of small nets, their images, and the plan as an ordinary torch module."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from weightspace.images import load, resize
from weightspace.images.imageset import ImageSet
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
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
        self.plan, self.act = plan, ACTIVATIONS[activation]
        self.conv, self.conv_norm = nn.ModuleList(), nn.ModuleList()
        width = plan.channels
        for layer in plan.conv:
            self.conv.append(nn.Conv2d(width, layer.width, layer.kernel, padding=layer.padding))
            self.conv_norm.append(nn.BatchNorm2d(layer.width))
            width = layer.width
        self.fc, self.fc_norm = nn.ModuleList(), nn.ModuleList()
        width = plan.flat_features
        for out in plan.fc:
            self.fc.append(nn.Linear(width, out))
            self.fc_norm.append(nn.BatchNorm1d(out))
            width = out
        self.last = nn.Linear(width, plan.outputs)

    def forward(self, x: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
        for conv, conv_norm, plan in zip(self.conv, self.conv_norm, self.plan.conv, strict=True):
            x = self.act(conv_norm(conv(x)))
            if plan.pool:
                x = nn.functional.max_pool2d(x, 2)
        x = x.flatten(1)
        for layer, norm, mask in zip(self.fc, self.fc_norm, masks, strict=True):
            x = norm(self.act(layer(x))) * mask
        return self.last(x)

    def tensors(self) -> list[torch.Tensor]:
        """Every stored tensor in the order of the plan's layout."""
        found: list[torch.Tensor] = []
        layers, norms = [*self.conv, *self.fc], [*self.conv_norm, *self.fc_norm]
        for layer, norm in zip(layers, norms, strict=True):
            found += [layer.weight, layer.bias, norm.bias, norm.weight]
            found += [norm.running_mean, norm.running_var]
        return [*found, self.last.weight, self.last.bias]
