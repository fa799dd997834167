"""The architecture of a net as a fact: its kind, its layers, and the parameters of each part."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from weightspace.networks.roles import Arrangement, Note, Placed, Widths

_ADAPTER = re.compile(r"(^|[._])lora_(a|b|up|down)([._]|$)|(^|\.)hada_w", re.IGNORECASE)
_ATTENTION = re.compile(r"attn|attention|in_proj_weight|q_proj|query|qkv", re.IGNORECASE)
_RECURRENT = re.compile(
    r"(^|\.)weight_(ih|hh)(_l\d|$)|(^|[./])(lstm|gru|rnn)[_\d]*[./]|recurrent_kernel", re.IGNORECASE
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
        Channels or units; inputs of a grouped convolution are those of one group. Which axis of the
        kernel they are follows from the bias, or from the word for the layer.
    kernel : tuple of int
        The sides of a convolution's kernel; () for a dense one.
    bias : bool
        Whether it has a bias.
    norms : int
        How many norms belong to it; the notes say which are before it and which after it.
    tied : str
        The name of another tensor that is the same as its kernel; "" if there is none.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    bias: bool
    norms: int
    tied: str = ""


@dataclass(frozen=True)
class Architecture:
    """The architecture of a net, as far as names and shapes tell.

    Attributes
    ----------
    kind : str
        "LoRA adapter", "transformer", "recurrent", "residual CNN", "CNN", "MLP" or "unknown",
        which is also that of a file that may hold data.
    evidence : str
        What the kind was told by.
    layers : tuple of Layer
        In the order of the net.
    parameters : dict of str to int
        Trained values by part: "conv", "fc", "norms", "not placed". A tensor with several names
        counts once.
    """

    kind: str
    evidence: str
    layers: tuple[Layer, ...]
    parameters: Mapping[str, int]


def of(
    arrangement: Arrangement, modules: Mapping[str, str], ties: Mapping[str, str]
) -> Architecture:
    """The architecture that arranged tensors and the classes of modules make.

    `ties` has another name for each name of a tensor that has several.
    """
    placed, skipped = arrangement.placed, arrangement.skipped
    layers = _layers(placed)
    names = [p.entry.name for p in placed] + [note.name for note in skipped]
    kind, evidence = _kind(names, layers, modules.values())
    if arrangement.data:
        kind, evidence = "unknown", arrangement.doubts[0]
    return Architecture(kind, evidence, tuple(layers), _parameters(placed, skipped, ties))


def _layers(placed: Sequence[Placed]) -> list[Layer]:
    found: dict[int, dict[str, Placed]] = {}
    norms: Counter[int] = Counter()
    for one in placed:
        found.setdefault(one.layer, {}).setdefault(one.role, one)
        norms[one.layer] += one.role == "scale"
    layers = []
    for number, roles in found.items():
        kernel = roles["weight"]
        widths = kernel.widths or Widths(0, 0, ())
        kind = "convolution" if widths.sides else "dense"
        layers.append(
            Layer(kernel.entry.name, kind, widths.inputs, widths.outputs, widths.sides,
                  "bias" in roles, norms[number], kernel.entry.tied)
        )  # fmt: skip
    return layers


def _kind(names: Sequence[str], layers: Sequence[Layer], classes: Iterable[str]) -> tuple[str, str]:
    if name := _adapter(names):
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


def _adapter(names: Sequence[str]) -> str:
    """A factor of an adapter whose kernel is not in the file; "" if there is none.

    Whole layers beside the factors, such as a new head, do not make an adapter a net.
    """
    modules = {name.rpartition(".")[0] for name in names if not _ADAPTER.search(name)}
    for name in names:
        if match := _ADAPTER.search(name):
            adapted = name[: match.start()]
            if adapted not in modules and f"{adapted}.base_layer" not in modules:
                return name
    return ""


def _parameters(
    placed: Sequence[Placed], skipped: Sequence[Note], ties: Mapping[str, str]
) -> dict[str, int]:
    counts: Counter[str] = Counter()
    counted: set[str] = set()

    def again(name: str) -> bool:
        first = min(name, ties.get(name, name))
        seen = first in counted
        counted.add(first)
        return seen

    for one in placed:
        if again(one.entry.name):
            continue
        if one.role in ("weight", "bias"):
            counts[one.part] += one.entry.size
        elif one.role in ("scale", "shift"):
            counts["norms"] += one.entry.size
    for note in skipped:
        if note.dtype.startswith(("float", "bfloat")) and not again(note.name):
            size = 1
            for side in note.shape:
                size *= side
            counts["not placed"] += size
    return dict(counts)
