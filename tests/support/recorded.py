"""A small net that is trained and recorded, also in processes that are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
from torch import nn

from support import killing
from weightspace.recording import Recorder, Run

STEPS, SNAPSHOTS = 20, 5


def net(seed: int = 0) -> nn.Sequential:
    """A convolution, a batch norm and a dense layer."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)
    )


def recorder(path: Path | str, **options: Any) -> Recorder:
    defaults: dict[str, Any] = {"snapshots": SNAPSHOTS, "total_steps": STEPS}
    return Recorder(path, {"dataset": "noise", "batch_size": 8}, **(defaults | options))


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, run: Run, until: int) -> None:
    """Train until so many steps are made."""
    images, labels = torch.rand(8, 1, 8, 8), torch.arange(8)
    while run.steps < until:
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if run.step(loss=loss):
            run.measured(test_accuracy=0.5)


def train(path: Path | str, name: str | None = None, seed: int = 0, **told: Any) -> None:
    """Train and record a net."""
    model = net(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=told.pop("lr", 1e-3))
    with recorder(path).run(model, name=name, optimizer=optimizer, seed=seed, **told) as run:
        steps(model, optimizer, run, STEPS)


def train_until_killed(path: str, name: str, at: int) -> None:
    """Train, and be killed before the step `at`; its snapshots are on the disk by then."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    run = recorder(path).run(model, name=name, optimizer=optimizer, seed=0)
    steps(model, optimizer, run, at)
    run._journal.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def train_forever(path: str, name: str) -> None:
    """Train and take a snapshot in every step."""
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    marks = {"snapshots": range(100_000), "total_steps": None}
    run = recorder(path, **marks).run(model, name=name, optimizer=optimizer)
    steps(model, optimizer, run, 5)
    run._journal.flush()
    print("begun", flush=True)
    steps(model, optimizer, run, 100_000)


def train_until_change(path: str, name: str, at: int) -> None:
    """Train, and be killed at a change of the disk."""
    with killing.killed_at(at, really=True):
        train(path, name)


def train_many(path: str, first: int, count: int) -> None:
    """Record a few nets, one after the other."""
    for seed in range(first, first + count):
        train(path, f"net-{seed}", seed, lr=0.001 * (1 + seed % 3), activation="relu")
