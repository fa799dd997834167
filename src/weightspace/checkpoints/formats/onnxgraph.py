"""What the nodes of an ONNX graph say of its tensors: order, names, biases, tables, which turn."""

from __future__ import annotations

from collections.abc import Iterator

from weightspace.checkpoints.formats.onnxrecurrent import GATES, pieces
from weightspace.checkpoints.formats.onnxways import PRODUCTS, Node, Numbers, Ways
from weightspace.checkpoints.formats.turning import permuted, reshaped
from weightspace.checkpoints.tensors import Tensor

__all__ = ["Node", "by_nodes"]

_NORMS = frozenset(["BatchNormalization", "InstanceNormalization", "LayerNormalization"])
_PARTS = ("weight", "bias", "running_mean", "running_var")


def by_nodes(
    tensors: dict[str, Tensor], nodes: list[Node], numbers: Numbers
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """The tensors in the order in which nodes use them, dense kernels as [out, in], and facts.

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
    cut: dict[str, dict[str, Tensor]] = {}
    gates: dict[str, None] = {}
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
        if new := pieces(node, tensors):
            cut = new | cut
            gates |= dict.fromkeys([f"{node.kind} ({GATES[node.kind]})"] * bool(GATES[node.kind]))
        for name, longer in _names(parts):
            names.setdefault(name, longer)
    names = _without_clashes(names, tensors)
    cut = {
        name: new
        for name, new in cut.items()
        if name not in names and not new.keys() & tensors.keys()
    }
    found: dict[str, Tensor] = {}
    for name in [*order, *(name for name in tensors if name not in order)]:
        tensor = tensors[name]
        if name in cut:
            found |= cut[name]
            continue
        if name in turned:
            tensor = permuted(tensor, (1, 0))
        elif name in flat:
            tensor = reshaped(tensor, (flat[name],))
        found[names.get(name, name)] = tensor
    facts: dict[str, object] = {}
    if turned:
        facts["transposed"] = f"{len(turned)} dense kernels were stored as [in, out]"
    if cut:
        facts["recurrent"] = (
            f"{len(cut)} tensors of recurrent nodes are named and cut as torch does, with the "
            f"gates in ONNX's order: {', '.join(gates) or 'one gate'}"
        )
    if names:
        facts["renamed"] = f"{len(names)} tensors are named after the kernel of their node"
    return found, facts


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


def _names(parts: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """New names for tensors whose own do not belong together."""
    if len(parts) < 2 or parts[0][1] != "weight":
        return
    first = parts[0][0]
    module, _, leaf = first.rpartition(".")
    if leaf in ("weight", "kernel") and all(name.rpartition(".")[0] == module for name, _ in parts):
        return
    for name, what in parts:
        new = _continued(first, what)
        if new != name:
            yield name, new


def _continued(name: str, what: str) -> str:
    """The name of another tensor of the same layer."""
    module, _, leaf = name.rpartition(".")
    return f"{module if leaf in ('weight', 'kernel') and module else name}.{what}"
