"""Which optimizers the native library computes: those whose update there has torch's bits.

The library rounds as torch does, but torch's own rounding depends on the processor and the kernels
that it has (its square root, for one, is not always rounded to the nearest). So each rule is
compared with its twin in torch once in a process, and left to torch where any bit differs: zoos do
not depend on which of the two computed a net.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np
import torch
from torch import Tensor

from weightspace.networks.native.updates import RULE, RULES, Updates, update
from weightspace.training.optimizers import Optimizer

_SETTINGS = (({"epsilon": 1e-8}, 0.9), ({"epsilon": 0.0}, 0.3))  # what is not named is the second


def same_bits(optimizer: Optimizer, found: ctypes.CDLL) -> bool:
    """Whether the library has this optimizer's rule, with the bits of its function in torch."""
    return optimizer.fused is not None and _compared(optimizer, found)


@cache
def _compared(optimizer: Optimizer, found: ctypes.CDLL) -> bool:
    assert optimizer.fused is not None
    weights, gradient, *slots = _numbers(2 + optimizer.slots)
    slots = [slot.abs() for slot in slots]
    for named, other in _SETTINGS:
        numbers = {name: named.get(name, other) for name in optimizer.settings}
        for rate in (1e-3, 0.3):
            rule = np.zeros(1, RULE)
            rule["kind"], rule["rate"], rule["keep"] = RULES.index(optimizer.fused.rule), rate, 1
            told = optimizer.fused.numbers(3, **numbers)
            rule["numbers"][0, : len(told)] = told
            ours = [t.clone() for t in (weights, *slots)]
            largest = torch.empty(1)
            update(found, ours[0], gradient, Updates(rule, ours[1:], False, largest))
            theirs = [t.clone() for t in (weights, *slots)]
            own = torch.tensor([[rate]])
            optimizer.update(theirs[0], gradient.clone(), theirs[1:], own, 3, **numbers)
            if not all(map(_same, ours, theirs)):
                return False
    return True


def _numbers(count: int) -> list[Tensor]:
    """Rows [1, n] of numbers of all sizes and both signs, zeros and infinities among them."""
    g = torch.Generator().manual_seed(0)
    signs = torch.randn(count, 1, 4099, generator=g)
    rows = signs * 10 ** torch.empty(count, 1, 4099).uniform_(-40, 5, generator=g)
    rows[:, :, ::37], rows[:, :, 1::37] = 0.0, -0.0
    rows[1, 0, 5::911] = torch.inf
    return list(rows)


def _same(a: Tensor, b: Tensor) -> bool:
    bits = a.view(torch.int32) == b.view(torch.int32)
    return bool((bits | (a.isnan() & b.isnan())).all())
