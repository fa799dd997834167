"""M nets of one plan as tensors with a leading net axis; nets never influence each other.

`TorchStack` computes in plain torch, on any device, with any activation. Convolutions run as one
grouped convolution over M x channels, channels-last; dense layers as batched products; batch norm
over M x channels is per net. On a CPU the grouped form was faster than patches and batched products
for every shape that was tried (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from weightspace.networks.activations import Runs, activate
from weightspace.networks.batch import Images, Masks, Step
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
)
from weightspace.networks.layout import RUNNING, TRAINABLE, Layout
from weightspace.networks.plan import Plan

NORM_MOMENTUM = 0.1
NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class StackShape:
    """The shapes that the forward pass of a stack needs.

    `trainable` and `running` are the layout's tensors in order: those that the optimizer changes,
    and the running statistics. The values of a stack are `weights` [M, trainable values], in layout
    order, and `stats`, one contiguous [M x width] tensor for each running statistic.
    """

    plan: Plan
    layout: Layout

    @classmethod
    def of(cls, plan: Plan) -> StackShape:
        """The shapes for a plan."""
        return cls(plan, plan.layout())

    def split(self, vectors: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Vectors [M, P] -> (weights [M, trainable], stats: one [M x width] for each statistic)."""
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
        """Vectors [M, P] from what `split` returned."""
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


class TorchStack:
    """Computes M nets of one plan: gradients of training steps, and logits.

    `weights` [M, n] and `stats` are as `StackShape.split` returns them. `activations` has one name
    for each net; it is fastest if equal names are neighbours.
    """

    def __init__(self, shape: StackShape, dtype: torch.dtype) -> None:
        self._shape, self._dtype = shape, dtype

    def gradient(
        self,
        images: Images,
        labels: Tensor,
        weights: Tensor,
        stats: list[Tensor],
        activations: Sequence[str],
        smoothing: Tensor,
        masks: Masks,
    ) -> Step:
        """The losses and gradients of one step; running statistics are updated in place.

        `labels` int64 [M, B]; `smoothing` of labels [M, 1].
        """
        leaves = [v.detach().requires_grad_() for v in self._shape.views(weights)]
        plan, runs = self._shape.plan, Runs.of(activations)
        with torch.enable_grad():
            logits = forward(plan, images.values(self._dtype), leaves, stats, runs, masks)
            log_p = torch.log_softmax(logits, 2)
            nll = -log_p.gather(2, labels.unsqueeze(2)).squeeze(2)
            flat = -log_p.mean(2)
            loss = ((1 - smoothing) * nll + smoothing * flat).mean(1)
            pieces = torch.autograd.grad(loss.sum(), leaves)
        with torch.no_grad():
            gradient = torch.cat([piece.reshape(len(weights), -1) for piece in pieces], 1)
            correct = (logits.argmax(2) == labels).double().mean(1)
            return Step(gradient, loss.double(), nll.double().mean(1), correct)

    @torch.no_grad()
    def logits(
        self, images: Images, weights: Tensor, stats: list[Tensor], activations: Sequence[str]
    ) -> Tensor:
        """Logits [M, B, outputs], with running statistics and without dropout."""
        x, tensors = images.values(self._dtype), self._shape.views(weights)
        return forward(self._shape.plan, x, tensors, stats, Runs.of(activations), None)


def forward(
    plan: Plan,
    x: Tensor,
    tensors: list[Tensor],
    stats: list[Tensor],
    runs: Runs,
    masks: Masks | None,
) -> Tensor:
    """Logits [M, B, outputs] of M nets, each on its own batch.

    `x` is [M, B, *input] and `tensors` are as `StackShape.views` returns them. In training, `stats`
    are updated in place. `masks` None means evaluation: no dropout, and running statistics.
    """
    y = _Pass(len(x), tensors, stats, runs, masks).chain(plan.layers, _merged(x))
    return y.reshape(len(y), len(x), -1).transpose(0, 1)


class _Pass:
    """One forward pass; values are [B, M x channels, H, W], and [B, M x values] after `Flatten`."""

    def __init__(
        self,
        nets: int,
        tensors: list[Tensor],
        stats: list[Tensor],
        runs: Runs,
        masks: Masks | None,
    ) -> None:
        self._nets, self._runs, self._training = nets, runs, masks is not None
        self._take, self._stat, self._mask = iter(tensors), iter(stats), iter(masks or [])

    def chain(self, layers: tuple[Layer, ...], y: Tensor) -> Tensor:
        for layer in layers:
            y = self._one(layer, y)
        return y

    def _one(self, layer: Layer, y: Tensor) -> Tensor:
        match layer:
            case Conv():
                return self._conv(layer, y)
            case Dense():
                return self._dense(layer, y)
            case Norm():
                return self._norm(layer, y)
            case Activation():
                return activate(y, self._runs, 1, y.shape[1] // self._nets)
            case Pool(kind="max"):
                return F.max_pool2d(y, layer.size, layer.step, layer.padding)
            case Pool():
                return F.avg_pool2d(y, layer.size, layer.step, layer.padding)
            case AdaptivePool():
                return F.adaptive_avg_pool2d(y, layer.size)
            case Dropout():
                return self._dropout(layer, y) if self._training else y
            case Flatten():
                return y.flatten(1)
            case Residual():
                return self.chain(layer.body, y) + self.chain(layer.shortcut, y)

    def _conv(self, layer: Conv, y: Tensor) -> Tensor:
        kernel = _kernel_channels_last(next(self._take))
        bias = next(self._take).reshape(-1) if layer.bias else None
        groups = self._nets * layer.groups
        return F.conv2d(y, kernel, bias, layer.stride, layer.padding, groups=groups)

    def _dense(self, layer: Dense, y: Tensor) -> Tensor:
        apart = y.unflatten(1, (self._nets, -1)).transpose(0, 1)  # [M, B, values]
        weight = next(self._take).transpose(1, 2)
        if layer.bias:
            z = torch.baddbmm(next(self._take).unsqueeze(1), apart, weight)
        else:
            z = torch.bmm(apart, weight)
        return z.transpose(0, 1).flatten(1)

    def _norm(self, layer: Norm, y: Tensor) -> Tensor:
        # One channel per net would give a strided view; torch's backward is wrong then.
        shift, scale = (next(self._take).reshape(-1).contiguous() for _ in range(2))
        if layer.kind != "batch":
            return F.group_norm(y, self._nets * layer.groups, scale, shift, NORM_EPSILON)
        mean, var = next(self._stat), next(self._stat)
        return F.batch_norm(y, mean, var, scale, shift, self._training, NORM_MOMENTUM, NORM_EPSILON)

    def _dropout(self, layer: Dropout, y: Tensor) -> Tensor:
        mask = next(self._mask)
        if mask is None:
            return y
        mask = mask.transpose(0, 1).flatten(1)  # [B, M x values]
        whole = (*y.shape[:2], *(1 for _ in y.shape[2:]))
        return y * mask.view(whole if layer.whole_channels else y.shape)


def _merged(x: Tensor) -> Tensor:
    """[M, B, ...] -> [B, M x C, ...], images in channels-last memory, with one copy."""
    return _channels_last(x) if x.dim() == 5 else x.transpose(0, 1).flatten(1)


def _channels_last(x: Tensor) -> Tensor:
    """[M, B, C, H, W] -> [B, M x C, H, W] in channels-last memory, with one copy."""
    nets, batch, channels, rows, columns = x.shape
    y = x.permute(1, 3, 4, 0, 2).reshape(batch, rows, columns, nets * channels)
    return y.permute(0, 3, 1, 2)


def _kernel_channels_last(kernel: Tensor) -> Tensor:
    """[M, O, C, k, k] -> [M x O, C, k, k] in channels-last memory, with one copy."""
    nets, out, channels, rows, columns = kernel.shape
    y = kernel.permute(0, 1, 3, 4, 2).reshape(nets * out, rows, columns, channels)
    return y.permute(0, 3, 1, 2)
