"""`GraphNet`: messages between the units of a net, along its weights."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from layers import UNIT_ROLES, Layer, blocks_of, layers_of
from learning import Learner
from torch import Tensor, nn

_EDGE, _CHANNELS, _NODE, _MESSAGE, _LAYER, _ROUNDS = 24, 6, 32, 16, 64, 2
_UNITS = 48
"""The most units of a layer that are read at once."""
_KNEE = 0.1
_ROLES = len(UNIT_ROLES)
_FACTS = 5 + 2 * _ROLES


class GraphNet(Learner):
    """Units are nodes with their bias and norm; a kernel entry with its taps is an edge.

    Edges are embedded. Then nodes hear along their edges, in both directions, a few times. Layers
    are summed up by means and maxima of their nodes and edges, and by the sizes of their tensors;
    the net by the mean and maximum of its layers, the first and the last. No step depends on the
    order of hidden units. Edges from convolutions to a dense layer are the mean and deviation over
    positions. Where a kernel does not fit to the one before it, as after a shortcut, its input
    units are nodes of their own. If a layer has more than 48 units, 48 are drawn anew in each
    epoch; what is read later is always the same draw.
    """

    name = "graph-net"
    about = "message passing between units (idea of Kofinas et al., arXiv 2403.12143)"

    def prepare(self, rows):
        """Vectors, and for each layout where the tensors are."""
        return _Nets(rows)

    def build(self, nets):
        """The messages."""
        return _Messages(nets)


class _Link(NamedTuple):
    """A layer as edges: its number of input units, and whether they are those of the one before."""

    layer: Layer
    inputs: int
    chained: bool


class _Read(NamedTuple):
    """A layer's edges, unit values [n, units, roles], and facts [n, facts].

    The edges of a convolution are [n, units, inputs, taps, taps]; those of a dense layer are
    [n, units, inputs, 2], mean and deviation over positions.
    """

    edges: Tensor
    values: Tensor
    facts: Tensor


class _Nets:
    """Vectors, with one list of links for each layout."""

    def __init__(self, rows):
        self.vectors = [torch.tensor(rows.vector(i)) for i in range(len(rows))]
        self.keys = [rows.layout(i).key for i in range(len(rows))]
        self.links = {}
        for i, key in enumerate(self.keys):
            if key not in self.links:
                self.links[key] = _links(layers_of(rows.layout(i)))

    def __len__(self):
        return len(self.vectors)

    def batch(self, chosen, rng):
        """For each layout its links, what they read, and the places among those chosen."""
        places = {}
        for place, i in enumerate(chosen):
            places.setdefault(self.keys[i], []).append(place)
        out = []
        for key, own in places.items():
            vectors = torch.stack([self.vectors[chosen[place]] for place in own])
            out.append((self.links[key], _read(self.links[key], vectors, rng), own))
        return out


def _links(layers):
    found = zip(layers, blocks_of(layers), strict=True)
    return [_Link(one, blocks or one.kernel.shape[1], blocks > 0) for one, blocks in found]


def _read(links, vectors, rng):
    """What each layer has, its kernel relative to its size; of many units, some."""
    rng = np.random.default_rng(0) if rng is None else rng
    found, ends = [], None
    for k, link in enumerate(links):
        starts = ends if link.chained else _some(link.inputs, rng)
        ends = _some(link.layer.kernel.shape[0], rng)
        found.append(_read_layer(link, vectors, k / len(links), starts, ends))
    return found


def _some(count, rng):
    return rng.permutation(count)[:_UNITS] if count > _UNITS else slice(None)


def _read_layer(link, vectors, depth, starts, ends):
    spec = link.layer.kernel
    edges, size = _edges(link, vectors, starts, ends)
    width, units = math.prod(spec.shape[1:]), spec.shape[0]
    known = (math.log(width), math.log(units), depth, float(len(spec.shape) == 4))
    facts = [size.log(), *(torch.full_like(size, one) for one in known)]
    values = vectors.new_zeros(_ROLES, len(vectors), units)
    for k, role in enumerate(UNIT_ROLES):
        if role in link.layer.units:
            own, size = _part(vectors, link.layer.units[role])
            values[k] = (own / _KNEE).asinh()
            facts += [torch.ones_like(size), size.log()]
        else:
            facts += [torch.zeros_like(size)] * 2
    return _Read(edges, values.permute(1, 2, 0)[:, ends], torch.stack(facts, dim=1))


def _edges(link, vectors, starts, ends):
    """The entries of a kernel relative to its size, as `_Read` has them; and the size."""
    spec = link.layer.kernel
    kernel, size = _part(vectors, spec)
    kernel = kernel.view(len(vectors), spec.shape[0], link.inputs, -1)[:, ends][:, :, starts]
    kernel = (kernel / size.view(-1, 1, 1, 1)).asinh()
    if len(spec.shape) == 4:
        return kernel.unflatten(3, spec.shape[2:]), size
    mean = kernel.mean(dim=3, keepdim=True)
    spread = (kernel - mean).square().mean(dim=3, keepdim=True).sqrt()
    return torch.cat([mean, spread], dim=3), size


def _part(vectors, spec):
    """The values of a tensor, and the root of their mean square for each net."""
    own = vectors[:, spec.offset : spec.stop]
    return own, own.square().mean(dim=1).sqrt() + 1e-8


class _Messages(nn.Module):
    def __init__(self, nets, width=128):
        super().__init__()
        kernels = [one.layer.kernel.shape for links in nets.links.values() for one in links]
        self.width, self.side = width, max([1, *(max(one[2:], default=1) for one in kernels)])
        some = range(0, len(nets), 1 + len(nets) // 200)
        facts = torch.cat([one.facts for _, read, _ in nets.batch(some, None) for one in read])
        self.register_buffer("mean", facts.mean(dim=0))
        self.register_buffer("inverse", 1 / facts.std(dim=0).clamp_min(1e-3))
        self.conv, self.dense = _embedding(self.side**2), _embedding(2)
        self.channels = nn.Linear(_EDGE, _CHANNELS)
        self.units = nn.Linear(_EDGE + _ROLES + _FACTS, _NODE)
        self.leaving = nn.Linear(_EDGE, _NODE)
        self.rounds = nn.ModuleList(_Round() for _ in range(_ROUNDS))
        self.layer = nn.Linear(3 * (_NODE + _EDGE) + _FACTS, _LAYER)
        self.net = nn.Linear(4 * _LAYER, width)

    def forward(self, batch):
        """Features of nets, in the order in which they were chosen."""
        found = torch.cat([self._of_layout(links, layers) for links, layers, _ in batch])
        places = torch.tensor([place for *_, own in batch for place in own])
        return found[places.argsort()]

    def _of_layout(self, links, layers):
        edges = [self._embedded(one.edges) for one in layers]
        facts = [((one.facts - self.mean) * self.inverse).clamp(-5, 5) for one in layers]
        nodes, ends = self._nodes(links, layers, edges, facts)
        tables = [self.channels(one) for one in edges]
        tables = [(one.flatten(2), one.transpose(1, 2).flatten(2)) for one in tables]
        for one in self.rounds:
            nodes = one(nodes, ends, tables)
        found = [
            torch.cat([_summary(nodes[end]), _summary(edge.flatten(1, 2)), fact], dim=1)
            for (_, end), edge, fact in zip(ends, edges, facts, strict=True)
        ]
        each = F.gelu(self.layer(torch.stack(found, dim=1)))
        parts = [each.mean(dim=1), each.amax(dim=1), each[:, 0], each[:, -1]]
        return F.gelu(self.net(torch.cat(parts, dim=1)))

    def _embedded(self, edges):
        """Edges of a layer: [n, units, inputs, values]."""
        if edges.ndim == 4:
            return self.dense(edges)
        pads = []
        for taps in reversed(edges.shape[3:]):
            before = (self.side - taps) // 2
            pads += [before, self.side - taps - before]
        return self.conv(F.pad(edges, pads).flatten(3))

    def _nodes(self, links, layers, edges, facts):
        """The first state of all units, and for each layer where its inputs and outputs are."""
        nodes, ends = [], []
        for link, layer, edge, fact in zip(links, layers, edges, facts, strict=True):
            leaving = self.leaving(edge.mean(dim=1))
            if link.chained:
                nodes[-1] = nodes[-1] + leaving
            else:
                nodes.append(leaving)
            every = fact[:, None].expand(-1, edge.shape[1], -1)
            nodes.append(self.units(torch.cat([edge.mean(dim=2), layer.values, every], dim=2)))
            ends.append((len(nodes) - 2, len(nodes) - 1))
        return [F.gelu(one) for one in nodes], ends


class _Round(nn.Module):
    """Every node hears those before it and those behind it, and changes."""

    def __init__(self):
        super().__init__()
        self.ahead = nn.Linear(_NODE, _CHANNELS * _MESSAGE)
        self.back = nn.Linear(_NODE, _CHANNELS * _MESSAGE)
        self.change = nn.Sequential(
            nn.Linear(_NODE + 2 * _MESSAGE, 2 * _NODE), nn.GELU(), nn.Linear(2 * _NODE, _NODE)
        )
        self.norm = nn.LayerNorm(_NODE)

    def forward(self, nodes, ends, tables):
        heard = [[one.new_zeros(*one.shape[:2], _MESSAGE)] * 2 for one in nodes]
        for (start, end), (ahead, back) in zip(ends, tables, strict=True):
            heard[end][0] = _message(ahead, self.ahead(nodes[start]))
            heard[start][1] = _message(back, self.back(nodes[end]))
        return [
            self.norm(one + self.change(torch.cat([one, *own], dim=2)))
            for one, own in zip(nodes, heard, strict=True)
        ]


def _message(table, spoken):
    """Sums over edges: each channel of an edge, times what its start says on that channel."""
    count = spoken.shape[1]
    return table @ spoken.unflatten(2, (_CHANNELS, _MESSAGE)).flatten(1, 2) / math.sqrt(count)


def _summary(values):
    """Mean, maximum and root mean square over nodes or edges."""
    size = (values.square().mean(dim=1) + 1e-8).sqrt()
    return torch.cat([values.mean(dim=1), values.amax(dim=1), size], dim=1)


def _embedding(taps):
    return nn.Sequential(nn.Linear(taps, _EDGE), nn.GELU(), nn.Linear(_EDGE, _EDGE), nn.GELU())
