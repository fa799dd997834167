"""Which tensor of a foreign checkpoint is what: roles, layers and order from names and shapes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

_LEAF_ROLES = {
    "gamma": "scale",
    "scale": "scale",
    "beta": "shift",
    "shift": "shift",
    "running_mean": "running_mean",
    "moving_mean": "running_mean",
    "running_var": "running_var",
    "moving_variance": "running_var",
}
_FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3", "float8_e5m2")
_NORM_ORDER = ("shift", "scale", "running_mean", "running_var")
_NORM_NAME = re.compile(r"(norm|bn)\d*$|(^|[._])ln(_?\w+)?$", re.IGNORECASE)
_TABLE = re.compile(r"embed|(^|[._])(wte|wpe)([._]|$)|token", re.IGNORECASE)
_SLOPE = re.compile(r"prelu|(^|[._])act(ivation)?\d*$", re.IGNORECASE)
_FACTOR = re.compile(r"(^|[._])(weight_[guv]|original\d)$")


@dataclass(frozen=True)
class Entry:
    """One tensor as the file describes it; `dtype` is torch's name, such as "bfloat16"."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def module(self) -> str:
        """The name without its last component."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The last component of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Note:
    """What became of one tensor, and why."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True)
class Placed:
    """A tensor with its role and place in the vector."""

    entry: Entry
    role: str
    part: str
    layer: int
    reason: str

    @property
    def note(self) -> Note:
        """The account of it."""
        return Note(self.entry.name, self.entry.shape, self.entry.dtype, self.reason)


@dataclass
class _Norm:
    module: str
    position: int
    tensors: dict[str, Entry] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return next(iter(self.tensors.values())).size


@dataclass
class _Layer:
    kernel: Entry
    position: int
    bias: Entry | None = None
    norms: list[_Norm] = field(default_factory=list)

    @property
    def part(self) -> str:
        return "fc" if len(self.kernel.shape) == 2 else "conv"


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorting key in which conv2 comes before conv10."""
    # Digits are never made a number, which Python refuses to do with thousands of them.
    return [
        (0, len(piece.lstrip("0")), piece.lstrip("0")) if piece.isdecimal() else (1, 0, piece)
        for piece in re.split(r"(\d+)", name)
        if piece
    ]


def arrange(entries: list[Entry], *, ordered: bool) -> tuple[list[Placed], list[Note]]:
    """Give every tensor a role, a part and a layer, or a reason why it has none.

    `ordered` says that the order of `entries` is that of the net's layers; otherwise the natural
    order of names stands in, convolutions before dense layers. Returns the tensors in the order of
    the vector, and notes of those that are left out.
    """
    if not ordered:
        entries = sorted(entries, key=lambda entry: natural(entry.name))
    layers: dict[str, _Layer] = {}
    skipped: list[Note] = []
    rest: list[tuple[int, Entry]] = []
    for position, entry in enumerate(entries):
        if reason := _unfit(entry):
            skipped.append(_skip(entry, reason))
        elif len(entry.shape) > 1:
            layers[entry.name] = _Layer(entry, position)
        else:
            rest.append((position, entry))
    norms, left = _norms_and_biases(rest, layers)
    skipped += left
    for norm in norms:
        if layers:
            _owner(norm, list(layers.values()), ordered).norms.append(norm)
        else:
            skipped += [_skip(e, "part of a norm, without a layer") for e in norm.tensors.values()]
    order = list(layers.values())
    if not ordered:
        order.sort(key=lambda layer: layer.part != "conv")
    return [p for index, layer in enumerate(order) for p in _place(layer, index)], skipped


def _skip(entry: Entry, reason: str) -> Note:
    return Note(entry.name, entry.shape, entry.dtype, reason)


def _unfit(entry: Entry) -> str:
    """Why a tensor cannot be used, whatever stands beside it; empty where it can."""
    if entry.leaf == "num_batches_tracked":
        return "a count of batches"
    if not entry.dtype.startswith(_FLOATS):
        return f"{entry.dtype}: no floating type that weights are trained in"
    if not entry.size:
        return "holds no values"
    if not entry.shape:
        return "a single value, no tensor of a layer"
    if _FACTOR.search(entry.name):
        return "a factor of a reparametrised kernel, which is not stored itself"
    if entry.leaf.endswith("_mask"):
        return "a mask"
    if len(entry.shape) == 1:
        return "a slope of an activation" if _SLOPE.search(entry.module) else ""
    if _NORM_NAME.search(entry.module):
        return f"a norm of {len(entry.shape)} dimensions; only norms over channels are known"
    if _TABLE.search(entry.name):
        # A look-up table is not multiplied with anything: its rows say nothing about a layer.
        if len(entry.shape) >= 4 and entry.leaf == "weight":
            return ""  # the convolution that cuts an image into patches is named so, too
        return "an embedding: a look-up table, no kernel"
    if len(entry.shape) > 5:
        return f"{len(entry.shape)} dimensions: neither a convolution kernel nor a dense one"
    return ""


def _norms_and_biases(
    rest: list[tuple[int, Entry]], layers: dict[str, _Layer]
) -> tuple[list[_Norm], list[Note]]:
    """Sort the 1-D tensors: biases go to their layer, norms are gathered by module."""
    norm_modules = {
        entry.module
        for _, entry in rest
        if entry.leaf in _LEAF_ROLES or (entry.leaf == "weight" and entry.size > 1)
    }
    norms: dict[str, _Norm] = {}
    skipped: list[Note] = []
    for position, entry in rest:
        kernel = _kernel_of_bias(entry, layers)
        if kernel:
            kernel.bias = entry
            continue
        role = _LEAF_ROLES.get(entry.leaf, "")
        if entry.module in norm_modules:
            role = {"weight": "scale", "bias": "shift"}.get(entry.leaf, role)
        norm = norms.get(entry.module)
        if not role:
            skipped.append(_skip(entry, _why_no_role(entry)))
        elif norm and role in norm.tensors:
            skipped.append(_skip(entry, f"a second {role} beside {norm.tensors[role].name}"))
        else:
            norm = norms.setdefault(entry.module, _Norm(entry.module, position))
            norm.tensors[role] = entry
    return list(norms.values()), skipped


def _kernel_of_bias(entry: Entry, layers: dict[str, _Layer]) -> _Layer | None:
    """The layer that a bias belongs to: the kernel whose name differs in that word alone."""
    if "bias" not in entry.leaf:
        return None
    prefix = f"{entry.module}." if entry.module else ""
    for word in ("weight", "kernel"):
        layer = layers.get(prefix + entry.leaf.replace("bias", word))
        if layer:
            return layer
    return None


def _why_no_role(entry: Entry) -> str:
    if "bias" in entry.leaf:
        return "a bias without a kernel beside it"
    if entry.leaf == "weight":
        return "a single value: a gain or a slope, no norm over channels"
    return "one dimension, but by its name neither a bias nor part of a norm"


def _owner(norm: _Norm, layers: list[_Layer], ordered: bool) -> _Layer:
    """The layer that a norm follows: by name where the file keeps no order, else the one before.

    A norm before every layer goes to the first.
    """
    for layer in layers:
        if re.match(rf"{re.escape(layer.kernel.module)}([^A-Za-z0-9]|$)", norm.module):
            return layer  # conv1_norm goes with conv1
    if not ordered:
        parent, number = norm.module.rpartition(".")[0], _number(norm.module)
        siblings = [
            layer
            for layer in layers
            if layer.kernel.module.rpartition(".")[0] == parent
            and layer.kernel.shape[0] == norm.width
            and not layer.kernel.module.rpartition(".")[2].isdecimal()
        ]
        # bn2 goes with conv2; a LayerNorm with the one layer that stands beside it
        numbered = [layer for layer in siblings if _number(layer.kernel.module) == number]
        if len(numbered) == 1 or len(siblings) == 1:
            return (numbered or siblings)[0]
    before = [layer for layer in layers if layer.position < norm.position]
    return before[-1] if before else layers[0]


def _number(module: str) -> str:
    match = re.search(r"\d+$", module)
    return match.group() if match else ""


def _place(layer: _Layer, index: int) -> list[Placed]:
    """Kernel and bias, then of every norm shift, scale, running mean and running variance."""
    kernel = layer.kernel
    what = "dense kernel" if layer.part == "fc" else f"{len(kernel.shape) - 2}-D convolution kernel"
    placed = [Placed(kernel, "weight", layer.part, index, what)]
    if layer.bias:
        placed.append(Placed(layer.bias, "bias", layer.part, index, f"bias of {kernel.name}"))
    for norm in layer.norms:
        for role in _NORM_ORDER:
            if role in norm.tensors:
                reason = f"{role.replace('_', ' ')} of the norm after {kernel.name}"
                placed.append(Placed(norm.tensors[role], role, layer.part, index, reason))
    return placed
