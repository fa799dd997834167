"""Modules as a user would write them; tests also read this file as text, as `sample` does."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from weightspace.space import Recipe


def mlp(recipe: Recipe) -> nn.Module:
    pixels = recipe.channels * recipe.input_size**2
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(pixels, recipe.width_fc),
        nn.ReLU(),
        nn.Linear(recipe.width_fc, recipe.outputs),
    )


def lenet(recipe: Recipe) -> nn.Module:
    side = recipe.input_size // 4
    return nn.Sequential(
        nn.Conv2d(recipe.channels, 6, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5, padding=2),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * side**2, 120),
        nn.Tanh(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, recipe.outputs),
    )


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.short = nn.Sequential()
        if stride != 1 or inputs != width:
            self.short = nn.Sequential(
                nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.short(x))


class ResNet20(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        width, blocks, inputs = 4, [], 4
        self.stem = nn.Conv2d(recipe.channels, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        for stage in range(3):
            for i in range(3):
                stride = 2 if stage and i == 0 else 1
                blocks.append(Block(inputs, width * 2**stage, stride))
                inputs = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(F.relu(self.bn(self.stem(x))))
        return self.fc(y.mean((2, 3)))


class ViT(nn.Module):
    def __init__(self, recipe: Recipe, dropout: float = 0.0) -> None:
        super().__init__()
        width, patches = 16, (recipe.input_size // 2) ** 2
        self.patch = nn.Conv2d(recipe.channels, width, 2, 2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, patches + 1, width) * 0.02)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 2, 32, 0.0, batch_first=True, norm_first=True)
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patch(x).flatten(2).transpose(1, 2)
        y = torch.cat([self.cls_token.expand(len(y), -1, -1), y], 1) + self.pos_embed
        y = self.drop(y)
        for layer in self.layers:
            y = layer(y)
        return self.head(self.norm(y[:, 0]))


class Rows(nn.Module):
    """A GRU that reads an image row by row."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.gru = nn.GRU(recipe.channels * recipe.input_size, 12, batch_first=True)
        self.fc = nn.Linear(12, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.gru(x.transpose(1, 2).flatten(2))
        return self.fc(y[:, -1])


class Dense(nn.Module):
    """Each layer reads all layers before it, as in DenseNet."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.stem = nn.Conv2d(recipe.channels, 6, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(6 + 4 * i),
                nn.ReLU(),
                nn.Conv2d(6 + 4 * i, 4, 3, padding=1, bias=False),
            )
            for i in range(3)
        )
        self.norm = nn.BatchNorm2d(18)
        self.fc = nn.Linear(18, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        for layer in self.layers:
            y = torch.cat([y, layer(y)], 1)
        return self.fc(F.relu(self.norm(y)).mean((2, 3)))


def groups(recipe: Recipe) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(recipe.channels, 8, 3, padding=1),
        nn.GroupNorm(2, 8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, recipe.outputs),
    )


class Tied(nn.Module):
    """A classifier on the code of an autoencoder whose two layers share one matrix."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        pixels = recipe.channels * recipe.input_size**2
        self.encode = nn.Linear(pixels, 16)
        self.again = nn.Linear(pixels, 16, bias=False)
        self.again.weight = self.encode.weight
        self.output = nn.Linear(32, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        code = F.relu(self.encode(x))
        back = F.linear(code, self.encode.weight.t())
        return self.output(torch.cat([code, torch.tanh(self.again(x - back))], 1))


class Branch(nn.Module):
    """What it computes depends on values: it cannot be computed for several nets by one call."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.one = nn.Linear(recipe.channels * recipe.input_size**2, 12)
        self.two = nn.Linear(12, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x.flatten(1))
        if y.mean() > 0:
            y = y * 2
        return self.two(F.relu(y))


class Fresh(Branch):
    """It writes into a tensor that it makes."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.zeros(len(x), 12, dtype=x.dtype)
        y[:, :] = self.one(x.flatten(1))
        return self.two(F.relu(y))


class Spectral(nn.Module):
    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.one = nn.Linear(recipe.channels * recipe.input_size**2, 12)
        self.two = nn.utils.parametrizations.spectral_norm(nn.Linear(12, 12))
        self.three = nn.Linear(12, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.three(F.relu(self.two(F.relu(self.one(x.flatten(1))))))


def dropped(recipe: Recipe) -> nn.Module:
    side = recipe.input_size // 2
    return nn.Sequential(
        nn.Conv2d(recipe.channels, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout2d(0.25),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * side**2, 16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, recipe.outputs),
    )


def dropped_vit(recipe: Recipe) -> nn.Module:
    return ViT(recipe, dropout=0.2)


class Noisy(nn.Module):
    """It draws random numbers of its own in its forward pass."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.one = nn.Linear(recipe.channels * recipe.input_size**2, 12)
        self.two = nn.Linear(12, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x.flatten(1))
        if self.training:
            y = F.dropout(y + torch.randn_like(y) * 0.1, 0.3)
        return self.two(F.relu(y))


class Features(nn.Module):
    """Random features that are no parameter, a constant table and a moving mean of its own."""

    features: Tensor
    table: Tensor
    mean: Tensor

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        pixels = recipe.channels * recipe.input_size**2
        self.register_buffer("features", torch.randn(24, pixels) / pixels**0.5, persistent=False)
        self.register_buffer("table", torch.arange(24).flip(0))
        self.register_buffer("mean", torch.zeros(24))
        self.fc = nn.Linear(24, recipe.outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x.flatten(1), self.features)[:, self.table]
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * y.detach().mean(0)
        return self.fc(y - self.mean)


class Lazy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = nn.LazyLinear(12)
        self.two = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.two(F.relu(self.one(x.flatten(1))))
