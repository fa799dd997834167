"""Initial weights by name, each a function of uniform random numbers.

To add one, write a function of (uniform numbers, fan in, fan out) and add a line to
`INITIALIZATIONS`. Biases and shifts of norms start at 0, scales and running variances at 1, running
means at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from weightspace.networks.layout import Layout, TensorSpec


def _constant(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return torch.full_like(u, 0.1)


def _normal(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return torch.erfinv(2 * u - 1) * math.sqrt(2)


def _glorot_uniform(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return (2 * u - 1) * math.sqrt(6 / (fan_in + fan_out))


def _glorot_normal(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return _normal(u, fan_in, fan_out) * math.sqrt(2 / (fan_in + fan_out))


def _he_uniform(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return (2 * u - 1) * math.sqrt(6 / fan_in)


def _he_normal(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return _normal(u, fan_in, fan_out) * math.sqrt(2 / fan_in)


INITIALIZATIONS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "constant": _constant,
    "normal": _normal,
    "glorot_uniform": _glorot_uniform,
    "glorot_normal": _glorot_normal,
    "he_uniform": _he_uniform,
    "he_normal": _he_normal,
}


def initial_vector(layout: Layout, name: str, u: Tensor) -> Tensor:
    """The first vector of a net, float64 [P], from `u`, uniform float64 [P] in (0, 1)."""
    vector = torch.zeros_like(u)
    for spec in layout.tensors:
        here = slice(spec.offset, spec.stop)
        if spec.role == "weight":
            vector[here] = INITIALIZATIONS[name](u[here], *_fans(spec))
        elif spec.role in ("scale", "running_var"):
            vector[here] = 1.0
    return vector


def _fans(spec: TensorSpec) -> tuple[int, int]:
    """Fan in and fan out (Glorot & Bengio, AISTATS 2010): channels times the area of the kernel."""
    area = math.prod(spec.shape[2:])
    return spec.shape[1] * area, spec.shape[0] * area
