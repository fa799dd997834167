"""Nets with batch norm, trained on handwritten digits by plain PyTorch, and as laws see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from weightspace.checkpoints.opening import open_net
from weightspace.evidence import Context, Evidence, Subject, of_checkpoint
from weightspace.images import load

Optimizer = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def digits(count: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images of 8 x 8 values and labels."""
    found = load("digits")
    pixels = torch.tensor(np.asarray(found.x_train[:count], np.float64) / 255)
    side = found.x_train.shape[1]
    pixels = pixels.reshape(count, side, side)[:, :: side // 8, :: side // 8]
    return pixels.reshape(count, -1).to(dtype), torch.tensor(
        np.asarray(found.y_train[:count])
    ).long()


def mlp(middle: type[nn.Module] | None = None, inputs: int = 64) -> nn.Sequential:
    """Two hidden layers, each followed by a batch norm, after an activation if one is given."""
    between = [] if middle is None else [middle()]
    return nn.Sequential(
        nn.Linear(inputs, 128), *between, nn.BatchNorm1d(128), nn.ReLU(),
        nn.Linear(128, 48), *between, nn.BatchNorm1d(48), nn.ReLU(),
        nn.Linear(48, 10),
    )  # fmt: skip


def steps(net: nn.Module, optimizer: Optimizer, number: int) -> Iterator[int]:
    """Train in batches of 64 digits, a step at a time, in the precision of the net."""
    own = list(net.parameters())
    made = optimizer(own)
    x, y = digits(960, own[0].dtype)
    for step in range(number):
        start = 64 * (step % 15)
        made.zero_grad()
        loss = nn.functional.cross_entropy(net(x[start : start + 64]), y[start : start + 64])
        loss.backward()
        made.step()
        yield step + 1


def trained(net: nn.Module, optimizer: Optimizer, number: int) -> nn.Module:
    """The net after so many steps."""
    for _ in steps(net, optimizer, number):
        pass
    return net


@contextmanager
def opened(content: object, folder: Path) -> Iterator[tuple[Subject, Context]]:
    """What is saved as a file, as the laws see it, and the context of the file alone."""
    place = folder / "net.pt"
    torch.save(content, place)
    with open_net(place) as net:
        yield of_checkpoint(net), Context(inspection=net.inspection)


def p_value(found: list[Evidence], claim: str, value: object) -> float | None:
    """The least p-value that evidence gives for a value of a claim; None if it gives none."""
    given = [
        one.p_value
        for evidence in found
        if evidence.claim == claim
        for one in evidence.hypotheses
        if value in one.values
    ]
    return min(given, default=None)
