"""Which layers have hidden units that could stand in any order, so that their order is a trace."""

from __future__ import annotations

import re

import numpy as np

from weightspace.evidence.alignment import order_test, standardized
from weightspace.evidence.resemblance import places
from weightspace.evidence.subject import Layer, Subject

FEWEST = 8  # units of a layer whose order says something
_STRUCTURED = 1e-3  # the p-value below which a kernel has a diagonal of its own
_FIXED = re.compile(
    r"(^|[._/])(in_proj|qkv|wqkv|query|key|value|[qkv](_proj|_lin)?|w[qkv]|c_attn|\w*attn\w*"
    r"|\w*attention\w*|weight_[ih]h\w*|\w*rnn\w*|\w*lstm\w*|\w*gru\w*|recurrent_kernel|\w*lora\w*)"
    r"([._/]|$)",
    re.IGNORECASE,
)
_HEAD = re.compile(
    r"(^|[._/])\w*(head|logits|classifier|policy|actor|critic|mu|sigma|out(put)?s?)\w*([._/]|$)",
    re.IGNORECASE,
)


def ordered_because(net: Subject, number: int) -> str:
    """Why the order of a layer's units is no trace; "" if it is one.

    Parameters
    ----------
    net : Subject
        The net.
    number : int
        The position of the layer among `net.layers`.

    Returns
    -------
    str
        "" where units are hidden ones that a net is free to number in any way: another layer takes
        what they give, and nothing else tells one place from another.
    """
    layer, later = net.layers[number], net.layers[number + 1 :]
    if not later:
        return "its units have a meaning"
    if layer.outputs < FEWEST:
        return f"fewer than {FEWEST} units"
    if _FIXED.search(layer.weight):
        return "units of attention or of recurrent layers are in blocks"
    takers = later[:1] if net.chain else later
    if not any(_takes(layer, other) for other in takers):
        return "no later layer takes its units"
    if not net.chain and (_HEAD.search(layer.weight) or _faces_data(net, number)):
        return "its units may have a meaning"
    return ""


def in_blocks(net: Subject, number: int) -> bool:
    """Whether units are exchangeable in blocks only: of a grouped convolution, or a group norm.

    A norm without running statistics after a convolution may be one.
    """
    layer = net.layers[number]
    norms = any(not norm.batch for norm in layer.norms)
    return bool(layer.kernel) and (norms or _grouped(net, number))


def has_diagonal(rows: np.ndarray, layer: Layer) -> bool:
    """Whether the block of a kernel stands out where a unit meets its own input.

    Identity and Dirac initializations do; the order of such units is the same in all nets.
    """
    if layer.inputs != layer.outputs:
        return False
    units, inputs = places(layer)
    _, row, column = np.intersect1d(units, inputs, return_indices=True)
    if len(row) < FEWEST:
        return True  # it cannot be seen
    sizes = np.abs(rows.reshape(len(units), len(inputs), -1)).sum(2)
    return order_test(standardized(sizes[row][:, column])).p_value < _STRUCTURED


def _takes(layer: Layer, other: Layer) -> bool:
    flat = bool(layer.kernel) and not other.kernel
    return other.inputs == layer.outputs or (flat and other.inputs % layer.outputs == 0)


def _faces_data(net: Subject, number: int) -> bool:
    """Whether as many units as the first layer has inputs: what a generator or a decoder gives."""
    return number > 0 and net.layers[number].outputs == net.layers[0].inputs


def _grouped(net: Subject, number: int) -> bool:
    """Whether the inputs of a convolution are likely those of one of several groups."""
    layer = net.layers[number]
    before = {other.outputs for other in net.layers[:number]}
    if layer.inputs == 1 or layer.inputs in before:
        return False
    return any(
        width % layer.inputs == 0 and layer.outputs % (width // layer.inputs) == 0
        for width in before
    )
