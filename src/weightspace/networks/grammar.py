"""The grammar of nets: layers as values, and what each of them makes of the shape of its input.

A shape is (channels, rows, columns) for images and feature maps, and (values,) after `Flatten`. A
net is a chain of layers. `Residual` holds two chains whose outputs are added. Which activation
function and which dropout rate a net has is not part of its layers: nets that differ in them have
the same layers and can train in one stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from weightspace.errors import UsageError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Conv:
    """A 2-D convolution with square kernels.

    Parameters
    ----------
    width : int
        The number of output channels.
    kernel : int
        The side of the kernels in pixels.
    stride : int
        The step from one output to the next in pixels.
    padding : int
        The zeros on each side in pixels.
    groups : int
        The number of groups of channels that do not see each other.
    bias : bool
        Whether it adds a bias.
    """

    width: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1
    bias: bool = True

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        channels, *sides = _image(shape, "a convolution")
        if channels % self.groups or self.width % self.groups:
            raise UsageError(
                "groups",
                f"{self.groups} do not divide {channels} channels into {self.width}",
                "choose a number that divides both",
            )
        return (self.width, *_slid(sides, self.kernel, self.stride, self.padding))


@dataclass(frozen=True)
class Dense:
    """A fully connected layer of `width` units, with or without `bias`."""

    width: int
    bias: bool = True

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        if len(shape) != 1:
            raise UsageError("layers", "a dense layer needs flat input", "put Flatten before it")
        return (self.width,)


@dataclass(frozen=True)
class Norm:
    """A norm with a scale and a shift for each channel.

    Parameters
    ----------
    kind : {"batch", "layer", "group"}
        Over what it normalizes: the batch, all channels of one input, or groups of them.
    groups : int
        The number of groups of a group norm.
    """

    kind: Literal["batch", "layer", "group"] = "batch"
    groups: int = 1

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        if shape[0] % self.groups:
            raise UsageError("groups", f"{self.groups} do not divide {shape[0]} channels")
        return shape


@dataclass(frozen=True)
class Activation:
    """The activation function of the net's recipe."""

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        return shape


@dataclass(frozen=True)
class Pool:
    """Pooling over squares of pixels; rows and columns that fill no square are dropped.

    Parameters
    ----------
    size : int
        The side of the squares in pixels.
    stride : int
        The step from one square to the next; 0 for `size`.
    padding : int
        The pixels on each side that count for nothing in a maximum, and as zeros in an average.
    kind : {"max", "average"}
        What is taken of each square.
    """

    size: int = 2
    stride: int = 0
    padding: int = 0
    kind: Literal["max", "average"] = "max"

    @property
    def step(self) -> int:
        """The step from one square to the next."""
        return self.stride or self.size

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        channels, *sides = _image(shape, "pooling")
        return (channels, *_slid(sides, self.size, self.step, self.padding))


@dataclass(frozen=True)
class AdaptivePool:
    """Average pooling to `size` x `size` pixels; with size 1, global average pooling."""

    size: int = 1

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        return (_image(shape, "pooling")[0], self.size, self.size)


@dataclass(frozen=True)
class Dropout:
    """Dropout of single values or of whole channels.

    Parameters
    ----------
    whole_channels : bool
        Whether all pixels of a channel are dropped together.
    rate : {"dropout", "dropout_conv"}
        Which hyper-parameter of the recipe is its rate.
    """

    whole_channels: bool = False
    rate: Literal["dropout", "dropout_conv"] = "dropout"

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        return shape


@dataclass(frozen=True)
class Flatten:
    """All values in one row, ordered by channel, then row, then column."""

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        return (_product(shape),)


@dataclass(frozen=True)
class Residual:
    """The sum of what two chains of layers make of one input.

    Parameters
    ----------
    body : tuple of Layer
        The layers of the block.
    shortcut : tuple of Layer
        The layers of the other way; without layers, the input itself is added.
    """

    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()

    def gives(self, shape: Shape) -> Shape:
        """The shape of the output."""
        body, shortcut = after(self.body, shape), after(self.shortcut, shape)
        if body != shortcut:
            raise UsageError(
                "layers",
                f"a residual block adds shapes {list(body)} and {list(shortcut)}",
                "give the shortcut a projection",
            )
        return body


Layer = Conv | Dense | Norm | Activation | Pool | AdaptivePool | Dropout | Flatten | Residual

_KINDS: dict[str, type[Any]] = {
    "conv": Conv, "dense": Dense, "norm": Norm, "activation": Activation, "pool": Pool,
    "adaptive_pool": AdaptivePool, "dropout": Dropout, "flatten": Flatten, "residual": Residual,
}  # fmt: skip


def as_dict(layer: Layer) -> dict[str, Any]:
    """A layer as plain values: its kind, and its settings."""
    kind = next(kind for kind, one in _KINDS.items() if isinstance(layer, one))
    if isinstance(layer, Residual):
        body, shortcut = ([as_dict(one) for one in side] for side in (layer.body, layer.shortcut))
        return {"layer": kind, "body": body, "shortcut": shortcut}
    return {"layer": kind} | asdict(layer)


def from_dict(values: dict[str, Any]) -> Layer:
    """A layer from what `as_dict` returned; KeyError or TypeError if that is not possible."""
    settings = {name: value for name, value in values.items() if name != "layer"}
    if values["layer"] == "residual":
        settings = {side: tuple(map(from_dict, chain)) for side, chain in settings.items()}
    layer: Layer = _KINDS[values["layer"]](**settings)
    return layer


@dataclass(frozen=True)
class Spot:
    """A layer at its place in a net.

    Parameters
    ----------
    layer : Layer
        The layer; never a `Residual`, whose layers have spots of their own.
    name : str
        Its name, which is unique in the net, such as "conv2" or "conv2_norm".
    blocks : tuple of str
        The names of the residual chains around it, from the outside, such as "block1.body".
    number : int
        The number of the last convolution or dense layer up to here, from 0; -1 before the first.
    takes, gives : tuple of int
        The shapes of its input and its output.
    """

    layer: Layer
    name: str
    blocks: tuple[str, ...]
    number: int
    takes: Shape
    gives: Shape


def after(layers: tuple[Layer, ...], shape: Shape) -> Shape:
    """The shape of what layers make of an input of a shape."""
    for layer in layers:
        shape = layer.gives(shape)
    return shape


def spots(layers: tuple[Layer, ...], shape: Shape) -> list[Spot]:
    """All layers of a net in the order of its vector; of a residual block, first its body."""
    walk = _Walk(sum(isinstance(layer, Dense) for layer in inner(layers)))
    walk.chain(layers, shape, ())
    return walk.found


def inner(layers: tuple[Layer, ...]) -> Iterator[Layer]:
    """All layers of a net, those of residual blocks among them."""
    for layer in layers:
        if isinstance(layer, Residual):
            yield from inner(layer.body)
            yield from inner(layer.shortcut)
        else:
            yield layer


class _Walk:
    """Names layers as it goes through a net."""

    def __init__(self, dense: int) -> None:
        self.found: list[Spot] = []
        self._dense, self._number = dense, -1
        self._kernel = "input"
        self._counts: dict[str, int] = {}

    def chain(self, layers: tuple[Layer, ...], shape: Shape, blocks: tuple[str, ...]) -> None:
        count = 0
        for layer in layers:
            gives = layer.gives(shape)
            if isinstance(layer, Residual):
                count += 1
                self.chain(layer.body, shape, (*blocks, f"block{count}.body"))
                self.chain(layer.shortcut, shape, (*blocks, f"block{count}.shortcut"))
            else:
                name = self._name(layer, blocks)
                self.found.append(Spot(layer, name, blocks, self._number, shape, gives))
            shape = gives

    def _name(self, layer: Layer, blocks: tuple[str, ...]) -> str:
        if isinstance(layer, Conv | Dense):
            self._number += 1
            self._kernel = self._kernel_name(layer, blocks)
            return self._kernel
        if isinstance(layer, Flatten):
            return self._numbered("flatten")
        kind = {Norm: "norm", Activation: "activation", Dropout: "dropout"}.get(type(layer), "pool")
        return self._numbered(f"{self._kernel}_{kind}")

    def _kernel_name(self, layer: Layer, blocks: tuple[str, ...]) -> str:
        if isinstance(layer, Conv):
            if blocks and blocks[-1].endswith(".shortcut"):
                return f"shortcut{self._count('shortcut')}"
            return f"conv{self._count('conv')}"
        number = self._count("fc")
        return "output" if number == self._dense else f"fc{number}"

    def _count(self, word: str) -> int:
        self._counts[word] = self._counts.get(word, 0) + 1
        return self._counts[word]

    def _numbered(self, name: str) -> str:
        count = self._count(name)
        return name if count == 1 else f"{name}{count}"


def _image(shape: Shape, what: str) -> Shape:
    if len(shape) != 3:
        raise UsageError("layers", f"{what} needs images", "put it before Flatten")
    return shape


def _slid(sides: list[int], size: int, step: int, padding: int) -> tuple[int, ...]:
    """How many steps a window of `size` makes along each side."""
    found = tuple((side + 2 * padding - size) // step + 1 for side in sides)
    if min(found) < 1 or any(side + 2 * padding < size for side in sides):
        raise UsageError(
            "input_size", f"{sides[0]}x{sides[1]} pixels are too few for a window of {size}"
        )
    return found


def _product(shape: Shape) -> int:
    total = 1
    for side in shape:
        total *= side
    return total
