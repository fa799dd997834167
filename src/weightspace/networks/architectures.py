"""The architectures by name, each a function from a recipe to the layers of its net."""

from __future__ import annotations

from collections.abc import Callable

from weightspace.networks.grammar import (
    Activation,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
)
from weightspace.space import Recipe

Layers = tuple[Layer, ...]


def nws(recipe: Recipe) -> Layers:
    """The NWS data set's net: padded convolutions in pooled blocks; each block doubles the width.

    If the layers do not divide evenly, the last blocks get one more (Eilertsen et al., ECAI 2020).
    """
    base, surplus = divmod(recipe.depth_conv, recipe.blocks)
    layers: list[Layer] = []
    for block in range(recipe.blocks):
        depth = base + (block >= recipe.blocks - surplus)
        for i in range(depth):
            width = recipe.width_conv * 2**block
            conv = Conv(width, recipe.filter_size, padding=recipe.filter_size // 2)
            layers += _convolved(recipe, conv, pooled=i == depth - 1)
    return (*layers, *dense(recipe))


def model_zoos(recipe: Recipe) -> Layers:
    """The small CNN of the Model Zoos data sets (Schürholt et al., NeurIPS 2022): no padding.

    With width 8 and filter size 5 it is: 8 of 5x5, pooled, 6 of 5x5, pooled, 4 of 2x2. `depth_conv`
    and `blocks` are not used.
    """
    width, kernel = recipe.width_conv, recipe.filter_size
    return (
        *_convolved(recipe, Conv(width, kernel), pooled=True),
        *_convolved(recipe, Conv(max(1, width * 3 // 4), kernel), pooled=True),
        *_convolved(recipe, Conv(max(1, width // 2), 2), pooled=False),
        *dense(recipe),
    )


def _convolved(recipe: Recipe, conv: Conv, *, pooled: bool) -> list[Layer]:
    """A convolution, norm, activation and, where `pooled`, 2x2 max pooling."""
    norm = [Norm()] if recipe.batch_norm else []
    return [conv, *norm, Activation(), *([Pool()] if pooled else [])]


def dense(recipe: Recipe) -> list[Layer]:
    """Hidden dense layers, each half as wide as the one before, and the output layer.

    A hidden layer is weight and bias, activation, norm and dropout. Note that in a convolution the
    norm comes before the activation.
    """
    layers: list[Layer] = [Flatten()]
    norm = [Norm()] if recipe.batch_norm else []
    for i in range(recipe.depth_fc):
        width = max(2, recipe.width_fc >> i)
        layers += [Dense(width), Activation(), *norm, Dropout()]
    return [*layers, Dense(recipe.outputs)]


ARCHITECTURES: dict[str, Callable[[Recipe], Layers]] = {
    "nws": nws,
    "model_zoos": model_zoos,
}
"""The layers of each architecture. To add one, write a function and add a line here."""
