"""`Transformer`: attention between the units of a net."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from layers import UNIT_ROLES, blocks_of, layers_of
from learning import Learner
from torch import nn

_CHUNK = 144
"""The weights of one token; a unit with more has several tokens."""
_TOKENS = 128
"""The most tokens of a net that are read at once."""
_LAYERS = 16
"""So many layers from either end have an embedding of their own."""
_KNEE = 0.1


class Transformer(Learner):
    """A token for each output unit of each layer, two layers of attention, and their mean.

    A token has the incoming weights of the unit, relative to the kernel's size, its bias and its
    values in norms, and how large all of them are; embeddings say at which place the layer is. The
    order of hidden units means nothing, so the weights from them are shuffled anew for each net in
    each epoch. If a net has more than 128 tokens, 128 of them are drawn anew as well. What is read
    later is in its own order, and always the same draw.
    """

    name = "transformer"
    about = "a transformer on the rows of the kernels, one token a unit, hidden units shuffled"

    def prepare(self, rows):
        """The layers of each net."""
        return _Nets([_layers(rows, i) for i in range(len(rows))])

    def build(self, nets):
        """Attention on tokens."""
        return _Attention(nets)


class _Layer(NamedTuple):
    """Facts of each unit, its weights in whole chunks, blocks of weights, and the place."""

    facts: np.ndarray
    weights: np.ndarray
    blocks: int
    width: int
    place: np.ndarray

    def tokens(self, rng):
        """Facts and weights, float32 [tokens, values]; shuffled if there is a generator."""
        weights = self.weights
        if rng is not None and self.blocks:
            order = np.arange(weights.shape[1])
            blocks = order[: self.width].reshape(self.blocks, -1)
            order[: self.width] = rng.permutation(blocks).ravel()
            weights = weights[:, order]
        chunks = weights.reshape(-1, _CHUNK)
        facts = np.repeat(self.facts, len(chunks) // len(self.facts), axis=0)
        return np.concatenate([facts, chunks], axis=1)


class _Nets:
    """Nets as lists of layers."""

    def __init__(self, found):
        self.found = found

    def __len__(self):
        return len(self.found)

    def batch(self, chosen, rng):
        """Tokens, places, and which of them are there, padded to the same number."""
        own = [_drawn(self.found[i], rng) for i in chosen]
        most = max(len(values) for values, _ in own)
        tokens = np.zeros((len(own), most, own[0][0].shape[1]), np.float32)
        places = np.zeros((len(own), most, 3), np.int64)
        there = np.zeros((len(own), most), bool)
        for i, (values, where) in enumerate(own):
            tokens[i, : len(values)], places[i, : len(values)] = values, where
            there[i, : len(values)] = True
        return torch.from_numpy(tokens), torch.from_numpy(places), torch.from_numpy(there)


def _drawn(layers, rng):
    """The tokens of a net and their places."""
    tokens = [one.tokens(rng) for one in layers]
    places = np.repeat([one.place for one in layers], [len(one) for one in tokens], axis=0)
    tokens = np.concatenate(tokens)
    if len(tokens) <= _TOKENS:
        return tokens, places
    rng = np.random.default_rng(0) if rng is None else rng
    some = rng.choice(len(tokens), _TOKENS, replace=False)
    return tokens[some], places[some]


def _layers(rows, i):
    vector, layers = rows.vector(i), layers_of(rows.layout(i))
    blocks = blocks_of(layers)
    return [_layer(vector, layers, depth, blocks[depth]) for depth in range(len(layers))]


def _layer(vector, layers, depth, blocks):
    """The place is the layer's number from either end, and whether it is dense."""
    layer, end = layers[depth], len(layers) - 1 - depth
    kernel = _values(vector, layer.kernel).reshape(layer.kernel.shape[0], -1)
    units, width = kernel.shape
    scale, own = _size(kernel), _size(kernel, axis=1)
    weights = np.zeros((units, -(-width // _CHUNK) * _CHUNK), np.float32)
    weights[:, :width] = np.arcsinh(kernel / scale)
    facts = [np.log(scale), np.log(width), np.log(units), depth / len(layers)]
    of_units = [np.log(own / scale), kernel.mean(axis=1) / own]
    for role in UNIT_ROLES:
        has = role in layer.units
        value = _values(vector, layer.units[role]) if has else np.zeros(units, np.float32)
        of_units.append(np.arcsinh(value / _KNEE))
        facts.append(np.log(_size(value)) if has else 0.0)
    table = np.stack([*of_units, *(np.full(units, one) for one in facts)], axis=1)
    place = (min(depth, _LAYERS - 1), min(end, _LAYERS - 1), len(layer.kernel.shape) == 2)
    return _Layer(table.astype(np.float32), weights, blocks, width, np.array(place, np.int64))


def _values(vector, spec):
    return vector[spec.offset : spec.stop]


def _size(values, axis=None):
    """The root of the mean square."""
    return np.sqrt(np.mean(np.square(values), axis=axis)) + 1e-8


class _Attention(nn.Module):
    def __init__(self, nets, width=64):
        super().__init__()
        self.width = width
        some = nets.found[:: 1 + len(nets) // 200]
        some = np.concatenate([one.tokens(None) for net in some for one in net])
        self.register_buffer("mean", torch.from_numpy(some.mean(axis=0)))
        self.register_buffer("inverse", torch.from_numpy(1 / np.maximum(some.std(axis=0), 1e-3)))
        self.embed = nn.Sequential(
            nn.Linear(some.shape[1], 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.places = nn.ModuleList(nn.Embedding(count, width) for count in (_LAYERS, _LAYERS, 2))
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, 0.1, "gelu", batch_first=True, norm_first=True
        )
        self.attend = nn.TransformerEncoder(layer, 2, nn.LayerNorm(width), False)

    def forward(self, batch):
        """The mean of a net's tokens after attention."""
        tokens, places, there = batch
        seen = ((tokens - self.mean) * self.inverse).clamp(-5, 5)
        x = self.embed(seen)
        for k, place in enumerate(self.places):
            x = x + place(places[:, :, k])
        x = self.attend(x, src_key_padding_mask=None if there.all() else ~there)
        share = there[:, :, None].float()
        return (x * share).sum(dim=1) / share.sum(dim=1)
