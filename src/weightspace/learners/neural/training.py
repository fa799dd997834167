"""Training of one network: Adam, class-balanced cross entropy, one row of every net in an epoch."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from weightspace.arrays import Float, Float32, Float64, Int, Int64
from weightspace.learners.neural.architectures import Dropout

Draw = Callable[[Int[np.ndarray, " n"], np.random.Generator], Float32[np.ndarray, "n length"]]
"""A function that draws a slice (or tokens) of each of these nets."""

_ROWS = 512
_global_stream = threading.Lock()


@dataclass(frozen=True)
class Plan:
    """How to train a network; `learning_rate` is Adam's."""

    epochs: int
    batch_size: int
    learning_rate: float
    device: str
    seed: int


def train(
    build: Callable[[], nn.Module],
    codes: Int64[np.ndarray, " nets"],
    levels: int,
    draw: Draw,
    plan: Plan,
    progress: Callable[[int], None],
) -> nn.Module:
    """Train a network to predict the `codes` of nets, each of which it sees once in an epoch.

    All classes have the same weight, however many nets each has. `progress` is called with the
    number of finished epochs. Returns the network in evaluation mode, on the device.
    """
    rng = np.random.default_rng([plan.seed, 0x4E7])
    network = _begin(build, plan.seed).to(plan.device)
    generator = torch.Generator(plan.device).manual_seed(plan.seed)
    dropouts = [module for module in network.modules() if isinstance(module, Dropout)]
    for module in dropouts:
        module.generator = generator
    share = np.bincount(codes, minlength=levels) / len(codes)
    weight = torch.tensor(1 / np.maximum(share, 1e-9) / levels, dtype=torch.float32)
    weight = weight.to(plan.device)
    optimizer = torch.optim.Adam(network.parameters(), plan.learning_rate)
    network.train()
    for epoch in range(plan.epochs):
        order = rng.permutation(len(codes))
        # Batch sizes differ by one at most: batch norm cannot work on a batch of one.
        for nets in np.array_split(order, max(1, len(order) // plan.batch_size)):
            slices = torch.from_numpy(draw(nets, rng)).to(plan.device)
            target = torch.from_numpy(codes[nets]).to(plan.device)
            loss = F.cross_entropy(network(slices), target, weight)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        progress(epoch + 1)
    for module in dropouts:
        module.generator = None
    return network.eval()


def _begin(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Make the network with initial weights from the seed; torch's own random stream stays."""
    with _global_stream, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


@torch.no_grad()
def log_probabilities(
    network: nn.Module, slices: Float[np.ndarray, "n length"], device: str
) -> Float64[np.ndarray, "n levels"]:
    """Log-probabilities of the classes of slices.

    They are computed in float32, or in the `precision` of the network.
    """
    precision = getattr(network, "precision", torch.float32)
    if precision != torch.float32:
        network = copy.deepcopy(network).to(precision)
    parts: list[Tensor] = []
    for start in range(0, len(slices), _ROWS):
        rows = np.ascontiguousarray(slices[start : start + _ROWS], np.float32)
        scores = network(torch.from_numpy(rows).to(device, precision)).double()
        parts.append(F.log_softmax(scores, dim=1).cpu())
    return torch.cat(parts).numpy()
