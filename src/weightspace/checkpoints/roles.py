"""Which tensor of a foreign checkpoint is what: roles, layers and order from names and shapes."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from dataclasses import dataclass, field

_DIGITS = re.compile(r"\d+")
_MOST_NUMBERS = 16  # in a name; any more are sorted as text
_LONGEST_NAME = 200  # in a reason; some file may repeat a name a thousand times
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


@dataclass(frozen=True, slots=True)
class Note:
    """What became of one tensor, and why."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True, slots=True)
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
    """Sorting key in which conv2 comes before conv10.

    >>> sorted(["conv10", "conv2", "conv"], key=natural)
    ['conv', 'conv2', 'conv10']
    """
    # Digits are never made a number, which Python refuses to do with thousands of them: more of
    # them are a larger one. What begins with NUL comes before all letters, as numbers should.
    return _DIGITS.sub(_sortable, name, count=_MOST_NUMBERS)


def _sortable(match: re.Match[str]) -> str:
    digits = match.group().lstrip("0")
    return f"\0{len(digits):08x}{digits}"


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
    if _is_norm(entry.module):
        return f"a norm of {len(entry.shape)} dimensions; only norms over channels are known"
    if _TABLE.search(entry.name):
        # A look-up table is not multiplied with anything: its rows say nothing about a layer.
        if len(entry.shape) >= 4 and entry.leaf == "weight":
            return ""  # the convolution that cuts an image into patches is named so, too
        return "an embedding: a look-up table, no kernel"
    if len(entry.shape) > 5:
        return f"{len(entry.shape)} dimensions: neither a convolution kernel nor a dense one"
    return ""


def _is_norm(module: str) -> bool:
    """Whether a module is named as norms are: norm, bn2, ln, ln_1, ln_post."""
    last = module.rpartition(".")[2].lower()
    if _NORM_NAME.search(last):
        return True
    word = re.split(r"\W", last)[-1]  # one search for "_ln" and word characters to the end may
    return "_ln" in word or (word == last and last.startswith("ln"))  # begin anew at every "_ln"


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
            skipped.append(
                _skip(entry, f"a second {role} beside {_short(norm.tensors[role].name)}")
            )
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


class _Owners:
    """Finds the layer that a norm follows, in a time that does not grow with their number."""

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
        """By name where the file keeps no order, else the layer before; the first where none is."""
        if norm.module in self._named:
            return self._layers[self._named[norm.module]]  # conv1_norm goes with conv1
        if not self._ordered:
            # bn2 goes with conv2; a LayerNorm with the one layer that stands beside it
            key = (norm.module.rpartition(".")[0], norm.width)
            for found in (
                self._numbered.get((*key, _number(norm.module)), []),
                self._siblings.get(key, []),
            ):
                if len(found) == 1:
                    return found[0]
        return self._layers[max(bisect_left(self._positions, norm.position) - 1, 0)]


def _named(first: dict[str, int], norms: list[str]) -> dict[str, int]:
    """The first layer that a norm's name begins with, where no letter or digit follows.

    `first` has the index of a module's first layer. In the order of the alphabet, all names that
    begin with a module come right after it, so that each is compared with its neighbours only.
    """
    none = 1 + max(first.values(), default=0)
    found: dict[str, int] = {}
    above: list[tuple[str, int]] = []  # modules that the name begins with, and the first so far
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
    """Kernel and bias, then of every norm shift, scale, running mean and running variance."""
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
