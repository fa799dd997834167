"""Initial weights by name, each a function of uniform random numbers.

To add one, write a function of (uniform numbers, fan in, fan out) and add a line to
`INITIALIZATIONS`. Biases start at 0, unless `BIASES` has a function for them; shifts of norms and
running means start at 0, scales and running variances at 1.
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


def _lecun_uniform(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return (2 * u - 1) * math.sqrt(3 / fan_in)


def _lecun_normal(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return _normal(u, fan_in, fan_out) * math.sqrt(1 / fan_in)


def _torch_default(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    return (2 * u - 1) / math.sqrt(fan_in)


def _orthogonal(u: Tensor, fan_in: int, fan_out: int) -> Tensor:
    """Rows or columns of length 1 that are at right angles (Saxe et al., ICLR 2014)."""
    matrix = _normal(u, fan_in, fan_out).view(-1, fan_in)
    wide = matrix.shape[0] < matrix.shape[1]
    q, r = torch.linalg.qr(matrix.T if wide else matrix)
    q = q * r.diagonal().sign()
    found: Tensor = (q.T if wide else q).reshape(-1)
    return found


INITIALIZATIONS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "constant": _constant,
    "normal": _normal,
    "glorot_uniform": _glorot_uniform,
    "glorot_normal": _glorot_normal,
    "he_uniform": _he_uniform,
    "he_normal": _he_normal,
    "lecun_uniform": _lecun_uniform,
    "lecun_normal": _lecun_normal,
    "orthogonal": _orthogonal,
    "torch_default": _torch_default,
}

BIASES: dict[str, Callable[[Tensor, int, int], Tensor]] = {"torch_default": _torch_default}
"""Initial biases, by initialization, as functions of the fans of the layer's weight."""


def initial_vector(layout: Layout, name: str, u: Tensor) -> Tensor:
    """The first vector of a net, float64 [P], from `u`, uniform float64 [P] in (0, 1)."""
    vector = torch.zeros_like(u)
    for spec in layout.tensors:
        here = slice(spec.offset, spec.stop)
        if spec.role == "weight":
            fans = _fans(spec)
            vector[here] = INITIALIZATIONS[name](u[here], *fans)
        elif spec.role == "bias" and name in BIASES:
            vector[here] = BIASES[name](u[here], *fans)
        elif spec.role in ("scale", "running_var"):
            vector[here] = 1.0
    return vector


def _fans(spec: TensorSpec) -> tuple[int, int]:
    """Fan in and fan out (Glorot & Bengio, AISTATS 2010): channels times the area of the kernel."""
    area = math.prod(spec.shape[2:])
    return spec.shape[1] * area, spec.shape[0] * area
