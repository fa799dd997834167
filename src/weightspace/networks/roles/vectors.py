"""Tensors of one dimension: biases of layers, the parts of norms, scales of channels."""

from __future__ import annotations

import re

from weightspace.networks.roles.entries import Entry, Layer, Norm, Note, short, skip
from weightspace.networks.roles.layers import layer_of_bias
from weightspace.networks.roles.words import is_norm, steps_of

_ROLES = {
    "gamma": "scale",
    "scale": "scale",
    "beta": "shift",
    "shift": "shift",
    "a_2": "scale",  # of the Annotated Transformer
    "b_2": "shift",
    "running_mean": "running_mean",
    "moving_mean": "running_mean",
    "running_var": "running_var",
    "moving_variance": "running_var",
}
_LAYER_SCALE = re.compile(r"(ls|layer_?scale)_?\d{0,9}")


def norms_and_biases(rest: list[Entry], layers: dict[str, Layer]) -> tuple[list[Norm], list[Note]]:
    """Sort the 1-D tensors: biases go to their layer, norms are grouped by module."""
    norm_modules = {
        entry.module
        for entry in rest
        if entry.leaf in _ROLES or (entry.leaf == "weight" and entry.size > 1)
    }
    norms: dict[str, Norm] = {}
    skipped: list[Note] = []
    for entry in rest:
        layer = layer_of_bias(entry, layers)
        if layer:
            layer.bias = entry
            continue
        role = _ROLES.get(entry.leaf, "")
        if entry.leaf == "offset" and entry.module in norm_modules:
            role = "shift"  # Haiku's
        if entry.module in norm_modules:
            role = {"weight": "scale", "bias": "shift"}.get(entry.leaf, role)
        norm = norms.get(entry.module)
        if not role:
            skipped.append(skip(entry, _why_no_role(entry)))
        elif norm and role in norm.tensors:
            skipped.append(skip(entry, f"a second {role} after {short(norm.tensors[role].name)}"))
        else:
            norm = norms.setdefault(entry.module, Norm(entry.module))
            norm.tensors[role] = entry
    paths = {steps_of(layer.kernel.module) for layer in layers.values()}
    around = {steps[:depth] for steps in paths for depth in range(1, len(steps))}
    scales = [norm for norm in norms.values() if _is_layer_scale(norm, around)]
    for norm in scales:
        del norms[norm.module]
        skipped.append(skip(norm.tensors["scale"], "a scale of a layer's channels, not a norm"))
    return list(norms.values()), skipped


def _is_layer_scale(norm: Norm, around: set[tuple[str, ...]]) -> bool:
    """Whether it is a gamma alone, beside whole layers as in ConvNeXt or in a module of that name.

    `around` are the modules that have layers in them.
    """
    scale = norm.tensors.get("scale")
    if scale is None or len(norm.tensors) > 1 or scale.leaf != "gamma" or is_norm(norm.module):
        return False
    steps = steps_of(norm.module)
    return steps in around or bool(steps and _LAYER_SCALE.fullmatch(steps[-1]))


def _why_no_role(entry: Entry) -> str:
    if "bias" in entry.leaf:
        return "a bias without its kernel"
    if entry.leaf == "weight":
        return "a single value: a gain or a slope, not a norm over channels"
    return "one dimension, but by its name neither a bias nor part of a norm"
