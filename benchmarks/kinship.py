"""How often `compare` is right about pairs of nets whose history is known.

Nets are trained by a plain PyTorch loop on real images, and kept in the folder `--out`; a second
run continues. Then pairs are compared, and the answers are counted by kind of pair:

    python benchmarks/kinship.py --out nets          # MNIST, Fashion-MNIST and CIFAR-10 are needed

The pairs of half of the seeds (even) set the thresholds; those of the others are the table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weightspace.images import load

KINDS = {
    "mlp": ("mnist", "fashion_mnist"),
    "lenet": ("mnist",),
    "cnn": ("cifar10",),
}
STEPS = {"mlp": 1000, "lenet": 500, "cnn": 200}
"""The steps of a base net."""
SEEDS = {"mlp": 10, "lenet": 8, "cnn": 6}
OTHER = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "cifar10": "cifar10"}
RECIPES: dict[str, Callable[[Iterator[nn.Parameter]], torch.optim.Optimizer]] = {
    "momentum": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3),
    "gentle": lambda p: torch.optim.SGD(p, lr=0.02),
    "tune": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "tune-adam": lambda p: torch.optim.Adam(p, lr=3e-4),
}
IMAGES = 12_000


def build(kind: str) -> nn.Sequential:
    if kind == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
            nn.Linear(64, 10),
        )  # fmt: skip
    if kind == "lenet":
        return nn.Sequential(
            nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 10),
        )  # fmt: skip
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs),
                   nn.ReLU(), nn.MaxPool2d(2)]  # fmt: skip
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10))


class Lab:
    """Trains nets and keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}

    def data(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        if name not in self._data:
            found = load(name)
            x = torch.from_numpy(np.array(found.x_train[: 2 * IMAGES])).permute(0, 3, 1, 2).float() / 255
            self._data[name] = (x - x.mean()) / x.std(), torch.from_numpy(np.array(found.y_train))
        return self._data[name]

    def net(
        self, kind: str, data: str, seed: int, recipe: str, steps: int, *, order: int = 0,
        start: Path | None = None, half: int = 0,
    ) -> Path:  # fmt: skip
        """The file of a net that was trained from a seed, or on from the net in `start`.

        `order` seeds the order of images; `half` is which 12,000 images are used.
        """
        origin = start.stem if start else f"{kind}-{data}-s{seed}"
        path = self.folder / f"{origin}-{recipe}-{data}{half}-o{order}-{steps}.pt"
        if path.exists():
            return path
        torch.manual_seed(seed)
        net = build(kind)
        if start:
            net.load_state_dict(torch.load(start, weights_only=True))
        optimizer = RECIPES[recipe](net.parameters())
        x, y = self.data(data)
        draw = torch.Generator().manual_seed(order)
        for step in range(steps):
            at = step % (IMAGES // 64)
            if at == 0:
                rows = torch.randperm(IMAGES, generator=draw) + half * IMAGES
            chosen = rows[64 * at : 64 * at + 64]
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
        torch.save(net.state_dict(), path.with_suffix(".part"))
        path.with_suffix(".part").rename(path)
        return path


def family(lab: Lab, kind: str, data: str, seed: int) -> dict[str, Path]:
    """The nets of one seed, by what they are."""
    full = STEPS[kind]
    base = lab.net(kind, data, seed, "momentum", full)
    found = {"base": base, "adam": lab.net(kind, data, seed, "adam", full, order=seed)}
    for share in (0.1, 1, 3):
        found[f"again {share:g}"] = lab.net(
            kind, data, seed, "momentum", round(share * full), order=50 + seed
        )
    for order in (0, 50 + seed):
        found[f"gentle {min(order, 1)}"] = lab.net(kind, data, seed, "gentle", full, order=order)
    found["short"] = lab.net(kind, data, seed, "momentum", round(0.1 * full))
    for share in (0.01, 0.1, 1):
        steps = round(share * full)
        found[f"tuned {share:g}"] = lab.net(
            kind, data, seed, "tune", steps, order=seed, start=base, half=1
        )
    found["tuned 1 by adam"] = lab.net(
        kind, data, seed, "tune-adam", full, order=seed, start=base, half=1
    )
    found["moved 1"] = lab.net(kind, OTHER[data], seed, "tune", full, order=seed, start=base, half=1)
    return found


def families(lab: Lab) -> Iterator[tuple[str, str, int, dict[str, Path]]]:
    for kind, names in KINDS.items():
        for data in names:
            for seed in range(SEEDS[kind]):
                yield kind, data, seed, family(lab, kind, data, seed)


if __name__ == "__main__":
    asking = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asking.add_argument("--out", type=Path, required=True)
    asking.add_argument("--only")
    torch.set_num_threads(1)
    if one := asking.parse_args().only: KINDS = {one: KINDS[one]}
    lab = Lab(asking.parse_args().out)
    lab.folder.mkdir(exist_ok=True)
    for found in families(lab):
        print(*found[:3], flush=True)
