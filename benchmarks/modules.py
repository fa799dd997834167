"""Modules of one's own: the gradient of a step together, one after the other, and by a plain loop.

For each module of a file: the milliseconds of forward and backward passes of 8 and of 32 nets on
one thread, on digits of 8x8 pixels in batches of 32. `loop` is what one would write without this
package: `cross_entropy` and `autograd.grad` of one module after the other. Each is measured
`--rounds` times in turns, and the fastest is printed, because other work only makes it slower.

    python benchmarks/modules.py
    python benchmarks/modules.py --file net.py --functions Net
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from weightspace.images import load
from weightspace.networks.modules.running import make
from weightspace.networks.modules.source import OwnModule
from weightspace.space import Recipe
from weightspace.training import Pool, StackTrainer
from weightspace.training.names import TABLES

FILE = Path(__file__).parents[1] / "tests" / "support" / "own_nets.py"
FUNCTIONS = "mlp,lenet,ResNet20,ViT,Rows,Dense,groups,Tied"
NETS = (8, 32)


def ways(own: OwnModule, nets: int, pool: Pool) -> dict[str, Callable[[], object]]:
    """The gradient of one step in each way."""
    TABLES["architecture"][own.name] = own
    recipes = [
        Recipe(dataset="digits", input_size=8, channels=1, outputs=10, width_fc=16, batch_size=32,
               seed=seed, architecture=own.name, initialization="module", dropout=0.0)
        for seed in range(nets)
    ]  # fmt: skip
    trainer = StackTrainer(recipes, pool, snapshots=2)
    images, labels = trainer.batches.at(0)
    x, modules = images.values(torch.float32), [make(own, recipe) for recipe in recipes]

    def step(together: bool) -> object:
        trainer.arithmetic.together = together
        return trainer.arithmetic.gradient(
            images, labels, trainer.weights, trainer.stats, trainer.activations, trainer.smoothing,
            trainer.masks(),
        )  # fmt: skip

    def loop() -> object:
        return [one(module, x[i], labels[i]) for i, module in enumerate(modules)]

    def one(module: nn.Module, x: torch.Tensor, y: torch.Tensor) -> object:
        loss = F.cross_entropy(module(x), y)
        return torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)

    found = {"loop": loop, "one by one": lambda: step(False), "together": lambda: step(True)}
    try:
        step(True)
    except RuntimeError:
        del found["together"]
    return found


def main() -> None:
    """Print a row for each module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE)
    parser.add_argument("--functions", default=FUNCTIONS)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pool = Pool.of({"digits": load("digits")})
    text = args.file.read_text(encoding="utf-8")
    print("| module | nets | loop, ms | one by one | together |\n|---|---|---|---|---|")
    for function in args.functions.split(","):
        for nets in NETS:
            found = ways(OwnModule(args.file.name, function, text), nets, pool)
            fastest = dict.fromkeys(found, float("inf"))
            for _ in range(args.rounds):
                for name, way in found.items():
                    start = time.perf_counter()
                    way()
                    fastest[name] = min(fastest[name], time.perf_counter() - start)
            loop = fastest["loop"]
            shares = [
                f"{loop / fastest[name]:.1f}x" if name in fastest else "-"
                for name in ("one by one", "together")
            ]
            print(f"| `{function}` | {nets} | {1000 * loop:.1f} | {' | '.join(shares)} |")


if __name__ == "__main__":
    main()
