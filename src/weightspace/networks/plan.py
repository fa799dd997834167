"""`Plan`: the layers of a net and their shapes, from its recipe."""

from __future__ import annotations

from dataclasses import dataclass

from weightspace.networks.layout import Layout, TensorSpec
from weightspace.space import Recipe


@dataclass(frozen=True)
class Plan:
    """A convolutional net as in the NWS data set: blocks of convolutions, then dense layers.

    Convolution: kernel + bias, norm, activation; a block ends in 2x2 max pooling. Hidden dense
    layer: weight + bias, activation, norm, dropout (note the other order). Output layer: weight +
    bias. `conv[b]` holds the output channels of block b's layers, `fc` the hidden dense widths.
    """

    input_size: int
    channels: int
    outputs: int
    filter_size: int
    conv: tuple[tuple[int, ...], ...]
    fc: tuple[int, ...]
    batch_norm: bool

    @classmethod
    def from_recipe(cls, recipe: Recipe) -> Plan:
        """The plan of a recipe. Surplus conv layers go to the last blocks first."""
        base, surplus = divmod(recipe.depth_conv, recipe.blocks)
        conv = tuple(
            (recipe.width_conv * 2**b,) * (base + (b >= recipe.blocks - surplus))
            for b in range(recipe.blocks)
        )
        fc = tuple(max(2, recipe.width_fc >> i) for i in range(recipe.depth_fc))
        return cls(
            recipe.input_size,
            recipe.channels,
            recipe.outputs,
            recipe.filter_size,
            conv,
            fc,
            recipe.batch_norm,
        )

    @property
    def flat_features(self) -> int:
        """Values that leave the last pooling: channels x rows x columns."""
        return self.conv[-1][-1] * (self.input_size >> len(self.conv)) ** 2

    @property
    def multiplications(self) -> int:
        """Multiplications of one image's forward pass, biases and norms left out."""
        total, width, side = 0, self.channels, self.input_size
        for block in self.conv:
            for out in block:
                total += width * out * (self.filter_size * side) ** 2
                width = out
            side //= 2
        width = self.flat_features
        for out in (*self.fc, self.outputs):
            total, width = total + width * out, out
        return total

    @property
    def values_per_image(self) -> int:
        """Values that the layers put out for one image: what a training step must remember."""
        sides = [self.input_size >> b for b in range(len(self.conv))]
        conv = sum(sum(block) * side**2 for block, side in zip(self.conv, sides, strict=True))
        return conv + sum(self.fc) + self.outputs

    def layout(self) -> Layout:
        """Every stored tensor in order: per layer kernel, bias, then beta, gamma, mean, variance.

        Shapes are PyTorch's: conv kernels [out, in, rows, columns], dense [out, in]; the dense
        layer after the last pooling sees channels, then rows, then columns.
        """
        specs: list[TensorSpec] = []
        offset = 0
        layer = 0

        def add(part: str, name: str, role: str, shape: tuple[int, ...]) -> None:
            nonlocal offset
            spec = TensorSpec(f"{name}.{role}", role, part, layer, shape, offset)
            specs.append(spec)
            offset += spec.size

        def norm(part: str, name: str, width: int) -> None:
            for role in ("shift", "scale", "running_mean", "running_var"):
                add(part, name, role, (width,))

        width = self.channels
        for out in (out for block in self.conv for out in block):
            name = f"conv{layer + 1}"
            add("conv", name, "weight", (out, width, self.filter_size, self.filter_size))
            add("conv", name, "bias", (out,))
            if self.batch_norm:
                norm("conv", name, out)
            width, layer = out, layer + 1
        width = self.flat_features
        for index, out in enumerate((*self.fc, self.outputs)):
            hidden = index < len(self.fc)
            name = f"fc{index + 1}" if hidden else "output"
            add("fc", name, "weight", (out, width))
            add("fc", name, "bias", (out,))
            if hidden and self.batch_norm:
                norm("fc", name, out)
            width, layer = out, layer + 1
        return Layout(tuple(specs))
