"""Whether a net is a plain chain of convolutions and dense layers, and the plans that fit it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from weightspace.checkpoints.plans.search import LARGEST, Fit, Known, fits
from weightspace.checkpoints.plans.sequences import Between, between
from weightspace.errors import UsageError
from weightspace.networks import Plan
from weightspace.networks.grammar import (
    Activation,
    AdaptivePool,
    Conv,
    Dense,
    Flatten,
    Layer,
    Norm,
)
from weightspace.networks.roles import Note, Placed

_MOST_LAYERS = 64
_MOST_PLANS = 6
_WITHIN = 2.5
_UNSURE = " of the norm before or after "  # in the reason of a norm
_ADAPTIVE = {1: 0.8, 2: 2.5, 3: 3.0, 4: 2.5, 5: 3.0, 6: 2.5, 7: 2.0, 8: 3.0}
_USUAL_INPUTS = {
    784: (1, 28, 28), 3072: (3, 32, 32), 1024: (1, 32, 32), 256: (1, 16, 16),
    12288: (3, 64, 64), 2352: (3, 28, 28), 150528: (3, 224, 224),
}  # fmt: skip


@dataclass
class _Kernel:
    """A kernel of the chain with its bias and the norms after it."""

    placed: Placed
    bias: bool = False
    norms: list[Norm] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.placed.entry.shape

    @property
    def convolves(self) -> bool:
        return len(self.shape) == 4


@dataclass(frozen=True)
class Plans:
    """The plans that fit a net, the likeliest first, and why there are none or several.

    Attributes
    ----------
    plans : tuple of Plan
        At most six. Activations stand where they are usual; which function they are is not
        stored. Dropout has no trace and is left out.
    reason : str
        Why there is no plan, or what the plans leave open.
    """

    plans: tuple[Plan, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The plans as plain values for JSON."""
        return {"reason": self.reason, "plans": [plan.to_dict() for plan in self.plans]}


def plans_of(
    placed: Sequence[Placed], skipped: Sequence[Note], modules: Mapping[str, Mapping[str, object]]
) -> Plans:
    """The plans that fit placed tensors; `modules` is what the file says of all modules."""
    try:
        chain = _chain(placed, skipped)
    except ValueError as error:
        return Plans((), str(error))
    conv = [kernel for kernel in chain if kernel.convolves]
    after = between([kernel.placed.entry for kernel in chain], placed, modules)
    if not conv:
        plans, reason = _dense_plans(chain), "the shape of the input is a guess"
    else:
        plans, reason = _conv_plans(chain, conv, after)
    if any(_UNSURE in one.reason for one in placed):
        reason += "; nothing shows the side of a norm, which is taken to follow its layer"
    fitting = tuple(plan for plan in plans if _same_vector(plan, placed))
    return Plans(fitting, reason)


def _chain(placed: Sequence[Placed], skipped: Sequence[Note]) -> list[_Kernel]:
    """The kernels in order; ValueError says why the net is no plain chain."""
    if any(note.dtype.startswith(("float", "bfloat")) for note in skipped):
        raise ValueError("not every tensor is part of a layer")
    chain: list[_Kernel] = []
    for one in placed:
        if one.role == "weight":
            if one.reason not in ("dense kernel", "2-D convolution kernel"):
                raise ValueError(f"it has a {one.reason}")
            chain.append(_Kernel(one))
        elif one.role == "bias":
            chain[-1].bias = True
        elif one.role == "scale":
            if " of the norm before " in one.reason and _UNSURE not in one.reason:
                raise ValueError("a norm comes before its layer")
            chain[-1].norms.append(Norm("layer"))
        elif one.role == "running_mean" and chain[-1].norms:
            chain[-1].norms[-1] = Norm("batch")
    _check(chain)
    return chain


def _check(chain: list[_Kernel]) -> None:
    if not chain or len(chain) > _MOST_LAYERS:
        raise ValueError("it has no layer" if not chain else f"it has over {_MOST_LAYERS} layers")
    flags = [kernel.convolves for kernel in chain]
    if flags != sorted(flags, reverse=True):
        raise ValueError("a convolution comes after a dense layer")
    if any(kernel.shape[2:] != kernel.shape[2:3] * 2 for kernel in chain if kernel.convolves):
        raise ValueError("a kernel is not square")
    if any(len(kernel.norms) > 1 for kernel in chain):
        raise ValueError("a layer has two norms")
    for one, other in itertools.pairwise(chain):
        gives, takes = one.shape[0], other.shape[1]
        fit = takes == gives or (other.convolves and _groups(gives, other.shape) > 0)
        if not fit and not (one.convolves and not other.convolves and takes % gives == 0):
            raise ValueError("its layers do not follow each other in a chain")


def _groups(gives: int, shape: tuple[int, ...]) -> int:
    """The groups of a convolution after a layer of so many channels; 0 if it cannot follow."""
    groups, rest = divmod(gives, shape[1])
    return groups if not rest and shape[0] % groups == 0 else 0


def _dense_plans(chain: list[_Kernel]) -> list[Plan]:
    """A plan of dense layers: the input as images where its size is that of usual images."""
    values = chain[0].shape[1]
    layers = _dense_layers(chain, {})
    flat = Plan((values,), layers)
    if values in _USUAL_INPUTS:
        return [Plan(_USUAL_INPUTS[values], (Flatten(), *layers)), flat]
    return [flat]


def _conv_plans(
    chain: list[_Kernel], conv: list[_Kernel], after: dict[str, Between]
) -> tuple[list[Plan], str]:
    channels, width = conv[0].shape[1], conv[-1].shape[0]
    dense = chain[len(conv) :]
    pixels = dense[0].shape[1] // width if dense else 1
    side = math.isqrt(pixels)
    if side * side != pixels:
        return [], "the pixels before the dense layers are no square"
    said = after[conv[-1].placed.entry.name].adaptive
    ends = {side: 0.0 if said is None else 4.0}
    pooled = 0.0 if said == side else _ADAPTIVE.get(side, 4.0) - (0.3 if not dense else 0.0)
    for larger in range(side + 1, LARGEST + 1):
        ends[larger] = pooled + 0.02 * max(0, larger - 8)
    known = tuple(_known(conv, number, after) for number in range(len(conv)))
    found = fits(channels, known, ends, 4 * _MOST_PLANS, _WITHIN)
    plans = [_plan(channels, chain, conv, fit, side, after) for fit in found]
    reason = "sizes, paddings and pools that fit the shapes"
    if not found:
        reason = "no usual sizes and pools fit its shapes"
    elif found[0].last != side:
        reason = f"pooling to {side}x{side} pixels hides the size of the input: it is a guess"
    unique = dict.fromkeys(plan for plan in plans if plan is not None)
    return list(unique)[:_MOST_PLANS], reason


def _known(conv: list[_Kernel], number: int, after: dict[str, Between]) -> Known:
    kernel = conv[number]
    said = after[kernel.placed.entry.name]
    last = number + 1 == len(conv)
    widens = last or conv[number + 1].shape[0] > kernel.shape[0]
    return Known(
        kernel.shape[2], widens, said.stride, said.padding,
        None if said.pools is None else tuple(said.pools), said.gap,
    )  # fmt: skip


def _plan(
    channels: int, chain: list[_Kernel], conv: list[_Kernel], fit: Fit, side: int,
    after: dict[str, Between],
) -> Plan | None:  # fmt: skip
    layers: list[Layer] = []
    gives = channels
    for kernel, choice in zip(conv, fit.choices, strict=True):
        said = after[kernel.placed.entry.name]
        groups = _groups(gives, kernel.shape)
        gives = kernel.shape[0]
        layers.append(
            Conv(gives, kernel.shape[2], choice.stride, choice.padding, groups, kernel.bias)
        )
        last = kernel is chain[-1]
        layers += [*kernel.norms, *_activation(said, last), *choice.pools]
    if fit.last != side:
        layers.append(AdaptivePool(side))
    layers += [Flatten(), *_dense_layers(chain[len(conv) :], after)]
    try:
        return Plan((channels, fit.side, fit.side), tuple(layers))
    except UsageError:
        return None


def _dense_layers(dense: Sequence[_Kernel], after: Mapping[str, Between]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for kernel in dense:
        said = after.get(kernel.placed.entry.name, Between())
        layers += [Dense(kernel.shape[0], kernel.bias), *kernel.norms]
        layers += _activation(said, kernel is dense[-1])
    return tuple(layers)


def _activation(said: Between, last: bool) -> list[Layer]:
    """An activation, unless the layer is the last, or nothing can stand after it."""
    return [] if last or said.gap == 0 else [Activation()]


def _same_vector(plan: Plan, placed: Sequence[Placed]) -> bool:
    """Whether the tensors of a plan are those of the net, in the same order."""
    ours = [(spec.role, spec.shape) for spec in plan.layout().tensors]
    return ours == [(one.role, one.entry.shape) for one in placed]
