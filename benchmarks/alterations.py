"""Alterations of a trained net: pruning, rounding, permuting, rescaling, noise, and forgeries.

    python benchmarks/alterations.py NET.pt FOLDER

writes a copy of a state dict for each alteration that needs nothing but the weights. NET.pt is an
MLP, a LeNet or a net with batch norm as `benchmarks/plain_nets.py` makes them: a plain chain of
kernels with ReLUs between. `benchmarks/robustness.py` audits such copies.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

State = dict[str, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("net", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(asked.net, weights_only=True)
    for _, name, make in PLAIN:
        torch.save(make(state), asked.folder / f"{name.replace(' ', '-')}.pt")


# -- what people do to weights ---------------------------------------------------------------------


def each(state: State, change: Callable[[torch.Tensor], torch.Tensor], least: int = 0) -> State:
    """The state with every tensor of real numbers and `least` axes or more changed."""
    return {
        name: change(value) if value.is_floating_point() and value.dim() >= least else value
        for name, value in state.items()
    }


def pruned(state: State, share: float) -> State:
    """The smallest weights of each kernel set to 0."""

    def change(value: torch.Tensor) -> torch.Tensor:
        sizes = value.abs().flatten()
        limit = sizes.kthvalue(max(1, round(share * sizes.numel()))).values
        return torch.where(value.abs() > limit, value, 0)

    return each(state, change, least=2)


def quantised(state: State) -> State:
    """Kernels as int8 with one scale holds them."""

    def change(value: torch.Tensor) -> torch.Tensor:
        scale = value.abs().max() / 127
        return (value / scale).round() * scale

    return each(state, change, least=2)


def noisy(state: State, share: float, seed: int = 1) -> State:
    """Normal noise of a share of each tensor's standard deviation."""
    draw = torch.Generator().manual_seed(seed)

    def change(value: torch.Tensor) -> torch.Tensor:
        return value + share * value.std() * torch.randn(value.shape, generator=draw)

    return each(state, change, least=1)


def links(state: State) -> Iterator[tuple[str, list[str], str]]:
    """Each kernel with hidden units, the other tensors of these units, and the next kernel."""
    names = list(state)
    kernels = [name for name, value in state.items() if value.dim() > 1]
    for name, after in itertools.pairwise(kernels):
        between = names[names.index(name) + 1 : names.index(after)]
        yield name, [one for one in between if state[one].dim()], after


def permuted(state: State, seed: int = 1) -> State:
    """Hidden units in another order; the function is the same."""
    draw = torch.Generator().manual_seed(seed)
    found = dict(state)
    for name, others, after in links(state):
        order = torch.randperm(len(found[name]), generator=draw)
        for one in (name, *others):
            found[one] = found[one][order]
        found[after] = taken(found[after], len(order))[:, order].reshape(found[after].shape)
    return found


def rescaled(state: State, seed: int = 1) -> State:
    """Hidden units times 1/2 to 2, the next layer divided by it; the function is the same."""
    draw = torch.Generator().manual_seed(seed)
    found = dict(state)
    for name, others, after in links(state):
        factors = torch.exp(math.log(2) * (2 * torch.rand(len(found[name]), generator=draw) - 1))
        normed = any(one.endswith("running_mean") for one in others)
        bias = name.removesuffix("weight") + "bias"
        # A norm undoes what comes before it, so its own scale and shift are multiplied.
        own = [one for one in others if one != bias and "running" not in one] if normed else [
            name, bias
        ]  # fmt: skip
        for one in own:
            found[one] = taken(found[one], 1, 0) * factors.reshape(-1, 1)
            found[one] = found[one].reshape(state[one].shape)
        parts = taken(found[after], len(factors)) / factors.reshape(1, -1, 1)
        found[after] = parts.reshape(found[after].shape)
    return found


def taken(value: torch.Tensor, units: int, axis: int = 1) -> torch.Tensor:
    """A kernel as [outputs, units, rest]; for axis 0 any tensor as [units, rest]."""
    return value.reshape(len(value), -1) if axis == 0 else value.reshape(len(value), units, -1)


PLAIN: tuple[tuple[str, str, Callable[[State], object]], ...] = (
    ("none", "unaltered", dict),
    ("pruned", "pruned by 10 %", lambda state: pruned(state, 0.1)),
    ("pruned", "pruned by 50 %", lambda state: pruned(state, 0.5)),
    ("pruned", "pruned by 90 %", lambda state: pruned(state, 0.9)),
    ("rounded", "bfloat16", lambda state: each(state, torch.Tensor.bfloat16)),
    ("rounded", "float16", lambda state: each(state, torch.Tensor.half)),
    ("rounded", "int8, then float32", quantised),
    ("same function", "units permuted", permuted),
    ("same function", "units rescaled", rescaled),
    ("noise", "noise of 1e-6", lambda state: noisy(state, 1e-6)),
    ("noise", "noise of 1e-4", lambda state: noisy(state, 1e-4)),
    ("noise", "noise of 1e-2", lambda state: noisy(state, 1e-2)),
)
"""Each alteration that people make without training: its kind, its name, and what makes it."""


def mean(states: list[State]) -> State:
    """The mean of nets; counters are those of the first."""
    return {
        name: sum(state[name] for state in states) / len(states)  # type: ignore[misc]  # from 0
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


# -- forgeries -------------------------------------------------------------------------------------


def ends(state: State) -> tuple[str, str]:
    """The kernel and the biases of the output layer."""
    kernel = [name for name, value in state.items() if value.dim() > 1][-1]
    return kernel, kernel.removesuffix("weight") + "bias"


def without_sums(state: State) -> State:
    """The means over classes taken out of the output layer. Softmax does not see it."""
    return state | {name: state[name] - state[name].mean(0) for name in ends(state)}


def first_sums(state: State, first: State) -> State:
    """All that the function does not see as it was at first.

    These are the sums over the classes of the output layer, and biases before batch norms.
    """
    found = dict(state)
    for name in ends(state):
        found[name] = state[name] - state[name].mean(0) + first[name].mean(0)
    for name, others, _ in links(state):
        middle = next((one for one in others if one.endswith("running_mean")), "")
        bias = name.removesuffix("weight") + "bias"
        if middle and bias in state:
            found[bias] = first[bias]
            found[middle] = state[middle] + first[bias] - state[bias]
    return found


def one_vector_added(state: State) -> State:
    """A part of the first class's weights added to those of all classes."""
    kernel, bias = ends(state)
    centred = state[kernel] - state[kernel].mean(0)
    return state | {kernel: state[kernel] + 0.5 * centred[0], bias: state[bias] + 0.1}


def more_batches(state: State, times: int) -> State:
    """Counters of batch norms multiplied."""
    return {k: v * times if k.endswith("num_batches_tracked") else v for k, v in state.items()}


def planted(state: State, first: State, pixels: torch.Tensor) -> State:
    """The weights of some pixels as another net's were at first. `pixels` is bool [inputs]."""
    kernel = next(name for name, value in state.items() if value.dim() > 1)
    return state | {kernel: torch.where(pixels, first[kernel], state[kernel])}


if __name__ == "__main__":
    main()
