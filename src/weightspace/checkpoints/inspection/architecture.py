"""The architecture of a net as a fact: its kind, its layers, and the parameters of each part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weightspace.networks.roles import Note, Placed

_ADAPTER = re.compile(r"(^|[._])lora_(a|b|up|down)([._]|$)|(^|\.)hada_w", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention|in_proj_weight|q_proj|query|qkv", re.IGNORECASE)
_RECURRENT = re.compile(
    r"(^|\.)weight_(ih|hh)_l\d|(^|\.)(lstm|gru|rnn)[_\d]*\.|recurrent_kernel", re.IGNORECASE
)
_SHORTCUT = re.compile(r"downsample|shortcut|skip|residual|layer\d+\.\d+\.conv\d", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """A layer: the name of its kernel, what it is, its sizes.

    Attributes
    ----------
    name : str
        The kernel's name in the file.
    kind : str
        "dense" or "convolution".
    inputs, outputs : int
        Channels or units, as the kernel's shape says; inputs of a grouped convolution are those of
        one group.
    kernel : tuple of int
        The sides of a convolution's kernel; () for a dense one.
    bias : bool
        Whether it has a bias.
    norms : int
        How many norms follow it.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    bias: bool
    norms: int


@dataclass(frozen=True)
class Architecture:
    """The architecture of a net, as far as names and shapes tell.

    Attributes
    ----------
    kind : str
        "LoRA adapter", "transformer", "recurrent", "residual CNN", "CNN", "MLP" or "unknown".
    evidence : str
        What the kind was told by.
    layers : tuple of Layer
        In the order of the net.
    parameters : dict of str to int
        Trained values by part: "conv", "fc", "norms", "not placed".
    """

    kind: str
    evidence: str
    layers: tuple[Layer, ...]
    parameters: Mapping[str, int]


def of(
    placed: Sequence[Placed], skipped: Sequence[Note], modules: Mapping[str, str]
) -> Architecture:
    """The architecture that placed tensors, the others and the classes of modules make."""
    layers = _layers(placed)
    names = [p.entry.name for p in placed] + [note.name for note in skipped]
    kind, evidence = _kind(names, layers, modules.values())
    return Architecture(kind, evidence, tuple(layers), _parameters(placed, skipped))


def _layers(placed: Sequence[Placed]) -> list[Layer]:
    found: dict[int, dict[str, Placed]] = {}
    norms: Counter[int] = Counter()
    for one in placed:
        found.setdefault(one.layer, {}).setdefault(one.role, one)
        norms[one.layer] += one.role == "scale"
    layers = []
    for number, roles in found.items():
        kernel = roles["weight"].entry
        sides = kernel.shape[2:]
        kind = "convolution" if sides else "dense"
        layers.append(
            Layer(kernel.name, kind, kernel.shape[1], kernel.shape[0], sides,
                  "bias" in roles, norms[number])
        )  # fmt: skip
    return layers


def _kind(names: Sequence[str], layers: Sequence[Layer], classes: Iterable[str]) -> tuple[str, str]:
    if not layers and (name := next((n for n in names if _ADAPTER.search(n)), "")):
        return "LoRA adapter", name
    for kind, pattern in (("transformer", _ATTENTION), ("recurrent", _RECURRENT)):
        if name := next((n for n in (*names, *classes) if pattern.search(n)), ""):
            return kind, name
    convolutions = [layer for layer in layers if layer.kind == "convolution"]
    if convolutions:
        if name := next((n for n in names if _SHORTCUT.search(n)), ""):
            return "residual CNN", name
        return "CNN", f"{len(convolutions)} convolutions, no shortcut by name"
    if layers:
        return "MLP", f"{len(layers)} dense layers"
    return "unknown", "no kernel"


def _parameters(placed: Sequence[Placed], skipped: Sequence[Note]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for one in placed:
        if one.role in ("weight", "bias"):
            counts[one.part] += one.entry.size
        elif one.role in ("scale", "shift"):
            counts["norms"] += one.entry.size
    for note in skipped:
        if note.dtype.startswith(("float", "bfloat")):
            size = 1
            for side in note.shape:
                size *= side
            counts["not placed"] += size
    return dict(counts)
