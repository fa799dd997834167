"""The architectures by name, each a function from a recipe to the layers of its net."""

from __future__ import annotations

from collections.abc import Callable

from weightspace.errors import UsageError
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Norm,
    Pool,
    Residual,
)
from weightspace.space import Recipe

Layers = tuple[Layer, ...]
GROUPS = 4
"""The groups of a group norm, where they divide the channels."""


def nws(recipe: Recipe) -> Layers:
    """The NWS data set's net: padded convolutions in pooled blocks; each block doubles the width.

    If the layers do not divide evenly, the last blocks get one more (Eilertsen et al., ECAI 2020).
    Without convolutions it is an MLP.
    """
    layers: list[Layer] = []
    for block, depth in enumerate(_depths(recipe)):
        layers += _block(recipe, recipe.width_conv * 2**block, depth)
    return (*layers, *dense(recipe))


def vgg(recipe: Recipe) -> Layers:
    """Blocks of padded convolutions, the width doubled up to 8 times (Simonyan & Zisserman 2015).

    The hidden dense layers have one width. With 5 blocks of 8, 10 and 13 convolutions these are the
    convolutions of VGG-11, 13 and 16.
    """
    layers: list[Layer] = []
    for block, depth in enumerate(_depths(recipe)):
        layers += _block(recipe, recipe.width_conv * 2 ** min(block, 3), depth)
    return (*layers, *dense(recipe, [recipe.width_fc] * recipe.depth_fc))


def mlp(recipe: Recipe) -> Layers:
    """Dense layers alone."""
    return tuple(dense(recipe))


def lenet(recipe: Recipe) -> Layers:
    """Two pooled convolutions without padding and two dense layers (LeCun et al. 1998).

    With widths 6 and 120 and filter size 5 it is LeNet-5: 6 and 16 channels, 120 and 84 units.
    """
    return (
        *_block(recipe, recipe.width_conv, 1, padded=False),
        *_block(recipe, recipe.width_conv * 8 // 3, 1, padded=False),
        *dense(recipe, [recipe.width_fc, max(2, recipe.width_fc * 7 // 10)]),
    )


def model_zoos(recipe: Recipe) -> Layers:
    """The small CNN of the Model Zoos data sets (Schürholt et al., NeurIPS 2022): no padding.

    With width 8 and filter size 5 it is: 8 of 5x5, pooled, 6 of 5x5, pooled, 4 of 2x2. `depth_conv`
    and `blocks` are not used.
    """
    width = recipe.width_conv
    last = Conv(max(1, width // 2), 2, bias=_biased(recipe))
    return (
        *_block(recipe, width, 1, padded=False),
        *_block(recipe, max(1, width * 3 // 4), 1, padded=False),
        *_unit(recipe, last),
        *dense(recipe),
    )


def unterthiner(recipe: Recipe) -> Layers:
    """The CNN of the Small CNN Zoo: three convolutions of stride 2, averaged over the image.

    With width 16 and filter size 3 it has 4,970 values for grey images and 10 classes (Unterthiner
    et al., "Predicting neural network accuracy from weights", 2020).
    """
    conv = Conv(recipe.width_conv, recipe.filter_size, 2, bias=_biased(recipe))
    return (*_unit(recipe, conv) * 3, AdaptivePool(), Flatten(), Dense(recipe.outputs))


def resnet(recipe: Recipe) -> Layers:
    """The residual net of 6n+2 layers for small images, with projections (He et al., CVPR 2016).

    Of its 6n+1 convolutions in the body, `depth_conv` is the number. Three stages of n blocks; a
    stage halves the image and doubles the width.
    """
    blocks, rest = divmod(recipe.depth_conv - 1, 6)
    if rest or not blocks:
        raise UsageError(
            "depth_conv", f"{recipe.depth_conv} is no depth of a resnet", "use 7, 13, 19, ..."
        )
    width = recipe.width_conv
    layers: list[Layer] = [*_unit(recipe, Conv(width, 3, padding=1, bias=not recipe.batch_norm))]
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            gives = recipe.width_conv * 2**stage
            layers += [_residual(recipe, width, gives, stride), Activation()]
            width = gives
    return (*layers, AdaptivePool(), Flatten(), Dense(recipe.outputs))


def _residual(recipe: Recipe, takes: int, gives: int, stride: int) -> Residual:
    norm = _norm(recipe, gives)
    first = Conv(gives, 3, stride, 1, bias=not norm)
    body = (first, *norm, Activation(), Conv(gives, 3, padding=1, bias=not norm), *norm)
    if stride == 1 and takes == gives:
        return Residual(body)
    return Residual(body, (Conv(gives, 1, stride, bias=not norm), *norm))


def _depths(recipe: Recipe) -> list[int]:
    """The number of convolutions in each block."""
    if not recipe.depth_conv:
        return []
    base, surplus = divmod(recipe.depth_conv, recipe.blocks)
    return [base + (block >= recipe.blocks - surplus) for block in range(recipe.blocks)]


def _block(recipe: Recipe, width: int, depth: int, padded: bool = True) -> list[Layer]:
    """Convolutions of one width, the image made smaller at the end, and dropout."""
    kernel, pooling = recipe.filter_size, recipe.pooling
    if recipe.padding != "architecture":
        padded = recipe.padding == "same"
    layers: list[Layer] = []
    for i in range(depth):
        last = i == depth - 1
        stride = recipe.pool_size if last and pooling == "stride" else 1
        padding = kernel // 2 if padded else 0
        layers += _unit(recipe, Conv(width, kernel, stride, padding, bias=_biased(recipe)))
    if pooling in ("architecture", "max"):
        layers.append(Pool(recipe.pool_size))
    elif pooling == "average":
        layers.append(Pool(recipe.pool_size, kind="average"))
    if recipe.dropout_conv:
        layers.append(Dropout(rate="dropout_conv"))
    return layers


def _unit(recipe: Recipe, conv: Conv) -> list[Layer]:
    """A convolution, norm and activation."""
    norm = _norm(recipe, conv.width)
    if recipe.norm_position == "after":
        return [conv, Activation(), *norm]
    return [conv, *norm, Activation()]


def dense(recipe: Recipe, widths: list[int] | None = None) -> list[Layer]:
    """Hidden dense layers and the output layer; by default each half as wide as the one before.

    A hidden layer is weight and bias, activation, norm and dropout. Note that in a convolution the
    norm comes before the activation.
    """
    if widths is None:
        widths = [max(2, recipe.width_fc >> i) for i in range(recipe.depth_fc)]
    layers: list[Layer] = [*([AdaptivePool()] if recipe.global_pool else []), Flatten()]
    for width in widths:
        norm = _norm(recipe, width)
        unit = [*norm, Activation()] if recipe.norm_position == "before" else [Activation(), *norm]
        layers += [Dense(width, _biased(recipe)), *unit, Dropout()]
    return [*layers, Dense(recipe.outputs)]


def _norm(recipe: Recipe, width: int) -> list[Layer]:
    """The norm of a layer, or none."""
    if not recipe.batch_norm:
        return []
    if recipe.norm == "batch":
        return [Norm()]
    if recipe.norm == "layer":
        return [Norm("layer")]
    return [Norm("group", next(g for g in range(min(GROUPS, width), 0, -1) if width % g == 0))]


def _biased(recipe: Recipe) -> bool:
    return recipe.bias or not recipe.batch_norm


ARCHITECTURES: dict[str, Callable[[Recipe], Layers]] = {
    "nws": nws,
    "model_zoos": model_zoos,
    "mlp": mlp,
    "lenet": lenet,
    "vgg": vgg,
    "resnet": resnet,
    "unterthiner": unterthiner,
}
"""The layers of each architecture. To add one, write a function and add a line here."""
