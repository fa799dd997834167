"""The role of each tensor in a checkpoint: roles, layers and order from names and shapes."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass, field

_DIGITS = re.compile(r"\d+")
_MOST_NUMBERS = 16  # in a name; further numbers are sorted as text
_LONGEST_NAME = 200  # in a reason; a file may repeat a long name a thousand times
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
_NORM_NAME = re.compile(r"(norm|bn)\d*$", re.IGNORECASE)
_TABLE = re.compile(r"embed|(^|[._])(wte|wpe)([._]|$)|token", re.IGNORECASE)
_SLOPE = re.compile(r"prelu|(^|[._])act(ivation)?\d*$", re.IGNORECASE)
_FACTOR = re.compile(r"(^|[._])(weight_[guv]|original\d)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor as the file describes it; `dtype` is torch's name, such as "bfloat16"."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def module(self) -> str:
        """The name without its last component."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The last component of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Note:
    """How one tensor of a checkpoint was used, and why.

    Attributes
    ----------
    name : str
        The name in the file.
    shape : tuple of int
        The shape.
    dtype : str
        Torch's name of the type, such as "bfloat16".
    reason : str
        What it is, or why it was skipped.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor with its role and its place in the vector."""

    entry: Entry
    role: str
    part: str
    layer: int
    reason: str

    @property
    def note(self) -> Note:
        """The note of how it was used."""
        return Note(self.entry.name, self.entry.shape, self.entry.dtype, self.reason)


@dataclass(slots=True)
class _Norm:
    module: str
    position: int
    tensors: dict[str, Entry] = field(default_factory=dict)

    @property
    def width(self) -> int:
        return next(iter(self.tensors.values())).size


@dataclass(slots=True)
class _Layer:
    kernel: Entry
    position: int
    bias: Entry | None = None
    norms: list[_Norm] = field(default_factory=list)

    @property
    def part(self) -> str:
        return "fc" if len(self.kernel.shape) == 2 else "conv"


def natural(name: str) -> str:
    """A sorting key that puts conv2 before conv10.

    >>> sorted(["conv10", "conv2", "conv"], key=natural)
    ['conv', 'conv2', 'conv10']
    """
    # Digits are compared by their count first, not as an int, which Python refuses for thousands
    # of them. The NUL in front makes numbers come before all letters.
    return _DIGITS.sub(_sortable, name, count=_MOST_NUMBERS)


def _sortable(match: re.Match[str]) -> str:
    digits = match.group().lstrip("0")
    return f"\0{len(digits):08x}{digits}"


def arrange(entries: list[Entry], *, ordered: bool) -> tuple[list[Placed], list[Note]]:
    """Give every tensor a role, a part and a layer, or a reason why it has none.

    `ordered` says that the order of `entries` is that of the net's layers. Otherwise the natural
    order of names is used, with convolutions before dense layers. Returns the tensors in the order
    of the vector, and notes of the others.
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
    order = list(layers.values())
    owners = _Owners(order, norms, ordered)
    for norm in norms:
        if layers:
            owners.of(norm).norms.append(norm)
        else:
            skipped += [_skip(e, "part of a norm, without a layer") for e in norm.tensors.values()]
    if not ordered:
        order.sort(key=lambda layer: layer.part != "conv")
    return [p for index, layer in enumerate(order) for p in _place(layer, index)], skipped


def _skip(entry: Entry, reason: str) -> Note:
    return Note(entry.name, entry.shape, entry.dtype, reason)


def _unfit(entry: Entry) -> str:
    """Why a tensor cannot be used, whatever the other tensors are; empty if it can."""
    if entry.leaf == "num_batches_tracked":
        return "a count of batches"
    if not entry.dtype.startswith(_FLOATS):
        return f"{entry.dtype}: not a floating type of trained weights"
    if not entry.size:
        return "holds no values"
    if not entry.shape:
        return "a single value, not a tensor of a layer"
    if _FACTOR.search(entry.name):
        return "a factor of a reparametrised kernel; the kernel itself is not stored"
    if entry.leaf.endswith("_mask"):
        return "a mask"
    if len(entry.shape) == 1:
        return "a slope of an activation" if _SLOPE.search(entry.module) else ""
    if _is_norm(entry.module):
        return f"a norm of {len(entry.shape)} dimensions; only norms over channels are known"
    if _TABLE.search(entry.name):
        # A look-up table is not multiplied with anything, so it is not the kernel of a layer.
        if len(entry.shape) >= 4 and entry.leaf == "weight":
            return ""  # the convolution that cuts an image into patches has this name, too
        return "an embedding: a look-up table, not a kernel"
    if len(entry.shape) > 5:
        return f"{len(entry.shape)} dimensions: neither a convolution kernel nor a dense one"
    return ""


def _is_norm(module: str) -> bool:
    """Whether a module has the name of a norm: norm, bn2, ln, ln_1, ln_post."""
    last = module.rpartition(".")[2].lower()
    if _NORM_NAME.search(last):
        return True
    word = re.split(r"\W", last)[-1]  # one search for "_ln" and word characters to the end may
    return "_ln" in word or (word == last and last.startswith("ln"))  # begin anew at every "_ln"


def _norms_and_biases(
    rest: list[tuple[int, Entry]], layers: dict[str, _Layer]
) -> tuple[list[_Norm], list[Note]]:
    """Sort the 1-D tensors: biases go to their layer, norms are grouped by module."""
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
            skipped.append(_skip(entry, f"a second {role} after {_short(norm.tensors[role].name)}"))
        else:
            norm = norms.setdefault(entry.module, _Norm(entry.module, position))
            norm.tensors[role] = entry
    return list(norms.values()), skipped


def _kernel_of_bias(entry: Entry, layers: dict[str, _Layer]) -> _Layer | None:
    """The layer of a bias: the kernel whose name differs only in the word for bias."""
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
        return "a bias without its kernel"
    if entry.leaf == "weight":
        return "a single value: a gain or a slope, not a norm over channels"
    return "one dimension, but by its name neither a bias nor part of a norm"


class _Owners:
    """Finds the layer that a norm follows, in time that does not grow with the number of layers."""

    def __init__(self, layers: list[_Layer], norms: list[_Norm], ordered: bool) -> None:
        self._layers = layers
        self._ordered = ordered
        self._positions = [layer.position for layer in layers]
        self._siblings: dict[tuple[str, int], list[_Layer]] = {}
        self._numbered: dict[tuple[str, int, str], list[_Layer]] = {}
        first: dict[str, int] = {}
        for index, layer in enumerate(layers):
            module = layer.kernel.module
            first.setdefault(module, index)
            parent, _, last = module.rpartition(".")
            if not ordered and not last.isdecimal():
                key = (parent, layer.kernel.shape[0])
                self._siblings.setdefault(key, []).append(layer)
                self._numbered.setdefault((*key, _number(module)), []).append(layer)
        self._named = _named(first, [norm.module for norm in norms]) if norms else {}

    def of(self, norm: _Norm) -> _Layer:
        """The layer by name if the file has no order, else the layer before; else the first."""
        if norm.module in self._named:
            return self._layers[self._named[norm.module]]  # conv1_norm belongs to conv1
        if not self._ordered:
            # bn2 belongs to conv2; a LayerNorm to the only layer in the same module
            key = (norm.module.rpartition(".")[0], norm.width)
            for found in (
                self._numbered.get((*key, _number(norm.module)), []),
                self._siblings.get(key, []),
            ):
                if len(found) == 1:
                    return found[0]
        return self._layers[max(bisect_left(self._positions, norm.position) - 1, 0)]


def _named(first: dict[str, int], norms: list[str]) -> dict[str, int]:
    """The first layer whose module name begins a norm's name, if no letter or digit follows.

    `first` is the index of a module's first layer. In alphabetical order, all names that begin with
    a module's name come right after it, so each name is compared only with its neighbours.
    """
    none = 1 + max(first.values(), default=0)
    found: dict[str, int] = {}
    above: list[tuple[str, int]] = []  # modules with which the name begins, and the first so far
    for name in sorted({*first, *norms}):
        while above and not name.startswith(above[-1][0]):
            above.pop()
        best = none
        if above:
            module, best = above[-1]
            follows = name[len(module)]
            if not (follows.isascii() and follows.isalnum()):
                best = min(best, first[module])
        if name in first:
            above.append((name, best))
        found[name] = min(best, first.get(name, none))
    return {name: found[name] for name in norms if found[name] < none}


def _number(module: str) -> str:
    return module[len(module.rstrip("0123456789")) :]


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."


def _place(layer: _Layer, index: int) -> list[Placed]:
    """Kernel and bias, then for every norm shift, scale, running mean and running variance."""
    kernel, name = layer.kernel, _short(layer.kernel.name)
    what = "dense kernel" if layer.part == "fc" else f"{len(kernel.shape) - 2}-D convolution kernel"
    placed = [Placed(kernel, "weight", layer.part, index, what)]
    if layer.bias:
        placed.append(Placed(layer.bias, "bias", layer.part, index, f"bias of {name}"))
    for norm in layer.norms:
        for role in _NORM_ORDER:
            if role in norm.tensors:
                reason = f"{role.replace('_', ' ')} of the norm after {name}"
                placed.append(Placed(norm.tensors[role], role, layer.part, index, reason))
    return placed
