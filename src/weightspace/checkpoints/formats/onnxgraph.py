"""What the nodes of an ONNX graph say of its tensors: order, names, and which are turned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from weightspace.checkpoints.formats.onnxrecurrent import GATES, first_states
from weightspace.checkpoints.formats.onnxrecurrent import parts as recurrent
from weightspace.checkpoints.formats.turning import permuted
from weightspace.checkpoints.roles import Note
from weightspace.checkpoints.tensors import Tensor

_KERNELS = frozenset(["Conv", "ConvTranspose", "Gemm", "MatMul"])
_NORMS = frozenset(["BatchNormalization", "InstanceNormalization", "LayerNormalization"])
_VIEWS = frozenset(["Expand", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Unsqueeze"])
_MADE_UP = re.compile(r"onnx::\w+_\d+|val_\d+")
_PARTS = ("weight", "bias", "running_mean", "running_var")


@dataclass
class Node:
    """A node: the name of its operation, of what goes in and comes out, and `transB` of Gemm."""

    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    transposed: bool = False


def by_nodes(
    tensors: dict[str, Tensor], nodes: list[Node]
) -> tuple[dict[str, Tensor], dict[str, object], list[Note]]:
    """The tensors in the order in which nodes use them, dense kernels as [out, in], and facts.

    Last are the notes of tensors that nodes show to be no weights.

    A tensor keeps its name, unless the name does not say to which kernel it belongs, as with
    "onnx::Conv_24". Then the name of the kernel is continued: "onnx::Conv_23.bias".
    """
    order: dict[str, None] = {}
    names: dict[str, str] = {}
    turned: set[str] = set()
    split: dict[str, list[tuple[str, Tensor]]] = {}
    gates: dict[str, None] = {}
    states: dict[str, Note] = {}
    sources: dict[str, str] = {}  # what a node makes of one tensor, by cutting or repeating it
    for node, parts in _layers(tensors, nodes):
        if node.kind in _VIEWS and node.inputs and node.outputs:
            sources[node.outputs[0]] = sources.get(node.inputs[0], node.inputs[0])
        order |= dict.fromkeys(name for name in node.inputs if name in tensors)
        if node.kind in _KERNELS and _is_turned(node, tensors):
            turned.add(node.inputs[1])
        if node.kind in GATES and (made := recurrent(node.inputs, tensors)):
            split |= made
            states |= {note.name: note for note in first_states(node.inputs, sources, tensors)}
            gates[f"{node.kind}: {GATES[node.kind]}"] = None
        for name, longer in _names(parts):
            names.setdefault(name, longer)
    new = set(names.values())
    if len(new) < len(names) or new & (set(tensors) - set(names)):
        names = {}
    made_names = [name for rows in split.values() for name, _ in rows]
    if len(set(made_names)) < len(made_names) or {*tensors, *new} & set(made_names):
        split, gates, states = {}, {}, {}
    found: dict[str, Tensor] = {}
    for name in [*order, *(name for name in tensors if name not in order)]:
        if name in states:
            continue
        if name in split:
            found |= dict(split[name])
            continue
        tensor = tensors[name]
        found[names.get(name, name)] = permuted(tensor, (1, 0)) if name in turned else tensor
    facts: dict[str, object] = {}
    if turned:
        facts["transposed"] = f"{len(turned)} dense kernels were stored as [in, out]"
    if gates:
        facts["gates"] = f"in the order of ONNX, {'; '.join(gates)}"
    if names:
        count = "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
        facts["renamed"] = f"{count} named after the kernel of their node"
    return found, facts, list(states.values())


def _is_turned(node: Node, tensors: dict[str, Tensor]) -> bool:
    """Whether the second input of a product is a kernel of [in, out]."""
    if node.kind not in ("Gemm", "MatMul") or node.transposed or len(node.inputs) < 2:
        return False
    kernel = tensors.get(node.inputs[1])
    return kernel is not None and len(kernel.shape) == 2


def _layers(
    tensors: dict[str, Tensor], nodes: list[Node]
) -> Iterator[tuple[Node, list[tuple[str, str]]]]:
    """Each node with its tensors and what they are: weight, bias, and so on."""
    made: dict[str, str] = {}  # the output of a product -> its kernel
    for node in nodes:
        parts: list[tuple[str, str]] = []
        inputs = node.inputs
        if node.kind in _KERNELS and len(inputs) > 1:
            parts = [(inputs[1], "weight"), *((name, "bias") for name in inputs[2:3])]
            if inputs[1] in tensors and node.outputs and len(inputs) == 2:
                made[node.outputs[0]] = inputs[1]
        elif node.kind in _NORMS:
            parts = list(zip(inputs[1:], _PARTS, strict=False))
        elif node.kind == "Add" and len(inputs) == 2:
            for one, other in (inputs, inputs[::-1]):
                if one in made and other in tensors and len(tensors[other].shape) == 1:
                    parts = [(made.pop(one), "weight"), (other, "bias")]
        yield node, [(name, what) for name, what in parts if name in tensors]


def _says(name: str, module: str, what: str) -> bool:
    """Whether a name says by itself which part of a module a tensor is.

    `conv.weight_bias` does not, as the bias is called that torch makes of a norm and a convolution.
    """
    own, _, leaf = name.rpartition(".")
    return own == module and leaf != f"weight_{what}"


def _names(parts: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """New names for tensors whose own do not belong together.

    Torch's exporters number a kernel that they have transposed; its bias still has its name.
    """
    if len(parts) < 2 or parts[0][1] != "weight":
        return
    first = parts[0][0]
    module, _, leaf = first.rpartition(".")
    if leaf in ("weight", "kernel") and all(_says(name, module, what) for name, what in parts[1:]):
        return
    if _MADE_UP.fullmatch(first) and parts[1][1] == "bias" and parts[1][0].endswith("bias"):
        yield first, f"{parts[1][0].removesuffix('bias')}weight"
        return
    stem = module if leaf in ("weight", "kernel") and module else first
    for name, what in parts:
        new = f"{stem}.{what}"
        if new != name:
            yield name, new
