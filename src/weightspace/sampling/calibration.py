"""Measure how long a step takes on this machine, and how many nets a stack should hold.

Plans are grouped by the work of a step (multiplications x batch size, to the next power of two).
One plan of each group is timed on random images for a fraction of a second.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from weightspace.images import ImageSet
from weightspace.networks.planning import AnyPlan, plan_of
from weightspace.space import Recipe
from weightspace.training import Pool, StackTrainer
from weightspace.training.state import way_of

STACK_SIZES = (1, 2, 4, 8, 16, 32)
WARM_STEPS, TIMED_STEPS = 2, 5
GAIN = 0.95
"""A larger stack is used only if it saves at least 5 %, because smaller ones need less memory."""
LONG = 0.03
"""Seconds of a net's step which are arithmetic alone: a larger stack would save nothing of them."""


@dataclass(frozen=True)
class Pace:
    """The chosen stack size, and core seconds for each net and step at that size.

    `together` is of modules of one's own: whether a stack was faster by one call.
    """

    stack: int
    seconds: float
    together: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """The pace as plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def work_class(recipe: Recipe) -> str:
    """The group of a recipe's step: the power of two of its multiplications."""
    work = plan_of(recipe).multiplications * recipe.batch_size
    return f"2^{math.ceil(math.log2(work))}"


def buckets(recipes: Iterable[Recipe]) -> dict[tuple[AnyPlan, int], list[Recipe]]:
    """Recipes that can share a stack, by plan and batch size, in the given order."""
    found: dict[tuple[AnyPlan, int], list[Recipe]] = {}
    for recipe in recipes:
        found.setdefault((plan_of(recipe), recipe.batch_size), []).append(recipe)
    return found


def calibrate(recipes: Iterable[Recipe], device: str) -> dict[str, Pace]:
    """Time one plan of every work class; a stack is never larger than the class's bucket."""
    largest: dict[str, list[Recipe]] = {}
    for bucket in buckets(recipes).values():
        name = work_class(bucket[0])
        if len(bucket) > len(largest.get(name, [])):
            largest[name] = bucket
    with one_thread(device):
        # torch loads and compiles code on the first step, which must not count as its time.
        _seconds_per_step(next(iter(largest.values()))[:1], device)
        return {name: _pace(bucket, device) for name, bucket in sorted(largest.items())}


@contextmanager
def one_thread(device: str) -> Iterator[None]:
    """Use one thread, as worker processes do, so that times and results are the same here."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _pace(bucket: list[Recipe], device: str) -> Pace:
    best = Pace(1, math.inf)
    for size in STACK_SIZES:
        if size > len(bucket) or (size > 1 and best.seconds > LONG):
            break
        whole, together = _seconds_per_step(bucket[:size], device)
        if whole / size < best.seconds * GAIN:
            best = Pace(size, whole / size, together)
    return best


def _seconds_per_step(recipes: list[Recipe], device: str) -> tuple[float, bool | None]:
    """Seconds of a training step of these nets on random images, and how modules were computed.

    The step is the fastest of a few.

    The fastest is taken because other work on the machine can only make a step slower.
    """
    first = recipes[0]
    count, (side, channels) = max(20, 2 * first.batch_size), first.size
    rng = np.random.default_rng(0)
    noise: np.ndarray = rng.integers(0, 256, (count, side, side, channels), dtype=np.uint8)
    if not channels:
        noise = rng.random((count, side), np.float32)
    labels = np.arange(len(noise), dtype=np.int64) % 2
    random = ImageSet("random", noise, labels, noise, labels, ("even", "odd"))
    steps = WARM_STEPS + TIMED_STEPS
    nets = [
        replace(r, dataset="random", train_images=0, train_fraction=1.0, epochs=steps)
        for r in recipes
    ]
    trainer = StackTrainer(nets, Pool.of({"random": random}, device), snapshots=2)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        trainer.train_step()
        if device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[WARM_STEPS:]), way_of(trainer)
