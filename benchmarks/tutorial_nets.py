"""Nets as tutorials train them, by a plain PyTorch loop that shares no code with weightspace.

    python benchmarks/tutorial_nets.py FOLDER DATA KIND --nets 60 --part 1/2

KIND is mlp (784-128-64-10 on MNIST), lenet (two convolutions of 16 and 32 channels and a dense
layer of 128, on MNIST) or resnet (ResNet-8 of widths 16, 32 and 64, on CIFAR-10). DATA is a folder
with mnist.npz and cifar10.npz. Optimizer, learning rate, batch size, weight decay, dropout, label
smoothing, augmentation, activation, initialization, scaling of inputs, schedule and epochs vary.
For each net it writes NUMBER.pt, a state dict as torch saves it, and NUMBER.json, its recipe. What
is there is not trained again.
"""

from __future__ import annotations

import argparse
import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from torch import nn

ADAPTIVE = ("adam", "adamw", "rmsprop")


class Lenet(nn.Module):
    def __init__(self, act, dropout):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.fc1 = nn.Linear(32 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)
        self.act, self.pool, self.drop = act(), nn.MaxPool2d(2), nn.Dropout(dropout)

    def forward(self, x):
        x = self.pool(self.act(self.conv1(x)))
        x = self.pool(self.act(self.conv2(x)))
        return self.fc2(self.drop(self.act(self.fc1(x.flatten(1)))))


class Block(nn.Module):
    def __init__(self, a, b, stride, act):
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.act = act()
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        return self.act(y + self.shortcut(x))


class Resnet(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act = act()
        self.blocks = nn.Sequential(
            Block(16, 16, 1, act), Block(16, 32, 2, act), Block(32, 64, 2, act)
        )
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(self.blocks(self.act(self.bn1(self.conv1(x)))).mean((2, 3)))


def build(recipe):
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[recipe["activation"]]
    rate = recipe["dropout"]
    if recipe["kind"] == "mlp":
        net = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), act(), nn.Dropout(rate),
            nn.Linear(128, 64), act(), nn.Dropout(rate), nn.Linear(64, 10),
        )  # fmt: skip
    else:
        net = Lenet(act, rate) if recipe["kind"] == "lenet" else Resnet(act)
    draw = {
        "torch_default": None,
        "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "glorot_uniform": nn.init.xavier_uniform_,
    }[recipe["initialization"]]
    for module in net.modules() if draw else ():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            draw(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net


def recipe_of(kind, number):
    """What people choose, each independently of the others."""
    rng = random.Random(f"{kind} {number}")
    optimizer = rng.choice(["sgd", "momentum", *ADAPTIVE])
    low, high = (0.0001, 0.003) if optimizer in ADAPTIVE else (0.003, 0.1)
    return {
        "kind": kind,
        "dataset": "cifar10" if kind == "resnet" else "mnist",
        "optimizer": optimizer,
        "momentum": 0.9 if optimizer == "momentum" else 0.0,
        "learning_rate": math.exp(rng.uniform(math.log(low), math.log(high))),
        "batch_size": rng.choice([16, 32, 64, 128, 256]),
        "weight_decay": rng.choice([0.0, 0.0, 0.0005, 0.005]),
        "dropout": rng.choice([0.0, 0.25, 0.5]) if kind != "resnet" else 0.0,
        "label_smoothing": rng.choice([0.0, 0.1]),
        "augmentation": rng.random() < 0.5,
        "activation": rng.choice(["relu", "tanh"]),
        "initialization": rng.choice(["torch_default", "he_normal", "glorot_uniform"]),
        "inputs": rng.choice(["unit", "standardized"]),
        "schedule": rng.choice(["constant", "cosine"]),
        "epochs": rng.randint(2, 15),
        "seed": rng.randrange(2**31),
    }


def optimizer_of(recipe, net):
    rate, decay = recipe["learning_rate"], recipe["weight_decay"]
    if recipe["optimizer"] not in ADAPTIVE:
        return torch.optim.SGD(
            net.parameters(), lr=rate, momentum=recipe["momentum"], weight_decay=decay
        )
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    return kinds[recipe["optimizer"]](net.parameters(), lr=rate, weight_decay=decay)


def augmented(x, black):
    """Flipped and cropped as torchvision's RandomHorizontalFlip and RandomCrop(padding=4) do."""
    flips = torch.rand(len(x)) < 0.5
    x = torch.where(flips[:, None, None, None], x.flip(3), x)
    side = x.shape[2]
    wide = black.expand(len(x), -1, side + 8, side + 8).clone()
    wide[:, :, 4:-4, 4:-4] = x
    rows, columns = torch.randint(9, (2, len(x), 1)) + torch.arange(side)
    found = wide.gather(2, rows[:, None, :, None].expand(-1, x.shape[1], -1, side + 8))
    return found.gather(3, columns[:, None, None, :].expand(-1, x.shape[1], side, -1))


def train(recipe, images, labels, tests, black):
    torch.manual_seed(recipe["seed"])
    net = build(recipe)
    optimizer = optimizer_of(recipe, net)
    epochs, size = recipe["epochs"], recipe["batch_size"]
    cosine = recipe["schedule"] == "cosine"
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe["label_smoothing"])
    steps, each = 0, math.ceil(len(images) / size)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for start in range(0, len(images), size):
            if cosine:
                part = 0.5 * (1 + math.cos(math.pi * steps / (epochs * each)))
                optimizer.param_groups[0]["lr"] = recipe["learning_rate"] * part
            chosen = order[start : start + size]
            x = augmented(images[chosen], black) if recipe["augmentation"] else images[chosen]
            optimizer.zero_grad()
            loss_of(net(x), labels[chosen]).backward()
            optimizer.step()
            steps += 1
    net.eval()
    with torch.no_grad():
        right = (net(tests[0]).argmax(1) == tests[1]).float().mean().item()
    return net, {"steps": steps, "test_accuracy": right}


def tensors(data, recipe, most):
    with np.load(Path(data) / f"{recipe['dataset']}.npz") as file:
        x, y = file["x_train"], file["y_train"]
        tx, ty = file["x_test"][:1000], file["y_test"][:1000]
    if most:
        x, y = x[:most], y[:most]

    def as_tensor(a):
        a = torch.from_numpy(a.astype(np.float32) / 255)
        return a.unsqueeze(1) if a.ndim == 3 else a.permute(0, 3, 1, 2).contiguous()

    x, tx = as_tensor(x), as_tensor(tx)
    black = torch.zeros(1, x.shape[1], 1, 1)
    if recipe["inputs"] == "standardized":
        mean, sd = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        x, tx, black = (x - mean) / sd, (tx - mean) / sd, -mean / sd
    y, ty = (torch.from_numpy(a.reshape(-1).astype(np.int64)) for a in (y, ty))
    return x, y, (tx, ty), black


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("kind", choices=["mlp", "lenet", "resnet"])
    parser.add_argument("--nets", type=int, default=60)
    parser.add_argument("--images", type=int, default=0, help="only the first; 0 for all")
    parser.add_argument("--part", default="1/1")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number in range(part - 1, asked.nets, parts):
        place = asked.folder / f"{asked.kind}-{number:04d}.json"
        if place.exists():
            continue
        recipe = recipe_of(asked.kind, number)
        net, outcome = train(recipe, *tensors(asked.data, recipe, asked.images))
        torch.save(net.state_dict(), place.with_suffix(".pt"))
        hidden = place.with_suffix(".part")
        hidden.write_text(json.dumps(recipe | outcome))
        hidden.replace(place)
        print(number, recipe["optimizer"], outcome, flush=True)


if __name__ == "__main__":
    main()
