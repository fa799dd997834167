"""Stacks compared with one net at a time on the same GPU, and the time for the NWS data set.

The nets are those of `nws-fixed` and of a sample of `nws-main` plans. It prints the nets per hour
of the ordinary loop (eager PyTorch, one net at a time, images on the device) and of stacks of
growing size, and their ratio. It also prints the share of the rate of the device's own matrix
product in the same run. The time for all 16,000 nets (3,000 fixed, 13,000 of random architecture)
is computed from the measured seconds per step, `--epochs` per net, and the published sizes of the
five training sets. Snapshots and evaluation are left out: they are forward passes on 1,500 images,
20 times.

    python benchmarks/gpu.py                  # on CUDA
    python benchmarks/gpu.py --device cpu --steps 3 --sizes 2    # only to test the script
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from stacks import images, plain, product_work
from torch import nn

from weightspace.networks import Plan
from weightspace.space import Recipe, preset
from weightspace.training import Pool, StackTrainer
from weightspace.training.schedule import TYPICAL_EPOCHS

TRAINING_IMAGES = {"mnist": 60_000, "cifar10": 50_000, "svhn": 73_257, "stl10": 5_000,
                   "fashion_mnist": 60_000}  # fmt: skip
POPULATIONS = {"nws-fixed": 3_000, "nws-main": 13_000}


def plans(space: str, count: int) -> list[Recipe]:
    """Recipes of the first plans that the space draws, on random images."""
    drawn = preset(space).with_constants(dataset="random", augmentation=False).draw(count)
    return [replace(r, train_images=0, epochs=1) for r in drawn]


def seconds(step: Callable[[], object], steps: int, device: str) -> float:
    """Median seconds of a step; the device is synchronized after each."""
    times = []
    for _ in range(steps + 3):
        start = time.perf_counter()
        step()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[3:])


def loop_seconds(recipe: Recipe, steps: int, device: str) -> float:
    """Seconds per step of one net as an ordinary module."""
    data = images(recipe)
    x = torch.from_numpy(data.x_train).permute(0, 3, 1, 2).float().div(255).to(device)
    y = torch.from_numpy(data.y_train).to(device)
    net = plain(recipe).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.learning_rate)

    def step() -> None:
        rows = torch.randint(len(x), (recipe.batch_size,), device=device)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
        optimizer.step()

    return seconds(step, steps, device)


def stack_seconds(recipe: Recipe, size: int, steps: int, device: str) -> float:
    """Seconds per net and step in a stack of `size` nets of the recipe's plan."""
    pool = Pool.of({"random": images(recipe)}, device)
    kinds = ("adam", "rmsprop", "momentum")
    nets = [replace(recipe, seed=i, optimizer=kinds[i % 3], epochs=50) for i in range(size)]
    return seconds(StackTrainer(nets, pool, snapshots=2).train_step, steps, device) / size


def product_rate(device: str) -> float:
    """Multiplications per second of the device's float32 matrix product."""
    side = 8192 if device == "cuda" else 1024
    a, b = torch.randn(2, side, side, device=device)
    return side**3 / seconds(lambda: torch.mm(a, b), 10, device)


def steps_of(recipe: Recipe, epochs: int) -> float:
    """Steps of the whole training of a net, as a mean over the five data sets."""
    per_epoch = [0.9 * n / recipe.batch_size for n in TRAINING_IMAGES.values()]
    return epochs * statistics.mean(per_epoch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64, 256])
    parser.add_argument("--epochs", type=int, default=TYPICAL_EPOCHS)
    parser.add_argument("--plans", type=int, default=8, help="number of plans of nws-main to time")
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --device cpu shows that the benchmark runs")
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    rate = product_rate(asked.device)
    print(f"{name}, torch {torch.__version__}; matrix product {2 * rate / 1e12:.2f} TFLOP/s")
    total = 0.0
    for space, population in POPULATIONS.items():
        drawn = plans(space, 1 if space == "nws-fixed" else asked.plans)
        hours = []
        for recipe in drawn:
            loop = loop_seconds(recipe, asked.steps, asked.device)
            found = {
                size: stack_seconds(recipe, size, asked.steps, asked.device) for size in asked.sizes
            }
            size = min(found, key=found.__getitem__)
            best, steps = found[size], steps_of(recipe, asked.epochs)
            hours.append(best * steps / 3600)
            print(
                f"{space:9} batch {recipe.batch_size:3} {Plan.from_recipe(recipe).layout().size:7,}"
                f" values: loop {loop * 1e3:8.3f} ms  stack of {size} {best * 1e3:8.4f} ms a net"
                f"  ratio {loop / best:6.1f}  nets an hour {3600 / (best * steps):8.1f}"
                f"  share of the product's rate {product_work(recipe) / rate / best:5.1%}",
                flush=True,
            )
        total += population * statistics.mean(hours)
        print(f"{space:9} {population:,} nets: {population * statistics.mean(hours):,.1f} hours")
    print(f"all 16,000 nets, {asked.epochs} epochs each: {total:,.1f} hours")


if __name__ == "__main__":
    main()
