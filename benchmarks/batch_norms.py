"""Nets with batch norm, trained by a plain PyTorch loop, and what the laws say of them.

    python benchmarks/batch_norms.py train nets --nets 200 --seed 1   # writes nets/NUMBER.pt
    python benchmarks/batch_norms.py judge nets                       # prints the tables

The loop shares no code with the package. Recipes are drawn at random. Images are MNIST or
Fashion-MNIST, every fourth pixel, from $WEIGHTSPACE_DATA.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weightspace.checkpoints.opening import open_net
from weightspace.evidence import Context, of_checkpoint
from weightspace.evidence.before_norm import before_norm_law
from weightspace.evidence.bounds import bound_law
from weightspace.evidence.counters import counter_law
from weightspace.evidence.counting import judge
from weightspace.evidence.grids import grid_law
from weightspace.evidence.kernels import kernel_law
from weightspace.images import load

CLAIMS = ("optimizer", "learning_rate", "weight_decay", "batch_size", "epochs", "train_images",
          "drop_last", "steps")  # fmt: skip
LINEAR = ("sgd", "momentum", "nesterov")
RATES = {"sgd": (0.01, 0.3), "momentum": (0.002, 0.1), "nesterov": (0.002, 0.1),
         "adam": (1e-4, 5e-3), "adamw": (1e-4, 5e-3), "rmsprop": (1e-4, 3e-3),
         "adagrad": (3e-3, 3e-2)}  # fmt: skip


def draw(rng: np.random.Generator) -> dict:
    optimizer = str(rng.choice(list(RATES)))
    low, high = np.log(RATES[optimizer])
    return {
        "optimizer": optimizer,
        "learning_rate": float(f"{np.exp(rng.uniform(low, high)):.3g}"),
        "weight_decay": float(rng.choice([0, 0, 1e-4, 5e-4, 5e-3, 0.05])),
        "dataset": str(rng.choice(["mnist", "fashion_mnist"])),
        "train_images": int(rng.choice([500, 1000, 1500, 2000])),
        "batch_size": int(rng.choice([16, 32, 64, 100, 128])),
        "epochs": int(rng.integers(1, 13)),
        "drop_last": bool(rng.random() < 0.3),
        "kind": str(rng.choice(["mlp", "cnn", "cnn"])),
        "between": str(rng.choice([*["nothing"] * 3, "relu", "leaky", "tanh", "pool"])),
        "biases": str(rng.choice(["torch", "torch", "zero"])),
        "schedule": str(rng.choice(["none", "none", "cosine"])),
        "tested": str(rng.choice(["eval", "eval", "eval", "never", "train"])),
        "seed": int(rng.integers(2**31)),
    }


def build(recipe: dict) -> nn.Module:
    kind, between = recipe["kind"], recipe["between"]
    middle = {"relu": nn.ReLU, "leaky": nn.LeakyReLU, "tanh": nn.Tanh}.get(between)
    middle = [] if middle is None else [middle()]
    after = [nn.ReLU()] if between in ("nothing", "pool") else []
    if kind == "mlp":
        widths = [49, 96, 64]
        parts: list[nn.Module] = [nn.Flatten()]
        for one, two in itertools.pairwise(widths):
            parts += [nn.Linear(one, two), *middle, nn.BatchNorm1d(two), *after]
        parts += [nn.Linear(64, 10)]
    else:
        parts = []
        for one, two in ((1, 16), (16, 24)):
            pool = [nn.MaxPool2d(2)]
            parts += [nn.Conv2d(one, two, 3, padding=1), *middle]
            parts += [*(pool if between == "pool" else []), nn.BatchNorm2d(two), *after]
            parts += [] if between == "pool" else pool
        parts += [nn.Flatten(), nn.Linear(24, 64), *middle, nn.BatchNorm1d(64), *after]
        parts += [nn.Linear(64, 10)]
    net = nn.Sequential(*parts)
    if recipe["biases"] == "zero":
        for module in net:
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.zeros_(module.bias)
    return net


def optimizer_of(recipe: dict, net: nn.Module) -> torch.optim.Optimizer:
    tensors = net.parameters()
    own = {"lr": recipe["learning_rate"], "weight_decay": recipe["weight_decay"]}
    match recipe["optimizer"]:
        case "sgd":
            return torch.optim.SGD(tensors, **own)
        case "momentum" | "nesterov" as name:
            return torch.optim.SGD(tensors, momentum=0.9, nesterov=name == "nesterov", **own)
        case "adam":
            return torch.optim.Adam(tensors, **own)
        case "adamw":
            return torch.optim.AdamW(tensors, **own)
        case "rmsprop":
            return torch.optim.RMSprop(tensors, **own)
    return torch.optim.Adagrad(tensors, **own)


def images(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    found = load(name)
    x = torch.tensor(np.asarray(found.x_train[:2500], np.float32) / 255)
    return x.reshape(-1, 28, 28)[:, None, ::4, ::4], torch.tensor(found.y_train[:2500]).long()


def train(out: Path, nets: int, seed: int) -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    data: dict = {}
    out.mkdir(parents=True, exist_ok=True)
    for number in range(nets):
        recipe = draw(rng)
        name = recipe["dataset"]
        x, y = data.setdefault(name, images(name))
        torch.manual_seed(recipe["seed"])
        net = build(recipe)
        optimizer = optimizer_of(recipe, net)
        count, size = recipe["train_images"], recipe["batch_size"]
        epochs = recipe["epochs"]
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
        recipe["steps"] = 0
        for _ in range(epochs):
            net.train()
            for batch in torch.randperm(count).split(size):
                if len(batch) < size and recipe["drop_last"]:
                    continue
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
                optimizer.step()
                recipe["steps"] += 1
            if recipe["schedule"] == "cosine":
                cosine.step()
            net.train(recipe["tested"] == "train")
            if recipe["tested"] != "never":
                with torch.no_grad():
                    for pixels in x[2000:].split(size):
                        net(pixels)
        torch.save(net.state_dict(), out / f"{number}.pt")
        (out / f"{number}.json").write_text(json.dumps(recipe))


def verdict(evidence, claim: str, value) -> str:
    """What evidence says of a claim, alone: contradicted below 0.001, doubted below 0.02."""
    found = [
        h.p_value for e in evidence if e.claim == claim for h in e.hypotheses if value in h.values
    ]
    if not found:
        return "silent"
    return "contradicted" if min(found) < 1e-3 else "doubted" if min(found) < 0.02 else "agrees"


def judged(folder: Path) -> list[dict]:
    rows = []
    for file in sorted(folder.glob("*.json")):
        recipe = json.loads(file.read_text())
        claims = {name: recipe[name] for name in CLAIMS} | {"pretrained_from": "none"}
        with open_net(file.with_suffix(".pt")) as net:
            subject = of_checkpoint(net)
            context = Context(claims=claims, inspection=net.inspection)
            row = {"recipe": recipe}
            for law in (before_norm_law, kernel_law, counter_law, bound_law, grid_law):
                began = time.perf_counter()
                row[law.__name__] = list(law(subject, context))
                row["time " + law.__name__] = time.perf_counter() - began
            row["counter"] = next(iter(subject.counters.values()))
        rows.append(row)
    return rows


def decay(recipe: dict) -> float:
    """Minus the logarithm of what weight decay leaves of a number without a gradient.

    For adaptive optimizers, the sum of rate x decay.
    """
    value, speed = 1.0, 0.0
    momentum = 0.9 if recipe["optimizer"] in ("momentum", "nesterov") else 0.0
    each = max(1, recipe["steps"] // recipe["epochs"])
    for step in range(recipe["steps"]):
        rate = recipe["learning_rate"]
        if recipe["schedule"] == "cosine":
            rate *= (1 + np.cos(np.pi * (step // each) / recipe["epochs"])) / 2
        pull = recipe["weight_decay"] * value
        speed = momentum * speed + pull
        value -= rate * (pull + momentum * speed if recipe["optimizer"] == "nesterov" else speed)
    return float(-np.log(abs(value) + 1e-300))


def tables(rows: list[dict]) -> None:
    heads = ("family", "between", "begun", "nets", "own family contradicted", "doubted",
             "other family contradicted", "doubted", "silent")  # fmt: skip
    print("\n| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    cells: dict = defaultdict(lambda: defaultdict(int))
    for row in rows:
        recipe = row["recipe"]
        family = "linear" if recipe["optimizer"] in LINEAR else "adaptive"
        begun = {"torch": "adam", "zero": "adamw"}[recipe["biases"]]
        other = {"linear": begun, "adaptive": "sgd"}[family]
        one = cells[family, recipe["between"], recipe["biases"]]
        one["nets"] += 1
        own_said = verdict(row["before_norm_law"], "optimizer", recipe["optimizer"])
        other_said = verdict(row["before_norm_law"], "optimizer", other)
        one["own " + own_said] += 1
        one["other " + other_said] += 1
        one["silent"] += own_said == other_said == "silent"
    for (family, between, begun), one in sorted(cells.items()):
        numbers = [one[k] for k in ("nets", "own contradicted", "own doubted", "other contradicted",
                                    "other doubted", "silent")]  # fmt: skip
        print(f"| {family} | {between} | {begun} | " + " | ".join(map(str, numbers)) + " |")
    for law in ("before_norm_law", "kernel_law"):
        print(f"\n{law}: weight decay of 0 | rate x decay x steps | nets | contradicted | doubted")
        cells = defaultdict(lambda: defaultdict(int))
        for row in rows:
            recipe = row["recipe"]
            total = decay(recipe)
            family = "linear" if recipe["optimizer"] in LINEAR else "adaptive"
            size = "0" if not total else "< 0.1" if total < 0.1 else "< 1" if total < 1 else ">= 1"
            one = cells[family, size]
            one["nets"] += 1
            one[verdict(row[law], "weight_decay", 0.0)] += 1
        for key, one in sorted(cells.items()):
            print("|", *key, "|", one["nets"], "|", one["contradicted"], "|", one["doubted"], "|")
    print("\nestimates of the decay (true, guess, low, high) of linear optimizers")
    inside = total_nets = 0
    for row in rows:
        recipe = row["recipe"]
        for e in row["before_norm_law"]:
            if e.estimate and recipe["optimizer"] in LINEAR:
                true = decay(recipe)
                inside += e.estimate.low - 1e-3 <= true <= e.estimate.high + 1e-3
                total_nets += 1
                if true > 0.05:
                    limits = (e.estimate.value, e.estimate.low, e.estimate.high)
                    print("  ", recipe["between"], recipe["kind"], *np.round((true, *limits), 3))
    print(f"  inside: {inside} of {total_nets}")
    counters(rows)
    for law, claim in (("bound_law", "learning_rate"), ("grid_law", "precision")):
        said = [
            verdict(row[law], claim, {**row["recipe"], "precision": "float32"}[claim])
            for row in rows
        ]
        print(law, {word: said.count(word) for word in sorted(set(said))})
    for name in [k for k in rows[0] if k.startswith("time ")]:
        times = [row[name] for row in rows]
        print(f"{name}: median {1000 * np.median(times):.1f} ms, most {1000 * max(times):.1f} ms")


def counters(rows: list[dict]) -> None:
    """True claims, and false ones in which one number is another usual one."""
    rng = np.random.default_rng(0)
    cells: dict = defaultdict(lambda: defaultdict(int))
    for row in rows:
        recipe = row["recipe"]
        names = ("epochs", "batch_size", "train_images")
        true = {name: recipe[name] for name in names}
        cells["true, " + recipe["tested"]][judge(row["counter"], true).verdict] += 1
        for name, values in (("epochs", range(1, 30)), ("batch_size", (16, 32, 64, 100, 128, 256)),
                             ("train_images", (500, 1000, 1500, 2000, 2500))):  # fmt: skip
            other = int(rng.choice([v for v in values if v != recipe[name]]))
            for plain in (False, True):
                said = judge(row["counter"], true | {name: other}, plain=plain).verdict
                key = f"false {name}{', plain' if plain else ''}"
                cells[key][
                    said if recipe["tested"] != "train" else "(tested in training mode)"
                ] += 1
    for key, one in cells.items():
        print("counters:", key, dict(one))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "judge"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nets", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.what == "train":
        train(asked.folder, asked.nets, asked.seed)
    else:
        tables(judged(asked.folder))


if __name__ == "__main__":
    main()
