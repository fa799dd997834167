"""The role of each tensor in a checkpoint: roles, layers and order from names and shapes."""

from __future__ import annotations

from weightspace.networks.roles import several
from weightspace.networks.roles.entries import (
    Arrangement,
    Entry,
    Layer,
    Norm,
    Note,
    Placed,
    short,
    skip,
)
from weightspace.networks.roles.kinds import sort_out
from weightspace.networks.roles.layers import measure
from weightspace.networks.roles.norms import assign
from weightspace.networks.roles.order import Order, misfits, order, said
from weightspace.networks.roles.vectors import norms_and_biases
from weightspace.networks.roles.words import natural

__all__ = ["Arrangement", "Entry", "Note", "Placed", "arrange"]

_NORM_ORDER = ("shift", "scale", "running_mean", "running_var")


def arrange(entries: list[Entry], *, ordered: bool) -> Arrangement:
    """Give every tensor a role, a part and a layer, or a reason why it has none.

    The result is the same for every order of the entries, but for the order of what is skipped and
    for the doubts: `ordered` says that the order of `entries` is that in which the net's layers
    were defined, which may contradict the order that was found.
    """
    used, skipped = sort_out(sorted(entries, key=lambda entry: (natural(entry.name), entry.name)))
    layers = {entry.name: Layer(entry) for entry in used if len(entry.shape) > 1}
    norms, left = norms_and_biases([entry for entry in used if len(entry.shape) == 1], layers)
    skipped += left
    measure(list(layers.values()))
    found = order(list(layers.values()))
    doubts = [said(found.ties)] if found.ties else []
    doubts += [*several.nets(found.layers), *several.said(found.turns)]
    if layers:
        doubts += [*assign(norms, found), *several.slopes(norms)]
    else:
        reason = "part of a norm, without a layer"
        skipped += [skip(entry, reason) for norm in norms for entry in norm.tensors.values()]
    if ordered:
        position = {entry.name: index for index, entry in enumerate(entries)}
        skipped.sort(key=lambda note: position[note.name])
        doubts += _contradiction(found, position)
    placed = [p for index, layer in enumerate(found.layers) for p in _place(layer, index)]
    return Arrangement(placed, skipped, tuple(doubts))


def _contradiction(found: Order, position: dict[str, int]) -> list[str]:
    """A doubt, if the file stores its layers in another order that is no less likely."""
    stored = sorted(found.layers, key=lambda layer: position[layer.kernel.name])
    pairs = zip(found.layers, stored, strict=True)
    differ = next(((one, other) for one, other in pairs if one is not other), None)
    if differ is None or not (found.ties or misfits(stored) < misfits(found.layers)):
        return []
    one, other = (short(layer.kernel.name) for layer in differ)
    return [f"the file stores its layers in another order, with {other} before {one}"]


def _place(layer: Layer, index: int) -> list[Placed]:
    """Kernel and bias, then for every norm shift, scale, running mean and running variance."""
    kernel, name = layer.kernel, short(layer.kernel.name)
    placed = [Placed(kernel, "weight", layer.part, index, layer.what, layer.widths)]
    if layer.bias:
        placed.append(Placed(layer.bias, "bias", layer.part, index, f"bias of {name}"))
    layer.norms.sort(key=_place_of_norm)
    for norm in layer.norms:
        for role in _NORM_ORDER:
            if role in norm.tensors:
                reason = f"{role.replace('_', ' ')} of the norm {norm.side} {name}"
                placed.append(Placed(norm.tensors[role], role, layer.part, index, reason))
    return placed


def _place_of_norm(norm: Norm) -> tuple[bool, int, str, str]:
    """Those before the layer, then those after it; at the end those of the modules around it."""
    return not norm.before, -norm.module.count("."), natural(norm.module), norm.module
