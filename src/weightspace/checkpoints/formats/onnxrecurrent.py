"""Kernels of recurrent nodes of ONNX as torch names and shapes them: one for each direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from weightspace.checkpoints.roles import Note
from weightspace.checkpoints.tensors import Tensor

GATES = {"LSTM": "i, o, f, g", "GRU": "z, r, n", "RNN": "one"}
"""The order of the gates in ONNX, in torch's letters; torch has i, f, g, o and r, z, n."""
_PARTS = (("weight_ih", 3), ("weight_hh", 3), ("bias", 2))


def parts(inputs: Sequence[str], tensors: dict[str, Tensor]) -> dict[str, list[tuple[str, Tensor]]]:
    """The tensors that take the place of a node's, by its names: W, R, and B for both of them.

    Empty if the shapes are not those of a recurrent node.
    """
    stem = inputs[1] if len(inputs) > 2 else ""
    found: dict[str, list[tuple[str, Tensor]]] = {}
    for (what, rank), name in zip(_PARTS, inputs[1:4], strict=False):
        tensor = tensors.get(name)
        if tensor is None and what == "bias":
            continue
        if tensor is None or len(tensor.shape) != rank or tensor.shape[0] not in (1, 2):
            return {}
        if name in found:
            return {}
        rows: list[tuple[str, Tensor]] = []
        for number, end in enumerate(("_l0", "_l0_reverse")[: tensor.shape[0]]):
            one = _row(tensor, number)
            if what != "bias":
                rows.append((f"{stem}.{what}{end}", one))
            elif one.shape[0] % 2:
                return {}
            else:
                half = one.shape[0] // 2
                rows += [
                    (f"{stem}.bias_ih{end}", _slice(one, 0, half)),
                    (f"{stem}.bias_hh{end}", _slice(one, half, half)),
                ]
        found[name] = rows
    return found


def first_states(
    inputs: Sequence[str], sources: Mapping[str, str], tensors: dict[str, Tensor]
) -> list[Note]:
    """Notes of the states with which a node begins; they are no weights.

    `sources` says from which tensor another one was cut.
    """
    reason = "the first state of a recurrent layer"
    names = dict.fromkeys(sources.get(name, name) for name in inputs[5:7])
    return [
        Note(name, tensors[name].shape, tensors[name].dtype_name, reason)
        for name in names
        if name in tensors
    ]


def _row(tensor: Tensor, number: int) -> Tensor:
    shape = tensor.shape[1:]
    if tensor.compute is not None:
        return replace(tensor, shape=shape, compute=_then(tensor.compute, number))
    offset = tensor.offset + number * tensor.stride[0]
    return replace(tensor, shape=shape, stride=tensor.stride[1:], offset=offset)


def _slice(tensor: Tensor, start: int, count: int) -> Tensor:
    if tensor.compute is not None:
        return replace(
            tensor, shape=(count,), compute=_then(tensor.compute, slice(start, start + count))
        )
    return replace(tensor, shape=(count,), offset=tensor.offset + start * tensor.stride[0])


def _then(compute: Callable[[], np.ndarray], which: int | slice) -> Callable[[], np.ndarray]:
    return lambda: np.asarray(compute()[which])
