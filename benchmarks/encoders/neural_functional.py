"""`Nfn`: permutation-equivariant layers on weights and biases, from the package nfn."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from layers import layers_of
from learning import Learner
from nfn.common import WeightSpaceFeatures, network_spec_from_wsfeat
from nfn.layers import NPLinear, NPPool, TupleOp
from torch import nn

_CHANNELS, _BLOCKS = 8, 2


class Nfn(Learner):
    """Equivariant linear layers with ReLU, then means and mean squares of every channel.

    It reads weights and biases of one architecture, which must be a chain of layers; norms are not
    read. Each value is relative to the size of its tensor, and enters with this size beside it, so
    that nets with large weights do not outweigh the others.
    """

    name = "nfn"
    about = "neural functional NPLinear of the package nfn (Zhou et al., arXiv 2302.14040)"

    def prepare(self, rows):
        """Weights and biases of each layer."""
        return _Nets(rows)

    def build(self, nets):
        """Equivariant layers."""
        return _Functional(nets)


class _Nets:
    """Weights [n, 1, units, inputs, ...], biases [n, 1, units] and log sizes [n, tensors]."""

    def __init__(self, rows):
        vectors, layers = torch.tensor(rows.weights), layers_of(rows.layout(0))
        self.weights, self.biases, sizes, before = [], [], [], 0
        for layer in layers:
            own, size = _part(vectors, layer.kernel)
            shape = layer.kernel.shape
            if len(shape) == 2 and before and shape[1] > before:
                own = own.unflatten(3, (before, 1, -1))  # positions of a channel, as if taps
            self.weights.append(own)
            bias, of_bias = _part(vectors, layer.units.get("bias", layer.kernel))
            self.biases.append(bias if "bias" in layer.units else bias.new_zeros(own.shape[:3]))
            sizes += [size, of_bias]
            before = shape[0]
        self.sizes = torch.stack(sizes, dim=1).log()

    def __len__(self):
        return len(self.sizes)

    def batch(self, chosen, rng):
        """Weights, biases and log sizes of these nets."""
        own = torch.from_numpy(chosen)
        return (
            [one[own] for one in self.weights],
            [one[own] for one in self.biases],
            self.sizes[own],
        )


def _part(vectors, spec):
    """A tensor of every net, relative to its size; and the size, the root of its mean square."""
    own = vectors[:, spec.offset : spec.stop]
    size = own.square().mean(dim=1).sqrt() + 1e-8
    return (own / size[:, None]).asinh().unflatten(1, (1, *spec.shape)), size


class _Functional(nn.Module):
    def __init__(self, nets, width=128):
        super().__init__()
        self.width = width
        self.register_buffer("mean", nets.sizes.mean(dim=0))
        self.register_buffer("inverse", 1 / nets.sizes.std(dim=0).clamp_min(1e-3))
        one = WeightSpaceFeatures([w[:1] for w in nets.weights], [b[:1] for b in nets.biases])
        spec, steps = network_spec_from_wsfeat(one), []
        for block in range(_BLOCKS):
            takes = _CHANNELS if block else 2
            steps += [NPLinear(spec, takes, _CHANNELS, io_embed=True), TupleOp(nn.ReLU())]
        self.steps, self.pool = nn.Sequential(*steps), NPPool(spec)
        pooled = 2 * _CHANNELS * NPPool.get_num_outs(spec)
        self.last = nn.Linear(pooled + nets.sizes.shape[1], width)

    def forward(self, batch):
        """Features of nets."""
        weights, biases, sizes = batch
        sizes = ((sizes - self.mean) * self.inverse).clamp(-5, 5)
        weights = [_beside(one, sizes[:, 2 * k]) for k, one in enumerate(weights)]
        biases = [_beside(one, sizes[:, 2 * k + 1]) for k, one in enumerate(biases)]
        out = self.steps(WeightSpaceFeatures(weights, biases))
        pooled = torch.cat([self.pool(out), self.pool(out * out)], dim=1)
        return F.gelu(self.last(torch.cat([pooled.flatten(1), sizes], dim=1)))


def _beside(values, size):
    """Values with a second channel, which has the size everywhere."""
    return torch.cat([values, size.view(-1, *[1] * (values.ndim - 1)).expand_as(values)], dim=1)
