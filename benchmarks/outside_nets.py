"""Nets of a benchmark's population, trained by a plain PyTorch loop instead of weightspace.

    python benchmarks/outside_nets.py NETS DATA --nets 100
    weightspace add NETS src/weightspace/bench/outside/bench-small --known NETS/known.csv

The recipes are further ones of the space of `bench-small`, from another seed. The loop, the scaling
of images, the augmentation and the initial weights are torch's own, and optimizers have torch's
default numbers (RMSprop's alpha is 0.99, for example). DATA is a folder with mnist.npz
and fashion_mnist.npz. For each net it writes NET.pt, a state dict of the last weights,
and NET.json; a net that is there is not trained again. At the end it writes known.csv.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from weightspace.bench import population
from weightspace.images import load

SEED = 77
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


def build(recipe):
    act, width = ACTIVATIONS[recipe.activation], recipe.width_conv
    net = nn.Sequential(
        nn.Conv2d(1, width, 3, stride=2), act(), nn.Dropout(recipe.dropout_conv),
        nn.Conv2d(width, width, 3, stride=2), act(), nn.Dropout(recipe.dropout_conv),
        nn.Conv2d(width, width, 3, stride=2), act(), nn.Dropout(recipe.dropout_conv),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10),
    )  # fmt: skip
    draw = {
        "torch_default": None,
        "normal": nn.init.normal_,
        "glorot_uniform": nn.init.xavier_uniform_,
        "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    }[recipe.initialization]
    for layer in net if draw else ():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight)
            nn.init.zeros_(layer.bias)
    return net


@cache
def arrays(data, name):
    """Images and labels by name, as files of NumPy have them; textures are generated."""
    if name == "textures":
        return vars(load(name))
    with np.load(data / f"{name}.npz") as file:
        return {name: file[name] for name in file}


def images_of(data, recipe):
    """Training and test images in grey, scaled by torch, and their labels."""
    file = arrays(data, recipe.dataset)
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(len(file["x_train"]))[: recipe.train_images]
    found = []
    for x, y in ((file["x_train"][chosen], file["y_train"][chosen]),
                 (file["x_test"][:2000], file["y_test"][:2000])):  # fmt: skip
        x = torch.from_numpy(x.astype(np.float32) / 255)
        x = x.mean(3) if x.ndim == 4 else x
        x = F.interpolate(x[:, None], size=recipe.input_size, mode="area")
        found.append((x, torch.from_numpy(y.reshape(-1).astype(np.int64))))
    if recipe.inputs == "standardized":
        mean, spread = found[0][0].mean(), found[0][0].std()
        found = [((x - mean) / spread, y) for x, y in found]
    return found


def augmented(x):
    """Flipped at random, and moved by up to two pixels."""
    flips = torch.rand(len(x)) < 0.5
    x = torch.where(flips[:, None, None, None], x.flip(3), x)
    down, right = torch.randint(0, 5, (2,)).tolist()
    side, corner = x.shape[2], float(x.min())
    return F.pad(x, (2, 2, 2, 2), value=corner)[:, :, down : down + side, right : right + side]


def optimizer_of(recipe, net):
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "momentum":
        return torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=decay)
    kind = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}[recipe.optimizer]
    return kind(net.parameters(), lr=rate, weight_decay=decay)


def train(recipe, data):
    torch.manual_seed(recipe.seed)
    (x, y), (tests, truths) = images_of(data, recipe)
    net = build(recipe)
    optimizer = optimizer_of(recipe, net)
    total = recipe.epochs * math.ceil(len(x) / recipe.batch_size)
    schedule = None
    if recipe.schedule == "cosine":
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    for _ in range(recipe.epochs):
        for rows in torch.randperm(len(x)).split(recipe.batch_size):
            own = augmented(x[rows]) if recipe.augmentation else x[rows]
            loss = F.cross_entropy(net(own), y[rows], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if schedule:
                schedule.step()
    net.eval()
    with torch.no_grad():
        right = (net(tests).argmax(1) == truths).float().mean().item()
    return net, right


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", type=int, default=100)
    parser.add_argument("--part", default="1/1", help="1/2 trains every second net")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    space = population("bench-small").space
    for recipe in space.draw(asked.nets, SEED)[part - 1 :: parts]:
        place = asked.out / f"{recipe.net}.json"
        if place.exists():
            continue
        net, right = train(recipe, asked.data)
        torch.save(net.state_dict(), place.with_suffix(".pt"))
        known = {name: getattr(recipe, name) for name in space.properties}
        place.write_text(json.dumps({"file": f"{recipe.net}.pt", **known, "test_accuracy": right}))
        print(recipe.net, recipe.optimizer, right, flush=True)
    known = [json.loads(path.read_text()) for path in sorted(asked.out.glob("*.json"))]
    with (asked.out / "known.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, known[0])
        table.writeheader()
        table.writerows(known)


if __name__ == "__main__":
    main()
