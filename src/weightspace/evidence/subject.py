"""`Subject`: the net that the laws look at, a tensor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from weightspace.checkpoints.opening import OpenNet
from weightspace.networks import Layout
from weightspace.networks.roles import Placed

_Found = TypeVar("_Found")
_PIECE = 2**22  # values that are read at once, where a tensor is read in pieces
_MOST_KEPT = 2**24  # values of a tensor that is kept in memory


@dataclass(frozen=True)
class NormNames:
    """The tensors of a norm by role (scale, shift, running_mean, running_var).

    `before` says that it comes before its layer, and `sure` that names or widths show this.
    """

    names: Mapping[str, str]
    before: bool = False
    sure: bool = True

    @property
    def batch(self) -> bool:
        """Whether it has running statistics."""
        return "running_var" in self.names


@dataclass(frozen=True)
class Layer:
    """A convolution or a dense layer: the names of its tensors, and what its axes are.

    `inputs` are those of one group. `kernel` has the sides of a convolution's kernel, and is empty
    for a dense layer. `axes` is the order in which the kernel is stored, as in `roles.Widths`.
    """

    number: int
    weight: str
    shape: tuple[int, ...]
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    bias: str = ""
    norms: tuple[NormNames, ...] = ()
    axes: str = "out in"

    @property
    def fan_in(self) -> int:
        """The number of values from which a unit is computed."""
        return self.inputs * int(np.prod(self.kernel))

    @property
    def fan_out(self) -> int:
        """The number of outputs times the area of the kernel, as initializations count them."""
        return self.outputs * int(np.prod(self.kernel))


@dataclass(frozen=True)
class Subject:
    """A net for the laws.

    Attributes
    ----------
    layers : tuple of Layer
        Its layers in order.
    read : callable
        `read(name, start, stop)` gives rows of the tensor, along its first axis, float32.
    shapes : dict of str to tuple of int
        The shape of every tensor.
    counters : dict of str to int
        How many batches each batch norm has seen in training.
    chain : bool
        Whether the net is a plain chain, in which each layer takes what the one before gives.
    dtypes : dict of str to str
        The stored type of each tensor; float32 where it is not named.
    """

    layers: tuple[Layer, ...]
    read: Callable[[str, int, int], np.ndarray]
    shapes: Mapping[str, tuple[int, ...]]
    counters: Mapping[str, int] = field(default_factory=dict)
    chain: bool = False
    dtypes: Mapping[str, str] = field(default_factory=dict)
    _kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False)
    _found: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of_vector(
        cls, vector: np.ndarray, layout: Layout, counters: Mapping[str, int] | None = None,
        chain: bool = False,
    ) -> Subject:  # fmt: skip
        """The subject that a net of a zoo is.

        Parameters
        ----------
        vector : ndarray of float32, shape (layout.size,)
            The net.
        layout : Layout
            Its layout.
        counters : dict of str to int, optional
            How many batches each batch norm has seen.
        chain : bool
            Whether it is a plain chain.

        Returns
        -------
        Subject
        """
        places = {spec.name: spec for spec in layout.tensors}

        def read(name: str, start: int, stop: int) -> np.ndarray:
            spec = places[name]
            return vector[spec.offset : spec.stop].reshape(spec.shape)[start:stop]

        shapes = {spec.name: spec.shape for spec in layout.tensors}
        return cls(layers_of(layout), read, shapes, counters or {}, chain)

    @property
    def output(self) -> Layer | None:
        """The last layer, if it is dense."""
        last = self.layers[-1] if self.layers else None
        return last if last is not None and not last.kernel else None

    def values(self, name: str) -> np.ndarray:
        """All values of a tensor, in its shape, float32. Small tensors are kept in memory."""
        if name not in self._kept:
            shape = self.shapes[name]
            found = self.read(name, 0, shape[0] if shape else 1)
            if found.size > _MOST_KEPT:
                return found
            self._kept[name] = found
        return self._kept[name]

    def weight(self, layer: Layer) -> np.ndarray:
        """The kernel of a layer, float32 [outputs, inputs, *kernel]."""
        found = self.values(layer.weight)
        if layer.axes == "in out":
            return found.swapaxes(0, 1)
        return np.moveaxis(found, (-1, -2), (0, 1)) if layer.axes == "last" else found

    def once(self, what: str, find: Callable[[], _Found]) -> _Found:
        """What several laws need: found at the first call, and kept by this name."""
        if what not in self._found:
            self._found[what] = find()
        found: _Found = self._found[what]
        return found

    def pieces(self, name: str) -> Iterator[np.ndarray]:
        """The values of a tensor in pieces along its first axis, for tensors of any size."""
        shape = self.shapes[name]
        if name in self._kept or not shape:
            yield self.values(name)
            return
        width = max(1, int(np.prod(shape[1:])))
        rows = max(1, _PIECE // width)
        for start in range(0, shape[0], rows):
            yield self.read(name, start, min(start + rows, shape[0]))

    @cached_property
    def size(self) -> int:
        """The number of values of all tensors."""
        return sum(int(np.prod(shape)) for shape in self.shapes.values())


def column_sums(subject: Subject, layer: Layer) -> NDArray[np.float64]:
    """The sum over the outputs of a dense layer's kernel, for each input: float64 [inputs]."""
    if layer.axes == "in out":
        sums = [piece.sum(1, dtype=np.float64) for piece in subject.pieces(layer.weight)]
        return np.concatenate(sums)
    total = np.zeros(layer.inputs)
    for piece in subject.pieces(layer.weight):
        total += piece.sum(0, dtype=np.float64)
    return total


def layers_of(layout: Layout) -> tuple[Layer, ...]:
    """The layers of a layout whose kernels are [outputs, inputs, *kernel], as torch's are."""
    numbers: dict[int, list[int]] = {}
    for place, spec in enumerate(layout.tensors):
        numbers.setdefault(spec.layer, []).append(place)
    found = []
    for number, places in numbers.items():
        specs = [layout.tensors[place] for place in places]
        kernel = next((spec for spec in specs if spec.role == "weight"), None)
        if kernel is None or len(kernel.shape) < 2:
            continue
        bias = next((spec.name for spec in specs if spec.role == "bias"), "")
        norms = _norms([(spec.role, spec.name) for spec in specs])
        found.append(
            Layer(number, kernel.name, kernel.shape, kernel.shape[1], kernel.shape[0],
                  kernel.shape[2:], bias, norms)
        )  # fmt: skip
    return tuple(found)


def _norms(tensors: Sequence[tuple[str, str]]) -> tuple[NormNames, ...]:
    """The norms among the tensors of a layer: each begins where a role comes again."""
    found: list[dict[str, str]] = []
    for role, name in tensors:
        if role in ("weight", "bias"):
            continue
        if not found or role in found[-1]:
            found.append({})
        found[-1][role] = name
    return tuple(NormNames(names) for names in found)


def of_checkpoint(net: OpenNet) -> Subject:
    """The subject that an open checkpoint is; it can be read while the file is open."""
    norms: dict[int, list[Placed]] = {}
    kernels: dict[int, Placed] = {}
    biases: dict[int, str] = {}
    for one in net.placed:
        if one.role == "weight":
            kernels.setdefault(one.layer, one)
        elif one.role == "bias":
            biases.setdefault(one.layer, one.entry.name)
        else:
            norms.setdefault(one.layer, []).append(one)
    layers = tuple(
        _layer(kernel, biases.get(number, ""), norms.get(number, []))
        for number, kernel in kernels.items()
        if kernel.widths is not None and len(kernel.entry.shape) > 1
    )
    return Subject(
        layers,
        net.rows,
        {name: tensor.shape for name, tensor in net.tensors.items()},
        net.inspection.batches,
        bool(net.inspection.plans.plans),
        {name: tensor.dtype_name for name, tensor in net.tensors.items()},
    )


def _layer(kernel: Placed, bias: str, norms: Sequence[Placed]) -> Layer:
    assert kernel.widths is not None
    widths, shape = kernel.widths, kernel.entry.shape
    names = _norms([(one.role, one.entry.name) for one in norms])
    told = {one.entry.name: one.reason for one in norms}
    sides = [" of the norm before" in told[next(iter(n.names.values()))] for n in names]
    sure = [" of the norm before or after" not in told[next(iter(n.names.values()))] for n in names]
    return Layer(
        kernel.layer, kernel.entry.name, shape, widths.inputs, widths.outputs, widths.sides, bias,
        tuple(NormNames(n.names, b, s) for n, b, s in zip(names, sides, sure, strict=True)),
        widths.axes,
    )  # fmt: skip
