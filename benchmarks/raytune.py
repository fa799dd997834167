"""Ray Tune with one net per trial compared with `sample`: the same small nets, time, bytes, files.

Ray Tune is used as public generators of model zoos use it. The trainable is a function in eager
PyTorch. Each net is a trial on one CPU, with images in memory, and validation and test after each
epoch. The state dict of every kept epoch is saved with `torch.save` as a checkpoint. Tune writes
its own result files as well. Both have the same nets, epochs, images, kept epochs and number of
evaluation images. `sample` also evaluates on training images, and first measures its stack sizes.
The time for this counts.

    pip install 'ray[tune]'
    python benchmarks/raytune.py

The two take turns in fresh processes, `--rounds` times. It prints medians of the seconds of the
whole process and of the seconds of the call alone, when everything is imported and Ray's cluster
has started.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from stacks import plain
from torch import nn

from weightspace.networks import Plan
from weightspace.sampling import sample
from weightspace.sampling.work import prepared
from weightspace.space import Recipe, Space, preset

MEASURED = 100
"""Images of each kind that measure a net after an epoch."""


def space(epochs: int) -> Space:
    """The Model Zoos CNN at batch 10 on built-in images."""
    return preset("model-zoos").with_constants(
        dataset="digits", batch_size=10, activation="tanh", train_images=1000, epochs=epochs
    )


def optimizer_of(recipe: Recipe, net: nn.Module) -> torch.optim.Optimizer:
    rate = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay}
    if recipe.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), **rate)
    return torch.optim.SGD(
        net.parameters(), momentum=0.95 if recipe.optimizer == "momentum" else 0.0, **rate
    )


def trial(config: dict[str, Any], images: Any) -> None:
    """One net, from its recipe to its last epoch, as a function trainable."""
    from ray import tune

    torch.set_num_threads(1)
    recipe = Recipe(**config["recipe"])
    torch.manual_seed(recipe.seed)
    x, y, x_test, y_test = images
    held = len(x) // 10
    net = plain(recipe)
    optimizer, loss_of = optimizer_of(recipe, net), nn.CrossEntropyLoss()
    for epoch in range(recipe.epochs + 1):
        losses = []
        if epoch:
            net.train()
            order = held + torch.randperm(len(x) - held)
            for first in range(0, len(order) - recipe.batch_size + 1, recipe.batch_size):
                rows = order[first : first + recipe.batch_size]
                optimizer.zero_grad()
                loss = loss_of(net(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        net.eval()
        found = {"epoch": epoch, "train_loss": statistics.mean(losses) if losses else None}
        for name, some, right in (("validation", x[:held], y[:held]), ("test", x_test, y_test)):
            with torch.no_grad():
                out = net(some[:MEASURED])
            found[f"{name}_loss"] = loss_of(out, right[:MEASURED]).item()
            found[f"{name}_accuracy"] = (out.argmax(1) == right[:MEASURED]).float().mean().item()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(net.state_dict(), Path(folder) / "checkpoint.pt")
            tune.report(found, checkpoint=tune.Checkpoint.from_directory(folder))


def with_tune(nets: int, epochs: int, out: Path) -> float:
    """Seconds that Ray Tune takes for the population."""
    import ray
    from ray import tune

    recipes = space(epochs).draw(nets)
    data = prepared("digits", None, (recipes[0].input_size, recipes[0].channels))
    images = [torch.from_numpy(data.x_train[:1000]).permute(0, 3, 1, 2).float() / 255]
    images += [torch.from_numpy(data.y_train[:1000])]
    images += [torch.from_numpy(data.x_test).permute(0, 3, 1, 2).float() / 255]
    images += [torch.from_numpy(data.y_test)]
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - spelled so; else Ray yields to all
    ray.init(num_cpus=os.cpu_count(), log_to_driver=False, logging_level=logging.ERROR)
    start = time.perf_counter()
    one = tune.with_resources(tune.with_parameters(trial, images=images), {"cpu": 1})
    results = tune.Tuner(
        one,
        param_space={"recipe": tune.grid_search([recipe.to_dict() for recipe in recipes])},
        run_config=tune.RunConfig(storage_path=str(out), name="zoo", verbose=0),
    ).fit()
    seconds = time.perf_counter() - start
    kept = len(list(out.rglob("checkpoint.pt")))
    assert not results.errors
    assert kept == nets * (epochs + 1), kept
    return seconds


def with_sample(nets: int, epochs: int, out: Path) -> float:
    """Seconds that `sample` takes for the population."""
    start = time.perf_counter()
    zoo = sample(
        space(epochs),
        nets=nets,
        out=out / "zoo",
        snapshot_epochs=range(epochs + 1),
        evaluation_images=MEASURED,
    )
    seconds = time.perf_counter() - start
    assert zoo.snapshots.height == nets * (epochs + 1)
    return seconds


KINDS = {"Ray Tune": with_tune, "sample": with_sample}


def measure(kind: str, nets: int, epochs: int) -> tuple[float, float, int, int]:
    """Seconds of a fresh process, seconds of the call in it, and bytes and files written."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--worker", kind, "--out", folder]
        command += ["--nets", str(nets), "--epochs", str(epochs)]
        # Tune prints a table of its trials; the last line is the result of this script.
        start = time.perf_counter()
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds = time.perf_counter() - start
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        bytes_left = sum(file.stat().st_size for file in files)
        return seconds, json.loads(said.splitlines()[-1]), bytes_left, len(files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--worker", choices=KINDS)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.worker:
        print(json.dumps(KINDS[asked.worker](asked.nets, asked.epochs, asked.out)))
        return
    from importlib.metadata import version

    weights = Plan.from_recipe(space(1).draw(1)[0]).layout().size
    print(f"torch {torch.__version__}, ray {version('ray')}, {os.cpu_count()} cores")
    print(f"{asked.nets} nets of {weights:,} weights, {asked.epochs} epochs, all of them kept")
    found: dict[str, list[tuple[float, float, int, int]]] = {kind: [] for kind in KINDS}
    for _ in range(asked.rounds):
        for kind, runs in found.items():
            runs.append(measure(kind, asked.nets, asked.epochs))
    rows = {
        kind: [statistics.median(c) for c in zip(*runs, strict=True)]
        for kind, runs in found.items()
    }
    for kind, (whole, call, size, files) in rows.items():
        print(
            f"{kind:10} process {whole:7.1f} s  call {call:7.1f} s  "
            f"{size / 1e6:7.1f} MB in {files:,.0f} files"
        )
    ratios = [a / b for a, b in zip(rows["Ray Tune"], rows["sample"], strict=True)]
    print(
        "ratio      process {:7.1f}    call {:7.1f}    bytes {:.1f}, files {:.1f}".format(*ratios)
    )


if __name__ == "__main__":
    main()
