"""Sampling runs that take seconds, and what it means that two zoos are the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weightspace.sampling import sample
from weightspace.sampling.calibration import Pace
from weightspace.sampling.engines import local
from weightspace.space import Space
from weightspace.zoo import Zoo

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

SCRIPT = """
import json, signal, sys
from weightspace.sampling import sample
from weightspace.space import Space
from weightspace.sampling import work
go_on = work.go_on
def told(unit, trainer):
    rows = go_on(unit, trainer)
    print("begins at step", trainer.step, flush=True)
    return rows
work.go_on = told
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
space, out, workers = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sample(Space.from_dict(space), nets=24, out=out, workers=workers, snapshots=5)
"""


def small(out: Path, **options: object) -> Zoo:
    return sample(TINY, out=out, **({"nets": 24, "snapshots": 5, "workers": 1} | options))


@contextmanager
def stacks_of(size: int) -> Iterator[None]:
    """Stacks of this many nets, as if that had been measured."""
    paces = {f"2^{k}": Pace(size, 0.001) for k in range(10, 40)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "calibrate", lambda recipes, device: paces)
        yield


def same(one: Zoo, other: Zoo) -> bool:
    """Whether two zoos hold the same nets and, bit for bit, the same vectors."""
    keys = ["net", "snapshot", "step", "checksum", "test_loss", "train_loss", "batch_loss"]
    rows = [zoo.snapshots.select(keys).sort("net", "snapshot") for zoo in (one, other)]
    return rows[0].equals(rows[1])


def continued(zoo: Path, whole: Zoo) -> None:
    """Give a new zoo the whole one's stack sizes: they would be measured separately."""
    shutil.copy(whole.path / "zoo.json", zoo)
    shutil.copytree(whole.path / "rounds", zoo / "rounds")
