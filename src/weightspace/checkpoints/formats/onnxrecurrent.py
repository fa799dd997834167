"""The kernels and biases of ONNX's recurrent nodes, cut into those of a layer of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from weightspace.checkpoints.formats.onnxways import Node
from weightspace.checkpoints.tensors import Tensor, contiguous
from weightspace.networks.roles import Note

GATES = {"LSTM": "i, o, f, g", "GRU": "z, r, n", "RNN": "one"}
"""The order of the gates in ONNX, in torch's letters; torch has i, f, g, o and r, z, n."""
_COUNTS = {"LSTM": 4, "GRU": 3, "RNN": 1}
_ENDS = ("", "_reverse")


def pieces(node: Node, tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """For each constant of a recurrent node the tensors that it is cut into, by their names.

    ONNX keeps W [directions, gates * hidden, in], R [directions, gates * hidden, hidden] and
    B [directions, 2 * gates * hidden], the biases of both. Empty if shapes are others.
    """
    if node.kind not in GATES or len(node.inputs) < 3:
        return {}
    first, state, bias = (*node.inputs[1:4], "")[:3]
    w, r, b = (tensors.get(name) for name in (first, state, bias))
    if w is None or r is None or len(w.shape) != 3 or len(r.shape) != 3:
        return {}
    directions, rows, hidden = r.shape
    if rows != _COUNTS[node.kind] * hidden or not 1 <= directions <= 2:
        return {}
    if w.shape[:2] != r.shape[:2] or (b is not None and b.shape != (directions, 2 * rows)):
        return {}
    found = {
        first: _cut(w, f"{first}.weight_ih_l0", w.shape[1:]),
        state: _cut(r, f"{first}.weight_hh_l0", r.shape[1:]),
    }
    if b is not None:
        halves = [
            _cut(b, f"{first}.bias_{which}_l0", (rows,), number * rows, 2 * rows)
            for number, which in enumerate(("ih", "hh"))
        ]
        found[bias] = halves[0] | halves[1]
    return found if len({*found}) == 2 + (b is not None) else {}


def first_states(
    inputs: Sequence[str], sources: Mapping[str, str], tensors: Mapping[str, Tensor]
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


def _cut(
    tensor: Tensor, name: str, shape: tuple[int, ...], first: int = 0, step: int = 0
) -> dict[str, Tensor]:
    """The part of each direction, which begins `step` values after that of the one before it."""
    size = math.prod(shape)
    return {
        name + _ENDS[direction]: _part(tensor, shape, first + direction * (step or size), size)
        for direction in range(tensor.shape[0])
    }


def _part(tensor: Tensor, shape: tuple[int, ...], start: int, size: int) -> Tensor:
    if tensor.compute is not None:
        return replace(tensor, shape=shape, compute=_some(tensor.compute, shape, start, size))
    return replace(tensor, shape=shape, stride=contiguous(shape), offset=tensor.offset + start)


def _some(
    compute: Callable[[], np.ndarray], shape: tuple[int, ...], start: int, size: int
) -> Callable[[], np.ndarray]:
    return lambda: compute().reshape(-1)[start : start + size].reshape(shape)
