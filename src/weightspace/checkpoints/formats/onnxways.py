"""Which constant that a node Add adds is the bias of a layer: where the layer's channels lie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from weightspace.checkpoints.tensors import Tensor

CONVOLUTIONS = frozenset(["Conv", "ConvTranspose"])
PRODUCTS = frozenset([*CONVOLUTIONS, "Gemm", "MatMul"])
_SAME = frozenset(["Identity", "Cast", "Dropout"])
_MOST_RANK = 32
Numbers = Callable[[str], list[int] | None]


@dataclass
class Node:
    """A node: its operation, the names of what goes in and comes out, and some attributes.

    `axes` are those of Transpose, Squeeze and Unsqueeze; None if it has none. `axis` is that of
    Gather, `transposed` is `transB` of Gemm, and `groups` are those of a convolution.
    """

    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    transposed: bool = False
    axes: list[int] | None = None
    axis: int = 0
    groups: int = 1


@dataclass(frozen=True, slots=True)
class _Way:
    """Where the outputs of a kernel lie in an array: `count` of them, `end` axes from the last.

    `rank` is the number of axes; 0 if it is not known.
    """

    kernel: str
    count: int
    end: int
    rank: int = 0

    @property
    def axis(self) -> int:
        """The axis, from the first."""
        return self.rank - 1 - self.end


class Ways:
    """Follows the result of each product to a node Add, if no other node takes it on the way.

    Parameters
    ----------
    tensors : dict of str to Tensor
        The constants of the graph.
    nodes : list of Node
        All its nodes.
    numbers : callable
        The whole numbers of a constant by its name; None if they are not known.
    """

    def __init__(self, tensors: dict[str, Tensor], nodes: list[Node], numbers: Numbers) -> None:
        self._tensors, self._numbers = tensors, numbers
        self._uses = Counter(name for node in nodes for name in node.inputs)
        self._ways: dict[str, _Way] = {}

    def bias(self, node: Node) -> tuple[str, str, int] | None:
        """The kernel, the constant that is its bias, and its length, if the node adds one.

        The nodes are given one after another.
        """
        if node.kind == "Add" and (added := next(self._added(node), None)):
            return added
        if (way := self._through(node)) and node.outputs:
            self._ways[node.outputs[0]] = way
        return None

    def _added(self, node: Node) -> Iterator[tuple[str, str, int]]:
        for one, other in (node.inputs, node.inputs[::-1]) if len(node.inputs) == 2 else ():
            way, tensor = self._ways.get(one), self._tensors.get(other)
            if way and tensor is not None and self._uses[one] == 1 and fits(way, tensor):
                yield way.kernel, other, way.count

    def _through(self, node: Node) -> _Way | None:
        """The way after a node."""
        inputs = node.inputs
        if node.kind in PRODUCTS and len(inputs) == 2:
            return self._of_product(node)
        if node.kind == "Add":
            return self._of_sum(inputs)
        way = self._ways.get(inputs[0]) if inputs else None
        if way is None or self._uses[inputs[0]] != 1:
            return None
        if node.kind in _SAME:
            return way
        if node.kind == "Reshape":
            shape = (self._numbers(inputs[1]) if len(inputs) > 1 else None) or [0]
            kept = way.end == 0 and shape[-1] == way.count
            return replace(way, rank=len(shape)) if kept else None
        if node.kind == "Transpose":
            return _turned(way, node.axes)
        if node.kind in ("Squeeze", "Unsqueeze"):
            axes = node.axes if len(inputs) < 2 else self._numbers(inputs[1])
            return _squeezed(way, axes) if node.kind == "Squeeze" else _unsqueezed(way, axes)
        return None

    def _of_sum(self, inputs: list[str]) -> _Way | None:
        """A recurrent layer adds the products of its input and of its state, then one bias."""
        ways = [self._ways.get(name) for name in inputs if self._uses[name] == 1]
        if len(ways) != 2 or None in ways:
            return None
        one, other = ways
        same = one and other and not one.rank and replace(other, kernel=one.kernel) == one
        return one if same else None

    def _of_product(self, node: Node) -> _Way | None:
        kernel = self._tensors.get(node.inputs[1])
        if kernel is None:
            return None
        shape, name = kernel.shape, node.inputs[1]
        if node.kind in CONVOLUTIONS:
            if not 3 <= len(shape) <= _MOST_RANK:
                return None
            count = shape[0] if node.kind == "Conv" else shape[1] * node.groups
            return _Way(name, count, len(shape) - 2, len(shape))
        if len(shape) != 2:
            return None
        return _Way(name, shape[0] if node.transposed else shape[1], 0)


def fits(way: _Way, tensor: Tensor) -> bool:
    """Whether a constant has one value for each output of the kernel, and is added to it."""
    shape = tensor.shape
    return (
        tensor.dtype.floating
        and math.prod(shape) == way.count
        and len(shape) > way.end
        and shape[len(shape) - 1 - way.end] == way.count
        and (not way.rank or len(shape) <= way.rank)
    )


def _turned(way: _Way, axes: list[int] | None) -> _Way | None:
    if axes is None:
        return replace(way, end=way.axis) if way.rank else None
    if way.rank not in (0, len(axes)) or sorted(axes) != list(range(len(axes))):
        return None
    known = replace(way, rank=len(axes))
    if known.axis < 0:
        return None
    return replace(known, end=len(axes) - 1 - axes.index(known.axis))


def _squeezed(way: _Way, axes: list[int] | None) -> _Way | None:
    if not way.rank:
        return way if way.end == 0 and way.count > 1 else None  # only axes of length 1 go
    if not axes:
        return None
    gone = {axis % way.rank for axis in axes}
    if way.axis in gone:
        return None
    end = way.end - sum(axis > way.axis for axis in gone)
    return replace(way, end=end, rank=way.rank - len(gone))


def _unsqueezed(way: _Way, axes: list[int] | None) -> _Way | None:
    if not way.rank or not axes or way.rank + len(axes) > _MOST_RANK:
        return None
    rank = way.rank + len(axes)
    new = {axis % rank for axis in axes}
    old = [axis for axis in range(rank) if axis not in new]
    if len(old) != way.rank:
        return None
    return replace(way, rank=rank, end=rank - 1 - old[way.axis])
