"""Stacks compared with the ordinary loop: nets per hour with both cores busy, as ratios of one run.

The loop is the one of tutorials and of most generators of model zoos: eager PyTorch, one net at a
time, one process per core with one thread each, default memory format, ordinary optimizer, images
in memory. Both have the same recipes (mixed optimizers, activations, initializations and learning
rates) and the same number of steps. There is no augmentation, because it is the same function in
both. If `modelbatch` is installed (`pip install modelbatch`) and supports the recipes, it is a
second competitor. All take turns, `--rounds` times, and medians are reported. Evaluation and
writing are left out.

    python benchmarks/stacks.py

It prints one line for each case: milliseconds per net and step, and the ratio. Then it prints the
time that the arithmetic of the step would take at the rate of torch's own matrix product in the
same run. This gives a ceiling for implementations by matrix products, and the ratio as a share of
that ceiling.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weightspace.images import ImageSet
from weightspace.networks import Plan
from weightspace.networks.grammar import Conv
from weightspace.networks.modules.running import make
from weightspace.networks.modules.source import OwnModule
from weightspace.networks.native import builds, library
from weightspace.networks.planning import plan_of
from weightspace.networks.sequential import sequential
from weightspace.sampling.calibration import calibrate, work_class
from weightspace.space import Recipe, preset
from weightspace.training import Pool, StackTrainer
from weightspace.training.names import TABLES

CASES = {
    "demo, batch 16": {"space": "demo", "batch_size": 16, "filter_size": 5, "width_conv": 8},
    "demo, batch 64": {"space": "demo", "batch_size": 64, "filter_size": 5, "width_conv": 8},
    "nws-small, batch 64": {"space": "nws-small", "batch_size": 64, "filter_size": 5,
                            "depth_conv": 3, "depth_fc": 2, "width_conv": 8, "width_fc": 128},
    "nws-fixed, batch 64": {"space": "nws-fixed", "batch_size": 64},
    "model-zoos, batch 10": {"space": "model-zoos", "batch_size": 10, "activation": "tanh",
                             "optimizer": "adam"},
    "MLP, batch 32": {"space": "nws-small", "architecture": "mlp", "batch_size": 32,
                      "input_size": 28, "depth_conv": 0, "depth_fc": 2, "width_fc": 128,
                      "batch_norm": False, "dropout": 0.0},
    "LeNet-5, batch 64": {"space": "nws-small", "architecture": "lenet", "batch_size": 64,
                          "input_size": 28, "filter_size": 5, "width_conv": 6, "width_fc": 120,
                          "batch_norm": False, "dropout": 0.0},
    "ResNet-8, batch 32": {"space": "nws-small", "architecture": "resnet", "batch_size": 32,
                           "input_size": 32, "channels": 3, "depth_conv": 7, "width_conv": 16},
    "own MLP, batch 32": {"space": "nws-small", "module": "mlp", "batch_size": 32,
                          "input_size": 8, "depth_fc": 1, "width_fc": 16, "dropout": 0.0},
    "own ViT, batch 32": {"space": "nws-small", "module": "ViT", "batch_size": 32,
                          "input_size": 8, "width_fc": 16, "dropout": 0.0},
}  # fmt: skip
OWN = Path(__file__).parents[1] / "tests" / "support" / "own_nets.py"
NETS = 16
STEPS = 30


def recipes(case: str) -> list[Recipe]:
    """Sixteen nets of one plan and batch size, with all other properties of the space."""
    options = dict(CASES[case])
    space = preset(str(options.pop("space")))
    if function := options.pop("module", None):
        own = OwnModule(OWN.name, str(function), OWN.read_text(encoding="utf-8"))
        TABLES["architecture"][own.name] = own
        options |= {"architecture": own.name, "initialization": "module"}
    drawn = space.with_constants(
        **options, augmentation=False, dataset="random", epochs=STEPS, train_images=0
    ).draw(NETS)
    first = plan_of(drawn[0])
    return [r for r in drawn if plan_of(r) == first]


def images(recipe: Recipe) -> ImageSet:
    """Random images, enough for a few different batches."""
    rng = np.random.default_rng(0)
    shape = (20 * recipe.batch_size, recipe.input_size, recipe.input_size, recipe.channels)
    x, y = rng.integers(0, 256, shape, dtype=np.uint8), np.arange(shape[0]) % 10
    return ImageSet("random", x, y, x[:50], y[:50], tuple("0123456789"))


def plain(recipe: Recipe) -> nn.Module:
    """A recipe's net as an ordinary module; where nothing is dropped, without dropout."""
    own = TABLES["architecture"][recipe.architecture]
    if isinstance(own, OwnModule):
        return make(own, recipe)
    kept = (m for m in sequential(recipe) if not isinstance(m, nn.Dropout) or m.p)
    return nn.Sequential(*kept)


def plain_seconds(nets: list[Recipe]) -> float:
    """Seconds per net and step of the ordinary loop."""
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
        net = plain(recipe)
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
    """Seconds per net and step in stacks of the best size for this machine."""
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


def modelbatch_seconds(nets: list[Recipe]) -> float:
    """Seconds per net and step of `modelbatch`: one optimizer and activation, mixed rates."""
    from modelbatch.core import ModelBatch
    from modelbatch.optimizer import OptimizerFactory

    data = images(nets[0])
    x = torch.from_numpy(data.x_train).permute(0, 3, 1, 2).float().contiguous() / 255
    y = torch.from_numpy(data.y_train)
    stack = ModelBatch([plain(r) for r in nets], shared_input=False)
    optimizer = OptimizerFactory(torch.optim.Adam).create_optimizer(
        stack, [{"lr": r.learning_rate} for r in nets]
    )
    for step in range(3 + STEPS):
        if step == 3:
            start = time.perf_counter()
        rows = torch.randint(len(x), (len(nets), nets[0].batch_size))
        optimizer.zero_grad()
        stack.compute_loss(stack(x[rows]), y[rows], nn.functional.cross_entropy).backward()
        optimizer.step()
    return (time.perf_counter() - start) / STEPS / len(nets)


def product_work(recipe: Recipe) -> int:
    """Multiplications of a training step: forward, and for gradients of weights and inputs."""
    plan = Plan.from_recipe(recipe)
    first = plan.kernels[0]
    reach = first.layer.kernel**2 if isinstance(first.layer, Conv) else 1
    no_gradient = first.takes[0] * math.prod(first.gives) * reach
    return recipe.batch_size * (3 * plan.multiplications - no_gradient)


def product_seconds(nets: list[Recipe]) -> float:
    """Seconds that torch's matrix product would take for the multiplications of one step."""
    a, b = torch.randn(2, 1024, 1024)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - start)
    return product_work(nets[0]) / (1024**3 / statistics.median(times))


MEASURES = {
    "loop": plain_seconds,
    "stacks": stack_seconds,
    "modelbatch": modelbatch_seconds,
    "product": product_seconds,
}


def both_cores(kind: str, case: str) -> float:
    """Mean seconds per net and step, over one worker process per core that run at once."""
    command = [sys.executable, __file__, "--worker", kind, "--case", case]
    count = os.cpu_count() or 1
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return statistics.mean(float(worker.communicate()[0]) for worker in workers)


def opponents(case: str) -> list[str]:
    """The competitors in a case."""
    recipe = recipes(case)[0]
    expressible = not recipe.batch_norm and len(CASES[case]) == 4
    there = importlib.util.find_spec("modelbatch") is not None
    left = {"modelbatch"} - ({"modelbatch"} if expressible and there else set())
    left |= {"product"} if "module" in CASES[case] else set()
    return [kind for kind in MEASURES if kind not in left]


def _against(ratio: float, loop: float, product: float) -> str:
    ceiling = loop / product
    return f"  product {product:6.3f}  ceiling {ceiling:5.2f}  share {ratio / ceiling:4.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--worker", choices=MEASURES)
    parser.add_argument("--case", choices=CASES)
    asked = parser.parse_args()
    if asked.worker:
        torch.set_num_threads(1)
        print(MEASURES[asked.worker](recipes(asked.case)))
        return
    native = builds()[-1].name.split(".")[0] if library() else "off"
    print(
        f"torch {torch.__version__}, native step {native}, {os.cpu_count()} cores, "
        f"{asked.rounds} rounds, medians; ms a net and step"
    )
    for case in [asked.case] if asked.case else CASES:
        found: dict[str, list[float]] = {kind: [] for kind in opponents(case)}
        for _ in range(asked.rounds):
            for kind, times in found.items():
                times.append(both_cores(kind, case))
        ms = {kind: statistics.median(times) * 1e3 for kind, times in found.items()}
        ratio = ms["loop"] / ms["stacks"]
        other = ms["modelbatch"] / ms["stacks"] if "modelbatch" in ms else None
        print(
            f"{case:20} loop {ms['loop']:7.3f}  stacks {ms['stacks']:6.3f}  ratio {ratio:5.2f}"
            + (_against(ratio, ms["loop"], ms["product"]) if "product" in ms else "")
            + (f"  modelbatch {ms['modelbatch']:.3f}  ratio {other:.2f}" if other else ""),
            flush=True,
        )


if __name__ == "__main__":
    main()
