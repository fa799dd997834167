"""The updates of optimizers.h: rules of nets in, weights and slots changed in place."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_int64, c_void_p
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

RULES = ("sgd", "momentum", "nesterov", "adam", "rmsprop", "adagrad", "lion")
"""The rules by number, as in optimizers.h."""

RULE = np.dtype(
    [
        ("kind", np.int32),
        ("rate", np.float32),
        ("within", np.float32),  # weight decay that is added to the gradient
        ("keep", np.float32),  # the factor of the weights before the step
        ("numbers", np.float32, 6),
    ]
)
"""A net's rule: the struct `Rule` of optimizers.h."""


class Fields(Structure):
    """The struct `Updates` of optimizers.h."""

    _fields_ = (
        ("rules", c_void_p), ("slots", c_void_p * 2), ("decays", c_int64), ("largest", c_void_p),
    )  # fmt: skip


@dataclass(frozen=True)
class Updates:
    """What the native step does with the gradients of M nets: float32 on the CPU.

    `rules` is of dtype `RULE` [M]; `slots` are tensors of the weights' shape, as many as any rule
    has. `decays` says whether any net has a weight decay: then the terms of all are computed, as in
    torch. `largest` float32 [M] receives the largest absolute weight of each net.
    """

    rules: np.ndarray
    slots: Sequence[Tensor]
    decays: bool
    largest: Tensor

    def fields(self, weights: Tensor) -> Fields:
        """The struct; all tensors must be alive while it is used."""
        for tensor in (weights, *self.slots):
            if tensor.shape != weights.shape or not tensor.is_contiguous():
                raise ValueError(f"slots: {tuple(tensor.shape)} is not {tuple(weights.shape)}")
            if tensor.dtype != torch.float32:
                raise ValueError(f"slots: {tensor.dtype} is not float32")
        places = [slot.data_ptr() for slot in self.slots]
        return Fields(
            rules=self.rules.ctypes.data,
            slots=(c_void_p * 2)(*places),
            decays=int(self.decays),
            largest=self.largest.data_ptr(),
        )


def declare(found: ctypes.CDLL) -> None:
    """Declare the function of a library."""
    types = (c_int64, c_int64, c_void_p, c_void_p, POINTER(Fields))
    found.ws_update_f32.argtypes, found.ws_update_f32.restype = types, None


def update(found: ctypes.CDLL, weights: Tensor, gradient: Tensor, updates: Updates) -> None:
    """Apply gradients [M, n], which stay as they are, to weights [M, n]."""
    if gradient.shape != weights.shape or not gradient.is_contiguous():
        raise ValueError(f"gradient: {tuple(gradient.shape)} is not {tuple(weights.shape)}")
    nets, values = weights.shape
    fields = updates.fields(weights)
    found.ws_update_f32(nets, values, gradient.data_ptr(), weights.data_ptr(), ctypes.byref(fields))
