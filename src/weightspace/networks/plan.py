"""`Plan`: the layers of a net and their shapes, made from its recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from weightspace.errors import UsageError
from weightspace.networks.layout import Layout, TensorSpec
from weightspace.space import Recipe


@dataclass(frozen=True)
class Conv:
    """A convolution of stride 1: output channels, kernel side, zero padding, 2x2 pooling or not."""

    width: int
    kernel: int
    padding: int
    pool: bool


@dataclass(frozen=True)
class Plan:
    """The layers of a convolutional net: convolutions, hidden dense layers, an output layer.

    A convolution is kernel and bias, norm, activation and, where `pool` is set, 2x2 max pooling,
    which drops an odd last row and column. A hidden dense layer is weight and bias, activation,
    norm and dropout; note that the order differs. The output layer is weight and bias.

    Parameters
    ----------
    input_size : int
        The side of the input images in pixels.
    channels : int
        Their channels.
    outputs : int
        The number of logits.
    conv : tuple of Conv
        The convolutions.
    fc : tuple of int
        The widths of the hidden dense layers.
    batch_norm : bool
        Whether layers have batch norm.

    Examples
    --------
    >>> plan = Plan.from_recipe(Recipe(dataset="mnist", depth_fc=1, width_fc=32))
    >>> [layer.width for layer in plan.conv], plan.fc, plan.sides
    ([8, 16, 32], (32,), (32, 16, 8, 4))
    >>> plan.layout().tensors[0].shape
    (8, 3, 5, 5)
    """

    input_size: int
    channels: int
    outputs: int
    conv: tuple[Conv, ...]
    fc: tuple[int, ...]
    batch_norm: bool

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
        try:
            convolutions = ARCHITECTURES[recipe.architecture]
        except KeyError:
            raise UsageError(
                "architecture",
                f"{recipe.architecture!r} is unknown",
                f"known are {', '.join(ARCHITECTURES)}",
            ) from None
        fc = tuple(max(2, recipe.width_fc >> i) for i in range(recipe.depth_fc))
        plan = cls(
            recipe.input_size,
            recipe.channels,
            recipe.outputs,
            convolutions(recipe),
            fc,
            recipe.batch_norm,
        )
        if min(plan.sides) < 1:
            raise UsageError(
                "input_size",
                f"{recipe.input_size} pixels vanish in the {len(plan.conv)} convolutions of "
                f"{recipe.architecture}",
                "raise input_size or lower filter_size",
            )
        return plan

    @cached_property
    def sides(self) -> tuple[int, ...]:
        """The side of the input, then of each convolution's output after pooling, in pixels."""
        sides = [self.input_size]
        for layer in self.conv:
            side = sides[-1] + 2 * layer.padding - layer.kernel + 1
            sides.append(side // 2 if layer.pool else side)
        return tuple(sides)

    @property
    def flat_features(self) -> int:
        """The number of values after the last convolution: channels x rows x columns."""
        return self.conv[-1].width * self.sides[-1] ** 2

    @property
    def multiplications(self) -> int:
        """The multiplications of one image's forward pass, without biases and norms."""
        total, width = 0, self.channels
        for layer, side in zip(self.conv, self.sides, strict=False):
            unpooled = side + 2 * layer.padding - layer.kernel + 1
            total += width * layer.width * (layer.kernel * unpooled) ** 2
            width = layer.width
        width = self.flat_features
        for out in (*self.fc, self.outputs):
            total, width = total + width * out, out
        return total

    @property
    def values_per_image(self) -> int:
        """The number of values that all layers output for one image; a training step keeps them."""
        conv = sum(
            layer.width * (side + 2 * layer.padding - layer.kernel + 1) ** 2
            for layer, side in zip(self.conv, self.sides, strict=False)
        )
        return conv + sum(self.fc) + self.outputs

    def layout(self) -> Layout:
        """Make the layout of the net's flat vector.

        For each layer it has weight, bias and, with batch norm, shift, scale, running mean and
        running variance. Shapes are PyTorch's: kernels [out, in, rows, columns], dense weights
        [out, in]. The inputs of the first dense layer are ordered by channel, then row, then
        column.

        Returns
        -------
        Layout
        """
        specs: list[TensorSpec] = []
        offset = 0
        index = 0

        def add(part: str, name: str, role: str, shape: tuple[int, ...]) -> None:
            nonlocal offset
            spec = TensorSpec(f"{name}.{role}", role, part, index, shape, offset)
            specs.append(spec)
            offset += spec.size

        def norm(part: str, name: str, width: int) -> None:
            for role in ("shift", "scale", "running_mean", "running_var"):
                add(part, name, role, (width,))

        width = self.channels
        for layer in self.conv:
            name = f"conv{index + 1}"
            add("conv", name, "weight", (layer.width, width, layer.kernel, layer.kernel))
            add("conv", name, "bias", (layer.width,))
            if self.batch_norm:
                norm("conv", name, layer.width)
            width, index = layer.width, index + 1
        width = self.flat_features
        for position, out in enumerate((*self.fc, self.outputs)):
            hidden = position < len(self.fc)
            name = f"fc{position + 1}" if hidden else "output"
            add("fc", name, "weight", (out, width))
            add("fc", name, "bias", (out,))
            if hidden and self.batch_norm:
                norm("fc", name, out)
            width, index = out, index + 1
        return Layout(tuple(specs))


def _nws(recipe: Recipe) -> tuple[Conv, ...]:
    """The NWS data set's convolutions: padded, in pooled blocks; each block doubles the width.

    If the layers do not divide evenly, the last blocks get one more (Eilertsen et al., ECAI 2020).
    """
    base, surplus = divmod(recipe.depth_conv, recipe.blocks)
    layers = []
    for block in range(recipe.blocks):
        depth = base + (block >= recipe.blocks - surplus)
        for i in range(depth):
            width, pool = recipe.width_conv * 2**block, i == depth - 1
            layers.append(Conv(width, recipe.filter_size, recipe.filter_size // 2, pool))
    return tuple(layers)


def _model_zoos(recipe: Recipe) -> tuple[Conv, ...]:
    """The small CNN of the Model Zoos data sets (Schürholt et al., NeurIPS 2022): no padding.

    With width 8 and filter size 5 it is: 8 of 5x5, pooled, 6 of 5x5, pooled, 4 of 2x2. `depth_conv`
    and `blocks` are not used.
    """
    width, kernel = recipe.width_conv, recipe.filter_size
    return (
        Conv(width, kernel, 0, True),
        Conv(max(1, width * 3 // 4), kernel, 0, True),
        Conv(max(1, width // 2), 2, 0, False),
    )


ARCHITECTURES: dict[str, Callable[[Recipe], tuple[Conv, ...]]] = {
    "nws": _nws,
    "model_zoos": _model_zoos,
}
"""The convolutions of each architecture. To add one, write a function and add a line here."""
