"""The tensors of a net by layer: a kernel, and what each of its output units has besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from weightspace.networks import Layout, TensorSpec

UNIT_ROLES = ("bias", "shift", "scale", "running_mean", "running_var")
"""What an output unit can have one value of; a layer has some of them."""


@dataclass(eq=False)
class Layer:
    """The kernel of a layer, and its vectors with a value for each output unit, by role."""

    kernel: TensorSpec
    units: dict[str, TensorSpec] = field(default_factory=dict)


def layers_of(layout: Layout) -> list[Layer]:
    """The layers that have a kernel, in order."""
    found = {one.layer: Layer(one) for one in layout.tensors if one.role == "weight"}
    for one in layout.tensors:
        if one.role in UNIT_ROLES and one.layer in found:
            found[one.layer].units[one.role] = one
    return [found[layer] for layer in sorted(found)]


def blocks_of(layers: list[Layer]) -> list[int]:
    """For each layer the units of the layer before it, from which it reads equal blocks.

    It is 0 if the units cannot be told: in the first layer, and where a kernel does not fit to the
    one before it, as after a shortcut. A dense layer after convolutions reads a block of positions
    from each of their channels.
    """
    found, before = [], 0
    for layer in layers:
        gives, takes, *taps = layer.kernel.shape
        fits = before and (takes == before if taps else takes % before == 0)
        found.append(before if fits else 0)
        before = gives
    return found
