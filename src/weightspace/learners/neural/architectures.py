"""The networks: stages of convolutions over a slice, then dense layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weightspace.arrays import Float


@dataclass(frozen=True)
class Stage:
    """A convolution along the slice: output channels, taps, stride, and whether pooling follows.

    A `separable` one convolves each channel by itself and then mixes the channels at each position.
    """

    channels: int
    taps: int = 5
    stride: int = 1
    pool: bool = False
    separable: bool = False


@dataclass(frozen=True)
class Architecture:
    """Convolutions, hidden dense widths, dropout between dense layers, and the knee of the input.

    With a `knee` above 0 the input of the network is asinh(value / knee), otherwise the values.
    """

    stages: tuple[Stage, ...]
    dense: tuple[int, ...]
    dropout: float
    knee: float


def _paper(*row: tuple[int, bool]) -> Architecture:
    stages = tuple(Stage(channels, pool=pool) for channels, pool in row)
    return Architecture(stages, (1024, 1024, 1024, 1024, 64), 0.5, 0.0)


_P, _ = True, False
_SHORT = _paper(
    (8, _P), (16, _P), (32, _), (64, _P), (128, _), (256, _P), (256, _P), (256, _P), (256, _P),
    (256, _), (256, _), (256, _P),
)  # fmt: skip
_LONG = _paper(
    (8, _P), (16, _P), (32, _P), (64, _P), (128, _P), (128, _P), (128, _P), (128, _P), (128, _P),
    (128, _), (256, _P), (256, _), (256, _P), (256, _), (256, _P),
)  # fmt: skip
LONGEST = 40_000
"""The longest slice, in values, for the shorter network of the paper."""

PATCHES = Architecture(
    (
        Stage(20, taps=84, stride=8),
        Stage(24, pool=True, separable=True),
        Stage(32, pool=True, separable=True),
        Stage(48, pool=True, separable=True),
        Stage(64, pool=True, separable=True),
        Stage(96, separable=True),
        Stage(96, separable=True),
        Stage(96, pool=True, separable=True),
    ),
    (64,),
    0.5,
    1e-2,
)
"""Patches of about ten strides, then cheap stages; the receptive field is that of the paper."""


def paper(length: int) -> Architecture:
    """The local network of Eilertsen et al. (ECAI 2020) for slices of so many values."""
    return _SHORT if length <= LONGEST else _LONG


class Dropout(nn.Module):
    """Dropout with its own random stream, so that networks trained in parallel share none."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """In training `x` with a random share of its values set to 0; otherwise `x`."""
        if not self.training:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.share, generator=self.generator)
        return x * kept / (1 - self.share)


class Network(nn.Module):
    """An architecture for slices of one length, with a score for each class.

    Every layer is a convolution (or a dense product), ReLU, batch norm; dropout follows dense
    layers.
    """

    def __init__(self, architecture: Architecture, length: int, classes: int) -> None:
        super().__init__()
        self.knee = architecture.knee
        layers: list[nn.Module] = []
        channels, places = 1, length
        for stage in architecture.stages:
            layers += [
                *_convolution(channels, places, stage),
                nn.ReLU(),
                nn.BatchNorm1d(stage.channels),
            ]
            channels, places = stage.channels, -(-places // stage.stride)
            if stage.pool and places > 1:
                layers.append(nn.MaxPool1d(2))
                places //= 2
        self.convolutions = nn.Sequential(*layers)
        width, layers = channels * places, []
        for out in architecture.dense:
            layers += [nn.Linear(width, out), nn.ReLU(), nn.BatchNorm1d(out)]
            layers.append(Dropout(architecture.dropout))
            width = out
        self.dense = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, slices: Float[Tensor, "n length"]) -> Float[Tensor, "n levels"]:
        """Scores of slices."""
        seen = (slices / self.knee).asinh() if self.knee else slices
        out: Tensor = self.dense(self.convolutions(seen[:, None]).flatten(1))
        return out


def _convolution(channels: int, places: int, stage: Stage) -> list[nn.Module]:
    """Pad with zeros so that every `stride` values give one output; the last may cover fewer."""
    missing = (-(-places // stage.stride) - 1) * stage.stride + stage.taps - places
    pad = nn.ConstantPad1d((missing // 2, missing - missing // 2), 0.0)
    groups, out = (channels, channels) if stage.separable else (1, stage.channels)
    along = nn.Conv1d(channels, out, stage.taps, stage.stride, groups=groups)
    return [pad, along, *([nn.Conv1d(channels, stage.channels, 1)] if stage.separable else [])]
