"""`shapes`: what the shapes of a net's tensors say of its architecture, as numbers with names."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightspace.networks import Layout
    from weightspace.networks.layout import TensorSpec

COUNTS = {
    "convolutions": ("convolution", "convolutions"),
    "dense": ("dense layer", "dense layers"),
    "outputs": ("output", "outputs"),
    "channels": ("channel of the input", "channels of the input"),
}
"""Numbers of a net, with the words for one and for several."""
WIDTHS = {
    "conv_widths": "convolutions of {} channels",
    "dense_widths": "hidden dense layers of {} units",
    "dense_inputs": "a first dense layer of {} inputs",
}
"""Sizes of layers, with words in which a range of numbers is put."""
TRAITS = {
    "conv": "the convolutions",
    "hidden": "the hidden dense layers",
    "output": "the output layer",
}
"""Groups of layers whose biases and norms are described, with the words for them."""
FIRSTS = ("first_kernel", "first_conv_width", "first_dense_width", "norm", "bias")
"""Further numbers that a hyper-parameter may be read from."""

Shapes = dict[str, tuple[str | int, ...]]
"""The values of a net by the names of the tables above; empty where it has no such layer."""


def shapes(layout: Layout) -> Shapes:
    """Describe the architecture of a net by the shapes and roles of its tensors.

    Parameters
    ----------
    layout : Layout
        The layout of its vector.

    Returns
    -------
    dict of str to tuple
        `convolutions`, `dense`, `outputs` and `channels` (one number each); `conv_widths`,
        `dense_widths` and `dense_inputs` (their numbers, ascending); `kernels` (such as "3x3");
        `conv`, `hidden` and `output` (which biases and norms such layers have, such as "bias, batch
        norm"); `first_kernel`, `first_conv_width` and `first_dense_width`; `norm` and `bias` (of
        any layer but the output layer). A tuple is empty if the net has no such layer.
    """
    layers: dict[tuple[str, int], dict[str, TensorSpec]] = defaultdict(dict)
    for spec in layout.tensors:
        layers[spec.part, spec.layer].setdefault(spec.role, spec)
    conv = [own for (part, _), own in sorted(layers.items()) if part == "conv"]
    dense = [own for (part, _), own in sorted(layers.items()) if part == "fc"]
    kernels = [own["weight"].shape for own in conv if "weight" in own]
    matrices = [own["weight"].shape for own in dense if "weight" in own]
    sides = ["x".join(map(str, shape[2:])) or "1" for shape in kernels]
    hidden, last = dense[:-1], dense[-1:]
    before_output = [traits(own) for own in (*conv, *hidden)]
    return {
        "convolutions": (len(conv),),
        "dense": (len(dense),),
        "outputs": _some(matrices[-1:] or kernels[-1:], 0),
        "channels": _some(kernels[:1], 1),
        "conv_widths": _some(kernels, 0),
        "dense_widths": _some(matrices[:-1], 0),
        "dense_inputs": _some(matrices[:1], 1),
        "kernels": tuple(sorted(set(sides))),
        "conv": tuple(sorted({traits(own) for own in conv})),
        "hidden": tuple(sorted({traits(own) for own in hidden})),
        "output": tuple(traits(own) for own in last),
        "first_kernel": tuple(sides[:1]),
        "first_conv_width": _some(kernels[:1], 0),
        "first_dense_width": _some(matrices[:-1][:1], 0),
        "norm": (_norms(before_output),) if before_output else (),
        "bias": (any("bias" in one for one in before_output),) if before_output else (),
    }


def _some(found: list[tuple[int, ...]], axis: int) -> tuple[int, ...]:
    """The distinct sizes of an axis, ascending."""
    return tuple(sorted({shape[axis] for shape in found if len(shape) > axis}))


def traits(layer: dict[str, TensorSpec]) -> str:
    """Which biases and norms a layer has: such as "bias, batch norm"; "" if none."""
    said = ["bias"] if "bias" in layer else []
    if "running_var" in layer or "running_mean" in layer:
        said.append("batch norm")
    elif "scale" in layer or "shift" in layer:
        said.append("layer or group norm")
    return ", ".join(said)


def _norms(found: list[str]) -> str:
    every = {name for one in found for name in one.split(", ") if "norm" in name}
    return " and ".join(sorted(every)) or "none"
