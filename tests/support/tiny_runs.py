"""Sampling runs that take seconds, and what it means that two zoos are the same."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from weightspace.sampling import sample, work
from weightspace.sampling.calibration import Pace
from weightspace.sampling.engines import local
from weightspace.space import Space
from weightspace.training import StackTrainer
from weightspace.zoo import UnitWriter, Zoo, merge

TINY = Space.from_dict(
    {
        "name": "tiny",
        "recipe": {
            "dataset": ["digits", "textures"],
            "optimizer": ["adam", "rmsprop", "momentum"],
            "activation": ["relu", "tanh"],
            "filter_size": [3, 5],
            "batch_size": 16,
            "depth_conv": 2,
            "depth_fc": 1,
            "width_conv": 2,
            "width_fc": 8,
            "blocks": 2,
            "input_size": 8,
            "channels": 1,
            "outputs": 10,
            "epochs": 3,
            "train_images": 200,
        },
    }
)


def watched(out: str, workers: int = 1, space: Space = TINY, **options: object) -> None:
    """Sample in a process of its own, which says at which step each unit begins or goes on."""
    go_on = work.go_on

    def told(unit: UnitWriter, trainer: StackTrainer) -> list[dict[str, Any]]:
        rows = go_on(unit, trainer)
        print("begins at step", trainer.step, flush=True)
        return rows

    work.go_on = told
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sample(space, out=out, workers=workers, **({"nets": 24, "snapshots": 5} | options))


def merged_until(files: int, out: Path, zoos: list[Path]) -> None:
    """Merge in a process of its own, which is killed once it has linked so many files."""
    link, done = os.link, 0

    def linked(*arguments: Any, **options: Any) -> None:
        nonlocal done
        link(*arguments, **options)
        done += 1
        if done == files:
            os.kill(os.getpid(), signal.SIGKILL)

    os.link = linked
    merge(out, zoos)


def small(out: Path, **options: object) -> Zoo:
    return sample(TINY, out=out, **({"nets": 24, "snapshots": 5, "workers": 1} | options))


@contextmanager
def stacks_of(size: int) -> Iterator[None]:
    """Stacks of this many nets, as if that had been measured."""
    paces = {f"2^{k}": Pace(size, 0.001) for k in range(10, 40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "calibrate", lambda recipes, device: paces)
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads for torch, of which tests have one."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def same(one: Zoo, other: Zoo) -> bool:
    """Whether two zoos hold the same nets and, bit for bit, the same vectors."""
    keys = ["net", "snapshot", "step", "checksum", "test_loss", "train_loss", "batch_loss"]
    rows = [zoo.snapshots.select(keys).sort("net", "snapshot") for zoo in (one, other)]
    return rows[0].equals(rows[1])


def continued(zoo: Path, whole: Zoo) -> None:
    """Give a new zoo the whole one's stack sizes: they would be measured separately."""
    shutil.copy(whole.path / "zoo.json", zoo)
    shutil.copytree(whole.path / "rounds", zoo / "rounds")
