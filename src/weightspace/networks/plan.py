"""`Plan`: the layers of a net and their shapes, made from its recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from weightspace.errors import UsageError
from weightspace.networks.architectures import ARCHITECTURES
from weightspace.networks.chains import chain, is_chain, written
from weightspace.networks.grammar import (
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Shape,
    Spot,
    as_dict,
    from_dict,
    spots,
)
from weightspace.networks.layout import Layout, TensorSpec
from weightspace.networks.modules.source import NAMED, OwnModule
from weightspace.space import Recipe


@dataclass(frozen=True)
class Plan:
    """The layers of a net, from its input to its logits.

    Parameters
    ----------
    input : tuple of int
        The shape of an input: (channels, rows, columns), or (values,).
    layers : tuple of Layer
        The layers (`weightspace.networks.grammar`).

    Attributes
    ----------
    spots : list of Spot
        All layers with their names and shapes, in the order of the vector.

    Raises
    ------
    UsageError
        If a layer cannot take what the one before gives, or if the last one gives no logits.

    Examples
    --------
    >>> plan = Plan.from_recipe(Recipe(dataset="mnist", depth_fc=1, width_fc=32))
    >>> [spot.name for spot in plan.spots if isinstance(spot.layer, Conv | Dense)]
    ['conv1', 'conv2', 'conv3', 'fc1', 'output']
    >>> plan.unflattened, plan.outputs
    ((32, 4, 4), 20)
    >>> plan.layout().tensors[0].shape
    (8, 3, 5, 5)
    """

    input: Shape
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        last = self.spots[-1].gives if self.spots else self.input
        if len(last) != 1:
            raise UsageError("layers", f"give {list(last)}, not logits", "end with a dense layer")

    def __str__(self) -> str:
        """The layers in one line of text, which a recipe takes as its `architecture`."""
        return written(self.layers)

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Plan:
        """Make the plan of a recipe.

        Parameters
        ----------
        recipe : Recipe
            The recipe.

        Returns
        -------
        Plan

        Raises
        ------
        UsageError
            If the architecture is unknown, or the images are too small for it.
        """
        make = ARCHITECTURES.get(recipe.architecture)
        if NAMED.fullmatch(recipe.architecture) and (make is None or isinstance(make, OwnModule)):
            raise UsageError(
                "architecture",
                f"{recipe.architecture} is a module of its user's own, no chain of layers",
                "only the weights and the layout are known without its file",
            )
        try:
            if is_chain(recipe.architecture):
                layers = chain(recipe.architecture)
            else:
                layers = ARCHITECTURES[recipe.architecture](recipe)
        except KeyError:
            raise UsageError(
                "architecture",
                f"{recipe.architecture!r} is unknown",
                f"known are {', '.join(ARCHITECTURES)}",
            ) from None
        side, channels = recipe.size
        try:
            return cls((channels, side, side) if channels else (side,), tuple(layers))
        except UsageError as error:
            if recipe.features and error.thing == "layers":
                raise UsageError(
                    "features",
                    f"{recipe.architecture} has layers for images",
                    'use `architecture="mlp"`',
                ) from None
            if error.thing != "input_size":
                raise
            convolutions = sum(isinstance(layer, Conv) for layer in layers)
            raise UsageError(
                "input_size",
                f"{recipe.input_size} pixels vanish in the {convolutions} convolutions of "
                f"{recipe.architecture}",
                "raise input_size or lower filter_size",
            ) from None

    @cached_property
    def spots(self) -> list[Spot]:
        """All layers with their names and shapes, in the order of the vector."""
        return spots(self.layers, self.input)

    @property
    def outputs(self) -> int:
        """The number of logits."""
        return self.spots[-1].gives[0]

    @property
    def unflattened(self) -> Shape:
        """The shape of what the first `Flatten` takes; that of the input where there is none."""
        flat = (spot.takes for spot in self.spots if isinstance(spot.layer, Flatten))
        return next(flat, self.input)

    @cached_property
    def multiplications(self) -> int:
        """The multiplications of one image's forward pass, without biases and norms."""
        return sum(math.prod(_kernel(spot)) * math.prod(spot.gives[1:]) for spot in self.kernels)

    @cached_property
    def values_per_image(self) -> int:
        """The number of values that all layers output for one image; a training step keeps them."""
        return sum(math.prod(spot.gives) for spot in self.kernels)

    @property
    def kernels(self) -> list[Spot]:
        """The convolutions and dense layers."""
        return [spot for spot in self.spots if isinstance(spot.layer, Conv | Dense)]

    @cached_property
    def dropouts(self) -> tuple[tuple[int, str], ...]:
        """For each dropout the number of factors of one input, and which rate it has."""
        return tuple(
            (spot.takes[0] if spot.layer.whole_channels else math.prod(spot.takes), spot.layer.rate)
            for spot in self.spots
            if isinstance(spot.layer, Dropout)
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values: input and layers, each with its kind and its settings.

        Returns
        -------
        dict
            What JSON can hold.
        """
        return {"input": list(self.input), "layers": [as_dict(layer) for layer in self.layers]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """Make a plan from what `to_dict` returned.

        Parameters
        ----------
        values : dict
            The plan as plain values.

        Returns
        -------
        Plan

        Raises
        ------
        UsageError
            If these values are no plan.
        """
        try:
            layers = tuple(from_dict(layer) for layer in values["layers"])
            return cls(tuple(int(side) for side in values["input"]), layers)
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError("plan", f"not a plan ({error})") from None

    def layout(self) -> Layout:
        """Make the layout of the net's flat vector.

        For each layer it has weight, bias and, of its norm, shift, scale, running mean and running
        variance. Shapes are PyTorch's: kernels [out, in, rows, columns], dense weights [out, in].
        The inputs of a dense layer after `Flatten` are ordered by channel, then row, then column.

        Returns
        -------
        Layout
        """
        specs: list[TensorSpec] = []
        named: set[str] = set()
        kernel = "input"
        for spot in self.spots:
            name = spot.name
            if isinstance(spot.layer, Conv | Dense):
                kernel = name
            elif isinstance(spot.layer, Norm):
                # The first norm of a kernel has the kernel's name, as in every zoo there is.
                name = name if f"{kernel}.scale" in named else kernel
            part = "conv" if len(spot.gives) == 3 else "fc"
            for role, shape in tensors(spot).items():
                offset = specs[-1].stop if specs else 0
                named.add(f"{name}.{role}")
                number = max(spot.number, 0)
                specs.append(TensorSpec(f"{name}.{role}", role, part, number, shape, offset))
        return Layout(tuple(specs))


def tensors(spot: Spot) -> dict[str, Shape]:
    """The shape of each tensor of a layer by its role, in the order of the vector."""
    layer = spot.layer
    if isinstance(layer, Conv | Dense):
        return {"weight": _kernel(spot)} | ({"bias": (layer.width,)} if layer.bias else {})
    if isinstance(layer, Norm):
        batch = ("running_mean", "running_var") if layer.kind == "batch" else ()
        return dict.fromkeys(("shift", "scale", *batch), spot.takes[:1])
    return {}


def _kernel(spot: Spot) -> Shape:
    """The shape of a layer's weight."""
    if isinstance(spot.layer, Conv):
        inputs = spot.takes[0] // spot.layer.groups
        return (spot.layer.width, inputs, spot.layer.kernel, spot.layer.kernel)
    return (*spot.gives, *spot.takes)
