"""M nets of one plan as tensors with a leading net axis: forward passes that mix nothing.

Convolutions run as one grouped convolution over M x channels, channels-last; dense layers as
batched products; batch norm over M x channels is per net by construction. Timed against patches
and batched products on a CPU, the grouped form won for every shape tried (docs/benchmarks.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from weightspace.networks.activations import Runs, activate
from weightspace.networks.layout import RUNNING, TRAINABLE, Layout
from weightspace.networks.plan import Plan

NORM_MOMENTUM = 0.1
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class StackShape:
    """What the forward pass of a stack needs to know, besides its values.

    `trainable` and `running` are the layout's tensors in order, split by whether an optimizer
    moves them. A stack's values are `weights` [M, trainable values], in layout order without the
    running statistics, and `stats`, one contiguous [M x width] tensor per running statistic.
    """

    plan: Plan
    layout: Layout

    @classmethod
    def of(cls, plan: Plan) -> StackShape:
        """The shape for a plan."""
        return cls(plan, plan.layout())

    def split(self, vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Vectors [M, P] -> (weights [M, trainable], stats: one [M x width] per statistic)."""
        weights = [
            vectors[:, t.offset : t.stop] for t in self.layout.tensors if t.role in TRAINABLE
        ]
        stats = [
            vectors[:, t.offset : t.stop].reshape(-1)
            for t in self.layout.tensors
            if t.role in RUNNING
        ]
        return torch.cat(weights, 1), [s.clone() for s in stats]

    def join(self, weights: Tensor, stats: list[Tensor]) -> Tensor:
        """The inverse of `split`: vectors [M, P]."""
        nets = weights.shape[0]
        rest, left = iter(stats), 0
        pieces = []
        for spec in self.layout.tensors:
            if spec.role in RUNNING:
                pieces.append(next(rest).view(nets, -1))
            else:
                pieces.append(weights[:, left : left + spec.size])
                left += spec.size
        return torch.cat(pieces, 1)

    def views(self, weights: Tensor) -> list[Tensor]:
        """Each trainable tensor as a view [M, *shape] of `weights`, in layout order."""
        views, left = [], 0
        for spec in self.layout.tensors:
            if spec.role in TRAINABLE:
                views.append(weights[:, left : left + spec.size].unflatten(1, spec.shape))
                left += spec.size
        return views


def forward(
    plan: Plan,
    x: Tensor,
    tensors: list[Tensor],
    stats: list[Tensor],
    runs: Runs,
    masks: list[Tensor] | None,
) -> Tensor:
    """Logits [M, B, outputs] of M nets, each on its own batch.

    x [M, B, C, H, W]; `tensors` as from `StackShape.views`; `stats` are updated in place when
    training. `masks` holds one factor [M, B, width] per hidden dense layer (0, or 1 / keep
    probability) and means training; None means evaluation: no dropout, running statistics.
    """
    nets, batch = x.shape[:2]
    take, stat = iter(tensors), iter(stats)
    training = masks is not None

    def norm(y: Tensor) -> Tensor:
        """Batch norm of [B, M x width, ...]: one statistic a net and channel."""
        if not plan.batch_norm:
            return y
        shift, scale = next(take).reshape(-1), next(take).reshape(-1)
        mean, var = next(stat), next(stat)
        return F.batch_norm(y, mean, var, scale, shift, training, NORM_MOMENTUM, NORM_EPSILON)

    y = _channels_last(x)
    for layer in plan.conv:
        kernel, bias = _kernel_channels_last(next(take)), next(take).reshape(-1)
        y = F.conv2d(y, kernel, bias, padding=layer.padding, groups=nets)
        y = activate(norm(y), runs, 1, layer.width)
        if layer.pool:
            y = F.max_pool2d(y, 2)
    y = y.unflatten(1, (nets, -1)).transpose(0, 1).flatten(2)  # [M, B, features]
    for index, width in enumerate(plan.fc):
        y = activate(_dense(y, next(take), next(take)), runs, 0)
        if plan.batch_norm:
            y = norm(y.transpose(0, 1).reshape(batch, nets * width))
            y = y.view(batch, nets, width).transpose(0, 1)
        if masks is not None:
            y = y * masks[index]
    return _dense(y, next(take), next(take))


def _channels_last(x: Tensor) -> Tensor:
    """[M, B, C, H, W] -> [B, M x C, H, W] in channels-last memory, by one copy."""
    nets, batch, channels, rows, columns = x.shape
    y = x.permute(1, 3, 4, 0, 2).reshape(batch, rows, columns, nets * channels)
    return y.permute(0, 3, 1, 2)


def _kernel_channels_last(kernel: Tensor) -> Tensor:
    """[M, O, C, k, k] -> [M x O, C, k, k] in channels-last memory, by one copy."""
    nets, out, channels, rows, columns = kernel.shape
    y = kernel.permute(0, 1, 3, 4, 2).reshape(nets * out, rows, columns, channels)
    return y.permute(0, 3, 1, 2)


def _dense(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Product and bias: x [M, B, I], weight [M, O, I], bias [M, O] -> [M, B, O]."""
    return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))
