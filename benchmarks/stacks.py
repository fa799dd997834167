"""Stacks against the ordinary loop: nets an hour, both cores busy, as a ratio from one run.

The opponent is what tutorials and most generators of populations write: eager PyTorch, one net at a
time, one process a core with one thread each, default memory format, ordinary optimizer, images in
memory. The recipes are the same (mixed optimizers, activations, initializations and learning
rates; no augmentation, which is the same function for both), as is the number of steps. The two
take turns, `--rounds` times; medians are reported. What both leave out: evaluation and writing.

    python benchmarks/stacks.py

prints one line a case: seconds a net and step for both, and the ratio.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from weightspace.images import ImageSet
from weightspace.networks import Plan
from weightspace.networks.activations import ACTIVATIONS
from weightspace.sampling.calibration import calibrate, work_class
from weightspace.space import Recipe, preset
from weightspace.training import Pool, StackTrainer

CASES = {
    "demo, batch 16": {"space": "demo", "batch_size": 16, "filter_size": 5, "width_conv": 8},
    "demo, batch 64": {"space": "demo", "batch_size": 64, "filter_size": 5, "width_conv": 8},
    "nws-small, batch 64": {"space": "nws-small", "batch_size": 64, "filter_size": 5,
                            "depth_conv": 3, "depth_fc": 2, "width_conv": 8, "width_fc": 128},
    "nws-fixed, batch 64": {"space": "nws-fixed", "batch_size": 64},
}  # fmt: skip
NETS = 16
STEPS = 30


def recipes(case: str) -> list[Recipe]:
    """Sixteen nets of one plan and batch size; what else the space varies, varies."""
    options = dict(CASES[case])
    space = preset(str(options.pop("space")))
    drawn = space.with_constants(
        **options, augmentation=False, dataset="random", epochs=STEPS, train_images=0
    ).draw(NETS)
    first = Plan.from_recipe(drawn[0])
    return [r for r in drawn if Plan.from_recipe(r) == first]


def images(recipe: Recipe) -> ImageSet:
    """Random images, enough for a few different batches."""
    rng = np.random.default_rng(0)
    shape = (20 * recipe.batch_size, recipe.input_size, recipe.input_size, recipe.channels)
    x, y = rng.integers(0, 256, shape, dtype=np.uint8), np.arange(shape[0]) % 10
    return ImageSet("random", x, y, x[:50], y[:50], tuple("0123456789"))


class Plain(nn.Module):
    """A plan as an ordinary module."""

    def __init__(self, plan: Plan, recipe: Recipe) -> None:
        super().__init__()
        act = {"relu": nn.ReLU, "elu": nn.ELU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
        assert set(act) <= set(ACTIVATIONS)
        layers: list[nn.Module] = []
        width = plan.channels
        for conv in plan.conv:
            layers.append(nn.Conv2d(width, conv.width, conv.kernel, padding=conv.padding))
            layers += [nn.BatchNorm2d(conv.width)] if plan.batch_norm else []
            layers.append(act[recipe.activation]())
            layers += [nn.MaxPool2d(2)] if conv.pool else []
            width = conv.width
        layers.append(nn.Flatten())
        width = plan.flat_features
        for out in plan.fc:
            layers += [nn.Linear(width, out), act[recipe.activation](), nn.BatchNorm1d(out)]
            layers.append(nn.Dropout(recipe.dropout))
            width = out
        self.layers = nn.Sequential(*layers, nn.Linear(width, plan.outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def plain_seconds(nets: list[Recipe]) -> float:
    """Seconds a net and step of the ordinary loop."""
    data = images(nets[0])
    x = torch.from_numpy(data.x_train).permute(0, 3, 1, 2).float().contiguous() / 255
    y = torch.from_numpy(data.y_train)
    kinds = {
        "adam": torch.optim.Adam,
        "rmsprop": torch.optim.RMSprop,
        "momentum": lambda p, lr: torch.optim.SGD(p, lr=lr, momentum=0.95),
    }
    times = []
    for recipe in nets:
        net = Plain(Plan.from_recipe(recipe), recipe)
        optimizer = kinds[recipe.optimizer](net.parameters(), lr=recipe.learning_rate)
        loss_of = nn.CrossEntropyLoss()
        for step in range(3 + STEPS):
            if step == 3:
                start = time.perf_counter()
            rows = torch.randint(len(x), (recipe.batch_size,))
            optimizer.zero_grad()
            loss_of(net(x[rows]), y[rows]).backward()
            optimizer.step()
        times.append((time.perf_counter() - start) / STEPS)
    return statistics.mean(times)


def stack_seconds(nets: list[Recipe]) -> float:
    """Seconds a net and step in stacks of the size that this machine prefers."""
    size = min(calibrate(nets, "cpu")[work_class(nets[0])].stack, len(nets))
    pool = Pool.of({"random": images(nets[0])})
    times = []
    for first in range(0, len(nets) - size + 1, size):
        stack = [replace(r, train_images=0) for r in nets[first : first + size]]
        trainer = StackTrainer(stack, pool, snapshots=2)
        for _ in range(3):
            trainer.train_step()
        start = time.perf_counter()
        for _ in range(STEPS):
            trainer.train_step()
        times.append((time.perf_counter() - start) / STEPS / size)
    return statistics.mean(times)


def both_cores(kind: str, case: str) -> float:
    """Mean seconds a net and step over one worker process a core, all at once."""
    command = [sys.executable, __file__, "--worker", kind, "--case", case]
    count = os.cpu_count() or 1
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return statistics.mean(float(worker.communicate()[0]) for worker in workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=["plain", "stack"])
    parser.add_argument("--case", choices=CASES)
    asked = parser.parse_args()
    if asked.worker:
        torch.set_num_threads(1)
        measure = plain_seconds if asked.worker == "plain" else stack_seconds
        print(measure(recipes(asked.case)))
        return
    print(f"torch {torch.__version__}, {os.cpu_count()} cores, {asked.rounds} rounds, medians")
    for case in [asked.case] if asked.case else CASES:
        found: dict[str, list[float]] = {"plain": [], "stack": []}
        for _ in range(asked.rounds):
            for kind, times in found.items():
                times.append(both_cores(kind, case))
        plain, stack = (statistics.median(times) * 1e3 for times in found.values())
        print(f"{case:22} loop {plain:7.3f} ms  stacks {stack:7.3f} ms  ratio {plain / stack:.2f}")


if __name__ == "__main__":
    main()
