"""What the nodes of an ONNX graph say of its tensors: order, names, biases, tables, which turn."""

from __future__ import annotations

import re
from collections.abc import Iterator

from weightspace.checkpoints.formats.onnxrecurrent import GATES, first_states, pieces
from weightspace.checkpoints.formats.onnxways import PRODUCTS, Node, Numbers, Ways
from weightspace.checkpoints.formats.turning import permuted, reshaped
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note

__all__ = ["Node", "by_nodes"]

_NORMS = frozenset(["BatchNormalization", "InstanceNormalization", "LayerNormalization"])
_VIEWS = frozenset(["Expand", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Unsqueeze"])
_MADE_UP = re.compile(r"onnx::\w+_\d+|val_\d+")
_PARTS = ("weight", "bias", "running_mean", "running_var")


def by_nodes(
    tensors: dict[str, Tensor], nodes: list[Node], numbers: Numbers
) -> tuple[dict[str, Tensor], dict[str, object], list[Note]]:
    """The tensors in the order in which nodes use them, dense kernels as [out, in], and facts.

    Last are the notes of tensors that nodes show to be no weights.

    A tensor keeps its name, unless the name does not say to which kernel it belongs, as with
    "onnx::Conv_24". Then the name of the kernel is continued: "onnx::Conv_23.bias". A bias that a
    node Add adds becomes [out]. A table of a node Gather is called an embedding. Recurrent nodes
    keep the kernels of all gates and directions in one tensor, which is cut. `numbers` gives the
    whole numbers of a constant.
    """
    order: dict[str, None] = {}
    names: dict[str, str] = {}
    turned: set[str] = set()
    flat: dict[str, int] = {}
    kernels = {node.inputs[1] for node in nodes if node.kind in PRODUCTS and len(node.inputs) > 1}
    ways = Ways(tensors, nodes, numbers)
    for node in nodes:
        parts = _parts(node, tensors)
        if bias := ways.bias(node):
            kernel, name, flat[name] = bias
            parts = [(kernel, "weight"), (name, "bias")]
        order |= dict.fromkeys(name for name in node.inputs if name in tensors)
        if node.kind in PRODUCTS and _is_turned(node, tensors):
            turned.add(node.inputs[1])
        table = _table(node, tensors, kernels)
        if table and "embed" not in table.lower():
            names.setdefault(table, _continued(table, "embedding"))
        for name, longer in _names(parts):
            names.setdefault(name, longer)
    names = _without_clashes(names, tensors)
    cut, states, gates = _recurrent(tensors, nodes, {*names, *kernels}, set(names.values()))
    found: dict[str, Tensor] = {}
    for name in [*order, *(name for name in tensors if name not in order)]:
        if name in states:
            continue
        if name in cut:
            found |= cut[name]
            continue
        tensor = tensors[name]
        if name in turned:
            tensor = permuted(tensor, (1, 0))
        elif name in flat:
            tensor = reshaped(tensor, (flat[name],))
        found[names.get(name, name)] = tensor
    facts: dict[str, object] = {}
    if turned:
        facts["transposed"] = f"{len(turned)} dense kernels were stored as [in, out]"
    if gates:
        facts["gates"] = f"in the order of ONNX, {'; '.join(gates)}"
    if names:
        count = "1 tensor is" if len(names) == 1 else f"{len(names)} tensors are"
        facts["renamed"] = f"{count} named after the kernel of their node"
    return found, facts, list(states.values())


def _recurrent(
    tensors: dict[str, Tensor], nodes: list[Node], used: set[str], taken: set[str]
) -> tuple[dict[str, dict[str, Tensor]], dict[str, Note], list[str]]:
    """What the tensors of recurrent nodes are cut into, notes of first states, orders of gates.

    A node keeps its tensors as they are if one of them has another use, or a new name is taken.
    """
    cut: dict[str, dict[str, Tensor]] = {}
    states: dict[str, Note] = {}
    gates: dict[str, None] = {}
    sources: dict[str, str] = {}  # what a node makes of one tensor, by cutting or repeating it
    taken = {*taken, *tensors}
    for node in nodes:
        if node.kind in _VIEWS and node.inputs and node.outputs:
            sources[node.outputs[0]] = sources.get(node.inputs[0], node.inputs[0])
        new = pieces(node, tensors)
        if not new:
            continue
        made = {name for rows in new.values() for name in rows}
        again = all(name in cut and cut[name].keys() == rows.keys() for name, rows in new.items())
        kept = any(name in used or name in cut for name in new)
        if not again and (kept or made & taken):
            continue
        cut |= new
        taken |= made
        gates[f"{node.kind}: {GATES[node.kind]}"] = None
        states |= {note.name: note for note in first_states(node.inputs, sources, tensors)}
    for name in used | cut.keys():
        states.pop(name, None)
    return cut, states, list(gates)


def _without_clashes(names: dict[str, str], tensors: dict[str, Tensor]) -> dict[str, str]:
    """New names, without those that another tensor has, or that two would get."""
    taken: dict[str, int] = {}
    for new in names.values():
        taken[new] = taken.get(new, 0) + 1
    return {
        old: new
        for old, new in names.items()
        if taken[new] == 1 and (new not in tensors or new == old)
    }


def _table(node: Node, tensors: dict[str, Tensor], kernels: set[str]) -> str:
    """The table from which a node Gather takes rows by numbers that the graph works out."""
    if node.kind != "Gather" or node.axis or len(node.inputs) != 2:
        return ""
    name, rows = node.inputs
    table = tensors.get(name)
    if table is None or rows in tensors or name in kernels:
        return ""
    return name if len(table.shape) == 2 and table.dtype.floating else ""


def _is_turned(node: Node, tensors: dict[str, Tensor]) -> bool:
    """Whether the second input of a product is a kernel of [in, out]."""
    if node.kind not in ("Gemm", "MatMul") or node.transposed or len(node.inputs) < 2:
        return False
    kernel = tensors.get(node.inputs[1])
    return kernel is not None and len(kernel.shape) == 2


def _parts(node: Node, tensors: dict[str, Tensor]) -> list[tuple[str, str]]:
    """The tensors of a node and what they are: weight, bias, and so on."""
    parts: list[tuple[str, str]] = []
    inputs = node.inputs
    if node.kind in PRODUCTS and len(inputs) > 1:
        parts = [(inputs[1], "weight"), *((name, "bias") for name in inputs[2:3])]
    elif node.kind in _NORMS:
        parts = list(zip(inputs[1:], _PARTS, strict=False))
    return [(name, what) for name, what in parts if name in tensors]


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
    for name, what in parts:
        new = _continued(first, what)
        if new != name:
            yield name, new


def _continued(name: str, what: str) -> str:
    """The name of another tensor of the same layer."""
    module, _, leaf = name.rpartition(".")
    return f"{module if leaf in ('weight', 'kernel') and module else name}.{what}"
