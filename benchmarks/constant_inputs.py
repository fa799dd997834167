"""Error rates of two laws: inputs that never vary, and initial distributions.

`python benchmarks/constant_inputs.py FOLDER --nets 100 --first 0` trains dense nets by plain
PyTorch on MNIST and Fashion-MNIST (found in $WEIGHTSPACE_DATA), keeps them in FOLDER, and prints
what the laws say of all nets there.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from weightspace.evidence import Context, Subject
from weightspace.evidence.initial import initial_law
from weightspace.evidence.inputs import input_law
from weightspace.evidence.subject import Layer
from weightspace.images import load

MOMENTS = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.286, 0.353)}
INITIALIZERS = {
    "torch_default": lambda w: w,
    "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
    "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "glorot_uniform": nn.init.xavier_uniform_,
    "glorot_normal": nn.init.xavier_normal_,
    "lecun_normal": lambda w: nn.init.normal_(w, std=w.shape[1] ** -0.5),
}
RATES = {"sgd": (-2.3, -0.5), "momentum": (-3, -1.3), "rmsprop": (-3.7, -2.7)}
MADE = {
    "sgd": lambda p, lr, wd: torch.optim.SGD(p, lr, weight_decay=wd),
    "momentum": lambda p, lr, wd: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=wd),
    "adam": lambda p, lr, wd: torch.optim.Adam(p, lr, weight_decay=wd),
    "adamw": lambda p, lr, wd: torch.optim.AdamW(p, lr, weight_decay=wd),
    "rmsprop": lambda p, lr, wd: torch.optim.RMSprop(p, lr, weight_decay=wd),
}


def recipe(seed: int) -> dict:
    rng = np.random.default_rng(seed)
    optimizer = str(rng.choice(list(MADE)))
    low, high = (-3, -0.5) if optimizer == "adamw" else (-5, -2.3)
    return {
        "seed": seed,
        "dataset": str(rng.choice(list(MOMENTS))),
        "inputs": str(rng.choice(["unit", "centered", "standardized"])),
        "optimizer": optimizer,
        "lr": float(10 ** rng.uniform(*RATES.get(optimizer, (-3.7, -2.3)))),
        "wd": float(10 ** rng.uniform(low, high)) if rng.random() < 0.5 else 0.0,
        "width": int(rng.choice([32, 64, 128, 256])),
        "init": str(rng.choice(list(INITIALIZERS))),
        "epochs": int(rng.choice([1, 1, 2, 3])),
        "batch": int(rng.choice([64, 128, 256])),
        "moved": bool(rng.random() < 0.3),
        "dropout": float(rng.choice([0, 0, 0.3])),
    }


def moved(x: Tensor, rng: torch.Generator) -> Tensor:
    """Images turned by up to 15 degrees, shifted by up to 10 %, scaled by 0.9 to 1.1."""
    turn, size, *shift = (torch.rand(4, len(x), generator=rng) * 2 - 1).unbind()
    turn, size = turn * math.pi / 12, 1 / (1 + size / 10)
    rows = [
        torch.stack([size * turn.cos(), -size * turn.sin(), shift[0] / 5], 1),
        torch.stack([size * turn.sin(), size * turn.cos(), shift[1] / 5], 1),
    ]
    shape = (len(x), 1, 28, 28)
    grid = functional.affine_grid(torch.stack(rows, 1), shape, align_corners=False)
    return functional.grid_sample(x.view(shape), grid, align_corners=False).flatten(1)


def train(chosen: dict, folder: Path) -> None:
    images = load(chosen["dataset"])
    x, y = torch.from_numpy(images.x_train).flatten(1), torch.from_numpy(images.y_train)
    torch.manual_seed(chosen["seed"])
    rng = torch.Generator().manual_seed(chosen["seed"])
    first, last = nn.Linear(784, chosen["width"]), nn.Linear(chosen["width"], 10)
    for layer in (first, last):
        INITIALIZERS[chosen["init"]](layer.weight)
        if chosen["init"] != "torch_default":
            nn.init.zeros_(layer.bias)
    net = nn.Sequential(first, nn.ReLU(), nn.Dropout(chosen["dropout"]), last)
    update = MADE[chosen["optimizer"]](list(net.parameters()), chosen["lr"], chosen["wd"])
    mean, sd = {"unit": (0, 1), "centered": (0.5, 0.5)}.get(
        chosen["inputs"], MOMENTS[chosen["dataset"]]
    )
    for _ in range(chosen["epochs"]):
        for at in torch.randperm(len(x), generator=rng).split(chosen["batch"]):
            batch = x[at].float() / 255
            batch = moved(batch, rng) if chosen["moved"] else batch
            loss = functional.cross_entropy(net((batch - mean) / sd), y[at])
            update.zero_grad()
            loss.backward()
            update.step()
    kernels = [layer.weight.detach().numpy() for layer in (first, last)]
    np.savez(folder / f"{chosen['seed']}.npz", *kernels, recipe=json.dumps(chosen))


def judge(folder: Path) -> dict[str, Counter]:
    """Counts by claim: nets, those where a value is ruled out, and where the true one is."""
    rates: dict[str, Counter] = defaultdict(Counter)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as kept:
            chosen = json.loads(str(kept["recipe"]))
            kernels = {f"{place}": kept[f"arr_{place}"] for place in (0, 1)}
        layers = tuple(
            Layer(place, name, w.shape, w.shape[1], w.shape[0], ())
            for place, (name, w) in enumerate(kernels.items())
        )
        shapes = {name: w.shape for name, w in kernels.items()}
        subject = Subject(layers, lambda name, a, b, k=kernels: k[name][a:b], shapes)
        truth = {
            "dataset": chosen["dataset"], "inputs": chosen["inputs"], "trained": True,
            "initialization": chosen["init"], "optimizer": chosen["optimizer"],
        }  # fmt: skip
        for law in (input_law, initial_law):
            for one in law(subject, Context()):
                if one.missing or not one.hypotheses:
                    continue
                out = {v for h in one.hypotheses if h.p_value < 1e-3 for v in h.values}
                rates[f"{one.law}: {one.claim}"].update(
                    nets=1, decided=int(bool(out)), wrong=int(truth[one.claim] in out)
                )
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nets", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for seed in range(asked.first, asked.first + asked.nets):
        if not (asked.folder / f"{seed}.npz").exists():
            train(recipe(seed), asked.folder)
    for claim, counts in judge(asked.folder).items():
        print(f"{claim:45} {dict(counts)}")


if __name__ == "__main__":
    main()
