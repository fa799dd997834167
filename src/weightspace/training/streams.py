"""Random numbers that depend only on the net's seed, a purpose, the step and the position.

This is a keyed SplitMix64 (Steele, Lea & Flood, OOPSLA 2014) on int64 tensors. The n-th word of a
stream is a bijective mix of key + n * GAMMA. So each word of each net's stream can be computed
without the words before it, with the same bits on any device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)

PURPOSES = {
    "initialization": 1,
    "order": 2,
    "dropout": 3,
    "augmentation": 4,
    "noise": 5,
    "label noise": 6,
    "noise label": 7,
}


def signed(value: int) -> int:
    """The int64 with the same bits as an unsigned 64-bit number."""
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def mix(z: Tensor) -> Tensor:
    """The output function of SplitMix64 on int64, a bijection of 64 bits."""
    for shift, multiplier in zip((30, 27), _MULTIPLIERS, strict=True):
        z = (z ^ _logical_shift(z, shift)) * signed(multiplier)
    return z ^ _logical_shift(z, 31)


def _logical_shift(z: Tensor, shift: int) -> Tensor:
    return (z >> shift) & ((1 << (64 - shift)) - 1)


def keys(seeds: Tensor, purpose: str, step: int | Tensor) -> Tensor:
    """The stream keys int64 [M] of nets with `seeds` int64 [M], for one purpose at one step."""
    return mix(mix(seeds + signed(PURPOSES[purpose] * GAMMA)) + step)


def words(key: Tensor, count: int) -> Tensor:
    """The first `count` 64-bit words of each stream: int64 [M, count]."""
    position = torch.arange(1, count + 1, device=key.device) * signed(GAMMA)
    return mix(key.unsqueeze(1) + position)


def uniform(key: Tensor, count: int) -> Tensor:
    """Uniform numbers in (0, 1), float64 [M, count], 52 bits each."""
    return ((_logical_shift(words(key, count), 12)).double() + 0.5) * 2.0**-52


def uniform16(key: Tensor, count: int) -> Tensor:
    """Integers from -32768 to 32767, int16 [M, count], four from each word, for dropout masks."""
    return words(key, -(-count // 4)).view(torch.int16)[:, :count]


def normal(key: Tensor, count: int) -> Tensor:
    """Standard normal numbers, float32 [M, count], two from a word, by inverse error function."""
    halves = words(key, -(-count // 2)).view(torch.int32)[:, :count]
    u = (halves.float() * 2.0**-31).clamp(-1 + 2.0**-24, 1 - 2.0**-24)
    return torch.erfinv(u) * math.sqrt(2)


def permutations(key: Tensor, sizes: Sequence[int]) -> Tensor:
    """A random order of 0..size-1 for each net: int32 [M, max size]; later entries are not used."""
    longest = max(sizes)
    order = words(key, longest)
    beyond = torch.arange(longest, device=key.device) >= torch.tensor(
        sizes, device=key.device
    ).unsqueeze(1)
    order = order.masked_fill(beyond, 2**63 - 1)
    return torch.argsort(order, dim=1, stable=True).int()
