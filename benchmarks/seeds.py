"""How often the seed of initial weights is found, and what it makes exact, on plain PyTorch nets.

    python benchmarks/seeds.py FOLDER DATA --nets 140

DATA is a folder with mnist.npz and fashion_mnist.npz (x_train, y_train, x_test, y_test). Half of
the nets have a popular seed. Writes NUMBER.pt, a state dict, and NUMBER.json, its recipe, for each
net; what is there is not trained again. Then prints what the law of seeds says of all. A folder of
nets by `plain_nets.py` can be given as well, without DATA.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from weightspace.checkpoints.opening import open_net
from weightspace.evidence import Context, of_checkpoint
from weightspace.evidence.context import POPULAR_SEEDS
from weightspace.evidence.displacement import sum_change
from weightspace.evidence.initial_vector import initial_vector
from weightspace.evidence.matching import SURE
from weightspace.evidence.seed_search import search

IMAGES, BATCH = 8000, 16
RATES = {
    "sgd": [0.01, 0.03, 0.1], "momentum": [0.003, 0.01, 0.03], "nesterov": [0.003, 0.01, 0.03],
    "adam": [0.0003, 0.001, 0.003], "adamw": [0.0003, 0.001, 0.003], "rmsprop": [0.0003, 0.001],
    "adagrad": [0.003, 0.01],
}  # fmt: skip
STEPS = {"mlp": [100, 300, 1000], "mlp_small": [100, 300, 1000, 3000]}
LINEAR = ("sgd", "momentum", "nesterov")


def build(kind):
    relu, flat, pool = nn.ReLU, nn.Flatten, lambda: nn.MaxPool2d(2)
    return nn.Sequential(*{
        "mlp": lambda: [flat(), nn.Linear(784, 128), relu(), nn.Linear(128, 64), relu(),
                        nn.Linear(64, 10)],
        "mlp_small": lambda: [flat(), nn.Linear(784, 32), relu(), nn.Linear(32, 10)],
        "lenet": lambda: [nn.Conv2d(1, 6, 5, padding=2), relu(), pool(), nn.Conv2d(6, 16, 5),
                          relu(), pool(), flat(), nn.Linear(400, 120), relu(), nn.Linear(120, 84),
                          relu(), nn.Linear(84, 10)],
        "convbn": lambda: [nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), relu(),
                           nn.Conv2d(8, 32, 3, padding=1), nn.BatchNorm2d(32), relu(), pool(),
                           nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), relu(),
                           nn.AdaptiveAvgPool2d(2), flat(), nn.Linear(128, 10)],
        "cnn_dropout": lambda: [nn.Conv2d(1, 10, 5), relu(), pool(), nn.Conv2d(10, 20, 5),
                                nn.Dropout2d(), relu(), pool(), flat(), nn.Linear(320, 50), relu(),
                                nn.Dropout(), nn.Linear(50, 10)],
    }[kind]())  # fmt: skip


def draw(number):
    """The recipe of a net."""
    rng = random.Random(f"seeds {number}")
    kind = rng.choice(["mlp", "mlp_small", "mlp_small", "lenet", "convbn", "cnn_dropout"])
    optimizer = rng.choice(list(RATES))
    decays = [0.01, 0.05] if optimizer == "adamw" else [0, 0, 1e-4, 5e-4, 5e-3]
    popular = number % 2 == 0
    return {
        "kind": kind,
        "dataset": rng.choice(["mnist", "fashion_mnist"]),
        "optimizer": optimizer,
        "learning_rate": rng.choice(RATES[optimizer]),
        "weight_decay": rng.choice(decays),
        "steps": rng.choice(STEPS.get(kind, [60, 120, 240])),
        "standardized": rng.random() < 0.5,
        "popular": popular,
        "seed": rng.choice(POPULAR_SEEDS) if popular else rng.randrange(10**9, 2 * 10**9),
    }


def optimizer_of(recipe, net):
    name, rate, decay = recipe["optimizer"], recipe["learning_rate"], recipe["weight_decay"]
    if name in LINEAR:
        momentum = 0.0 if name == "sgd" else 0.9
        return torch.optim.SGD(net.parameters(), rate, momentum, weight_decay=decay,
                               nesterov=name == "nesterov")  # fmt: skip
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop,
             "adagrad": torch.optim.Adagrad}  # fmt: skip
    return kinds[name](net.parameters(), rate, weight_decay=decay)


def train(recipe, x, y, tests):
    torch.manual_seed(recipe["seed"])
    net = build(recipe["kind"])
    optimizer = optimizer_of(recipe, net)
    done = 0
    while done < recipe["steps"]:
        for chosen in torch.randperm(len(x)).split(BATCH)[: recipe["steps"] - done]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[chosen]), y[chosen]).backward()
            optimizer.step()
            done += 1
    net.eval()
    with torch.no_grad():
        right = (net(tests[0]).argmax(1) == tests[1]).float().mean().item()
    return net, right


def tensors(data, name):
    with np.load(Path(data) / f"{name}.npz") as file:

        def images(part, most):
            x = torch.tensor(file[f"x_{part}"][:most].reshape(-1, 1, 28, 28)).float() / 255
            return x, torch.tensor(file[f"y_{part}"][:most].reshape(-1)).long()

        return *images("train", IMAGES), images("test", 1000)


def make(folder, data, nets):
    sets = {}
    for number in range(nets):
        facts = folder / f"{number:04}.json"
        if facts.exists():
            continue
        recipe = draw(number)
        name = recipe["dataset"]
        if name not in sets:
            sets[name] = tensors(data, name)
        x, y, (tx, ty) = sets[name]
        if recipe["standardized"]:
            x, tx = (x - 0.5) / 0.5, (tx - 0.5) / 0.5
        net, right = train(recipe, x, y, (tx, ty))
        torch.save(net.state_dict(), folder / f"{number:04}.pt")
        facts.write_text(json.dumps({**recipe, "test_accuracy": right}))


def judge(folder, popular):
    """What the law says of each net: its recipe with what was found."""
    for facts in sorted(folder.glob("*.json")):
        recipe = json.loads(facts.read_text())
        known = recipe["popular"] if "popular" in recipe else recipe["seed"] in popular
        with open_net(facts.with_suffix(".pt")) as net:
            subject = of_checkpoint(net)
            start = time.process_time()
            match = search(subject, Context().seeds)
            seconds = time.process_time() - start
            row = {**recipe, "popular": known, "found": match.p_value < SURE, "z": match.z,
                   "right": match.seed == recipe["seed"], "seconds": seconds}  # fmt: skip
            exact = match if row["found"] else search(subject, (recipe["seed"],), ())
            if exact.p_value < SURE and exact.drawn == "default":
                layer, initial = subject.output, initial_vector(subject, exact)
                if layer.weight in initial.places:
                    first = initial.values(layer.weight).reshape(layer.shape)
                    row["change"] = sum_change(subject.weight(layer), first)
        yield row


def tell(rows):
    table = defaultdict(list)
    for row in rows:
        default = row.get("initialization", "torch_default") == "torch_default"
        start = "torch's default" if default else "drawn anew"
        table[row["kind"], start, row["popular"]].append(row)
    print("kind, first weights, seed: nets, found, wrong, least z found, largest z not found, time")
    for (kind, start, popular), some in sorted(table.items()):
        found = [row for row in some if row["found"]]
        missed = [row["z"] for row in some if not row["found"]]
        print(kind, start, "on the list" if popular else "not on the list", len(some), len(found),
              sum(not row["right"] for row in found),
              f"{min((row['z'] for row in found), default=math.nan):.1f}",
              f"{max(missed, default=math.nan):.1f}",
              f"{1000 * np.median([row['seconds'] for row in some]):.0f} ms")  # fmt: skip
    print("optimizer: nets with exact sums, drift (least, median, largest), greatest p-value that "
          "it knows nothing of what was learned, no decay: |t| > 2.6")  # fmt: skip
    for name in RATES:
        some = [row for row in rows if row["optimizer"] == name and "change" in row]
        drifts = sorted(row["change"].drift for row in some) or [math.nan]
        still = [(1 - row["change"].slope) / row["change"].error for row in some
                 if not row["weight_decay"]]  # fmt: skip
        learned = max((row["change"].fit for row in some), default=math.nan)
        print(name, len(some), *(f"{drifts[at]:.1e}" for at in (0, len(drifts) // 2, -1)),
              f"{learned:.1e}",
              sum(abs(t) > 2.6 for t in still), "of", len(still))  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--nets", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    make(asked.folder, asked.data, asked.nets)
    tell(list(judge(asked.folder, set(POPULAR_SEEDS))))


if __name__ == "__main__":
    main()
