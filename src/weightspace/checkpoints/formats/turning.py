"""Kernels of Keras, TensorFlow and JAX in torch's order: [out, in, ...] for [..., in, out].

Also their names: "/" becomes ".", and what several kernels of one layer are called. Nothing is
copied: a tensor gets another shape and other strides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from weightspace.checkpoints.tensors import Tensor, contiguous

TURNED = "kernels were stored as [..., in, out] and are turned to torch's [out, in, ...]"
_HEADS_IN = re.compile(r"_?(query|key|value|qkv)(_dense)?$")
_HEADS_OUT = re.compile(r"_?(out|output|attention_output)(_dense)?$")
_MOVING = {"mean": "running_mean", "var": "running_var"}


def in_torch_order(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with their kernels turned, and their names as torch's are made.

    Parameters
    ----------
    tensors : dict of str to Tensor
        Names with "/" or "." between their parts. The last part says what a tensor is: "kernel",
        "depthwise_kernel", "pointwise_kernel", "recurrent_kernel", "bias" and so on.

    Returns
    -------
    dict of str to Tensor
        In the same order. Where two names would become one, all keep theirs.
    """
    separable = {
        module
        for module, leaf in map(_parts, tensors)
        if leaf == "pointwise_kernel" and _named(module, "depthwise_kernel", tensors)
    }
    found = {
        _name(*_parts(name), separable): _turned(name, tensor) for name, tensor in tensors.items()
    }
    if len(found) < len(tensors):
        return {name: _turned(name, tensor) for name, tensor in tensors.items()}
    return found


def says_order(names: Iterable[str]) -> bool:
    """Whether names are in an order that tells something, and are not just sorted."""
    given = list(names)
    return given != sorted(given)


def _parts(name: str) -> tuple[str, str]:
    module, _, leaf = name.replace("/", ".").rpartition(".")
    return module, leaf


def _named(module: str, leaf: str, tensors: dict[str, Tensor]) -> bool:
    return any(f"{module.replace('.', mark)}{mark}{leaf}" in tensors for mark in "/.")


def _name(module: str, leaf: str, separable: set[str]) -> str:
    if module in separable:
        leaf = {"depthwise_kernel": "depthwise.kernel", "pointwise_kernel": "pointwise.kernel"}.get(
            leaf, "pointwise.bias" if leaf == "bias" else leaf
        )
    elif leaf == "depthwise_kernel":
        leaf = "kernel"
    return f"{module}.{leaf}" if module else leaf


def _turned(name: str, tensor: Tensor) -> Tensor:
    module, leaf = _parts(name)
    layer = module.rpartition(".")[2]
    shape = tensor.shape
    if tensor.kind:
        return tensor
    if leaf == "depthwise_kernel" and len(shape) in (3, 4):
        *sides, width, times = shape
        rows = reshaped(tensor, (*sides, width * times, 1))
        if rows is not tensor:
            return permuted(rows, (len(sides), len(sides) + 1, *range(len(sides))))
    if (heads := _without_heads(layer, leaf, shape)) is not None:
        tensor = reshaped(tensor, heads)
        shape = tensor.shape
    if leaf.endswith("kernel") and len(shape) >= 2:
        last = len(shape) - 1
        return permuted(tensor, (last, last - 1, *range(last - 1)))
    return tensor


def _without_heads(layer: str, leaf: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape of a tensor of attention in which heads are an axis, without that axis."""
    if leaf == "kernel" and len(shape) == 3 and _HEADS_IN.match(layer):
        return shape[0], shape[1] * shape[2]
    if leaf == "kernel" and len(shape) == 3 and _HEADS_OUT.match(layer):
        return shape[0] * shape[1], shape[2]
    if leaf == "bias" and len(shape) == 2 and _HEADS_IN.match(layer):
        return (math.prod(shape),)
    return None


def permuted(tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
    """The tensor with its axes in another order."""
    shape = tuple(tensor.shape[axis] for axis in axes)
    if tensor.compute is not None:
        return replace(tensor, shape=shape, compute=_then(tensor.compute, axes))
    return replace(tensor, shape=shape, stride=tuple(tensor.stride[axis] for axis in axes))


def reshaped(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The tensor in another shape, if its values are consecutive; else the tensor itself."""
    compute = tensor.compute
    if compute is not None:
        return replace(tensor, shape=shape, compute=lambda: compute().reshape(shape))
    if tensor.stride != contiguous(tensor.shape):
        return tensor
    return replace(tensor, shape=shape, stride=contiguous(shape))


def _then(compute: Callable[[], np.ndarray], axes: tuple[int, ...]) -> Callable[[], np.ndarray]:
    return lambda: compute().transpose(axes)


def running(leaf: str) -> str:
    """Torch's word for a statistic of flax, such as "running_mean" for "mean"."""
    return _MOVING.get(leaf, leaf)
