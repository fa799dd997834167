"""Layers from kernels: their biases, their widths, and how they are stored."""

from __future__ import annotations

import re
from collections import Counter

from weightspace.networks.roles.entries import Entry, Layer
from weightspace.networks.roles.words import family, is_transposed, path

_FUSED = re.compile(r"in_proj|qkv|c_attn|query_key_value")
_RECURRENT = re.compile(r"weight_(ih|hh|hr)(_l\d+(_reverse)?)?$")
_BIASES = (("biases", "weights"), ("bias", "weight"), ("bias", "kernel"))  # first TensorFlow's
_SHORT_BIAS = re.compile(r"(?<![^_])b$")  # Haiku's, and of TensorFlow's variables
_RECURRENT_INPUTS = {"ih": "its input", "hh": "its state", "hr": "its projected state"}


def layer_of_bias(entry: Entry, layers: dict[str, Layer]) -> Layer | None:
    """The layer of a bias: the kernel whose name differs only in the word for bias."""
    own = entry.leaf
    if "bias" in own:
        leaves = [own.replace(bias, kernel) for bias, kernel in _BIASES if bias in own]
    else:
        leaves = [_SHORT_BIAS.sub(word, own) for word in ("w", "W")]
    found = (layers.get(entry.sibling(leaf)) for leaf in leaves if leaf != own)
    return next((layer for layer in found if layer), None)


def measure(layers: list[Layer]) -> None:
    """Set what each layer takes and gives, and what it is, when the biases are known.

    A bias has one value for each output, so it shows which side of a kernel is the output. A square
    kernel is read as the others of its word are: GPT-2 stores all kernels [in, out].
    """
    sides = [_side(layer) for layer in layers]
    words = [_word(layer) for layer in layers]
    swapped = {word for word, side in zip(words, sides, strict=True) if side == "in first"}
    straight = {word for word, side in zip(words, sides, strict=True) if side == "out first"}
    inputs = _only_input(layers)
    named = {layer.kernel.name: layer for layer in layers}
    for layer, side, word in zip(layers, sides, words, strict=True):
        by_word = word in swapped and word not in straight
        layer.swapped = side == "in first" or (not side and by_word)
        layer.last = side == "out last"
        _set_widths(layer, layer is inputs)
        if match := _RECURRENT.search(layer.kernel.leaf):
            _set_recurrent(layer, match[1], named)
        layer.what = _what(layer)


def _word(layer: Layer) -> tuple[str, int]:
    return family(path(layer.kernel.name)[-1])[0], len(layer.kernel.shape)


def _side(layer: Layer) -> str:
    """Which side of a kernel is the output, if its bias or its name shows it."""
    shape = layer.kernel.shape
    size = layer.bias.size if layer.bias else 0
    if size in shape[:2] and shape[0] != shape[1]:
        return "out first" if size == shape[0] else "in first"
    if len(shape) > 2 and size not in shape[:2] and size == shape[-1]:
        return "out last"
    kind = layer.kernel.kind
    transposed = "Transpose" in kind if kind else is_transposed(layer.kernel.module)
    return "in first" if len(shape) > 2 and transposed else ""


def _only_input(layers: list[Layer]) -> Layer | None:
    """The convolution of images with one channel, if one kernel alone can be it.

    Other kernels with one input channel are depthwise: they take as many channels as they give.
    """
    convolutions = [layer for layer in layers if not layer.dense]
    single = [layer for layer in convolutions if layer.kernel.shape[1] == 1]
    if len(single) != 1:
        return None
    gives = Counter(layer.kernel.shape[0] for layer in convolutions)
    others = (layer.kernel.shape[1] for layer in convolutions if layer is not single[0])
    return single[0] if all(takes > 4 or gives[takes] for takes in others) else None


def _set_widths(layer: Layer, is_input: bool) -> None:
    shape = layer.kernel.shape
    if layer.last:
        layer.gives, layer.takes = shape[-1], (shape[-2],)
    elif layer.swapped:
        layer.gives, layer.takes = shape[1], (shape[0],)
    else:
        layer.gives, layer.takes = shape[0], (shape[1],)
        if len(shape) > 2 and shape[1] == 1 and not is_input:
            layer.takes = (1, shape[0])
    if layer.gives == 3 * layer.takes[0] and _FUSED.search(layer.kernel.name):
        layer.gives = layer.takes[0]  # query, key and value are three outputs of this width


def _set_recurrent(layer: Layer, kind: str, named: dict[str, Layer]) -> None:
    """A recurrent layer gives its state, whatever the number of its gates is."""
    leaf = layer.kernel.leaf
    state = named.get(layer.kernel.sibling(leaf.replace("weight_ih", "weight_hh")))
    if state is not None and kind != "hr":
        layer.gives = state.kernel.shape[1]


def _what(layer: Layer) -> str:
    name, shape = layer.kernel.name, layer.kernel.shape
    if layer.dense:
        what = "dense kernel"
        if match := _RECURRENT.search(layer.kernel.leaf):
            what = f"dense kernel of a recurrent layer, for {_RECURRENT_INPUTS[match[1]]}"
        elif _FUSED.search(name) and (shape[0] == 3 * shape[1] or "in_proj" not in name):
            what = "dense kernel of query, key and value"
        return f"{what}, stored as [in, out]" if layer.swapped else what
    count = len(shape) - 2
    if layer.last:
        return f"{count}-D convolution kernel, stored with its outputs last"
    if layer.swapped:
        return f"{count}-D transposed convolution kernel, stored as [in, out, ...]"
    return f"{count}-D convolution kernel"
