"""Nets of known recipe that a plain PyTorch loop trained; it shares no code with weightspace.

    python benchmarks/plain_nets.py FOLDER DATA --nets 400 --part 1/2

DATA is a folder with mnist.npz, fashion_mnist.npz and cifar10.npz (x_train, y_train, x_test,
y_test). For each net it writes NUMBER.pt, a state dict as torch saves it, and NUMBER.json, its
recipe. What is there is not trained again. `--part 1/2` trains every second net.
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

POPULAR = (0, 1, 2, 7, 42, 123, 1234, 1337, 2023, 3407)


def mlp(act):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), act(), nn.Linear(128, 64), act(), nn.Linear(64, 10)
    )


class LeNet(nn.Module):
    def __init__(self, act, colours, flat):
        super().__init__()
        self.conv1 = nn.Conv2d(colours, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(flat, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        self.act, self.pool = act(), nn.MaxPool2d(2)

    def forward(self, x):
        x = self.pool(self.act(self.conv1(x)))
        x = self.pool(self.act(self.conv2(x)))
        x = self.act(self.fc1(x.flatten(1)))
        return self.fc3(self.act(self.fc2(x)))


def normed(act, colours):
    def unit(a, b):
        return [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), act(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *unit(colours, 8), *unit(8, 16), nn.Flatten(), nn.Linear(16 * 49 if colours == 1 else 1024,
        64), act(), nn.Linear(64, 10)
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, a, b, stride, act):
        super().__init__()
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(b)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(b)
        self.act = act()
        self.shortcut = nn.Sequential()
        if stride != 1 or a != b:
            self.shortcut = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b))

    def forward(self, x):
        y = self.bn2(self.conv2(self.act(self.bn1(self.conv1(x)))))
        return self.act(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self, act, colours):
        super().__init__()
        self.conv1 = nn.Conv2d(colours, 16, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.act = act()
        self.blocks = nn.Sequential(Block(16, 16, 1, act), Block(16, 32, 2, act),
                                    Block(32, 64, 2, act))  # fmt: skip
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(self.act(self.bn1(self.conv1(x))))
        return self.fc(x.mean((2, 3)))


def build(recipe):
    act = {"relu": nn.ReLU, "tanh": nn.Tanh}[recipe["activation"]]
    colours = 3 if recipe["dataset"] == "cifar10" else 1
    kind = recipe["kind"]
    if kind == "mlp":
        net = mlp(act)
    elif kind == "lenet":
        net = LeNet(act, colours, 16 * (25 if colours == 3 else 16))
    elif kind == "norm":
        net = normed(act, colours)
    else:
        net = ResNet(act, colours)
    if recipe["initialization"] != "torch_default":
        set_weights(net, recipe["initialization"])
    return net


def set_weights(net, name):
    make = {
        "he_uniform": lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"),
        "he_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
        "glorot_uniform": nn.init.xavier_uniform_,
        "glorot_normal": nn.init.xavier_normal_,
    }[name]
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            make(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw(number):
    """The recipe of a net: what people choose, each independently."""
    rng = random.Random(f"plain {number}")
    kind = rng.choice(["mlp", "mlp", "lenet", "lenet", "norm", "norm", "residual"])
    optimizer = rng.choice(["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad"])
    linear = optimizer in ("sgd", "momentum", "nesterov")
    low, high = (0.003, 0.1) if linear else (0.0002, 0.005)
    return {
        "kind": kind,
        "dataset": rng.choice(["mnist", "fashion_mnist"] + ["cifar10"] * (kind != "mlp")),
        "optimizer": optimizer,
        "momentum": rng.choice([0.9, 0.95]) if optimizer in ("momentum", "nesterov") else 0.0,
        "learning_rate": math.exp(rng.uniform(math.log(low), math.log(high))),
        "weight_decay": rng.choice([0.0, 0.0, 0.0, 0.0001, 0.0005, 0.005, 0.05]),
        "schedule": rng.choice(["constant", "constant", "cosine", "step"]),
        "label_smoothing": rng.choice([0.0, 0.0, 0.1]),
        "gradient_clipping": rng.choice([0.0, 0.0, 1.0]),
        "batch_size": rng.choice([16, 32, 64, 128, 256]),
        "train_images": rng.choice([2000, 8000, 30000]),
        "epochs": rng.choice([2, 5, 12]) if kind != "residual" else rng.choice([1, 2, 5]),
        "drop_last": rng.random() < 0.3,
        "standardized": rng.random() < 0.5,
        "activation": rng.choice(["relu", "relu", "tanh"]),
        "initialization": rng.choice(
            ["torch_default"] * 4 + ["he_uniform", "he_normal", "glorot_uniform", "glorot_normal"]
        ),
        "seed": rng.choice(POPULAR) if rng.random() < 0.5 else rng.randrange(10**7, 2**31),
    }


def optimizer_of(recipe, net):
    rate, decay = recipe["learning_rate"], recipe["weight_decay"]
    name, parameters = recipe["optimizer"], net.parameters()
    if name in ("sgd", "momentum", "nesterov"):
        return torch.optim.SGD(parameters, lr=rate, momentum=recipe["momentum"],
                               weight_decay=decay, nesterov=name == "nesterov")  # fmt: skip
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
             "rmsprop": torch.optim.RMSprop, "adagrad": torch.optim.Adagrad}  # fmt: skip
    return kinds[name](parameters, lr=rate, weight_decay=decay)


def train(recipe, images, labels, tests, start=None, watch=None):
    """Train a net from its seed, or on from the state dict `start`.

    `watch(net, steps)` is called after each step.
    """
    torch.manual_seed(recipe["seed"])
    net = build(recipe)
    if start is not None:
        net.load_state_dict(start)
    optimizer = optimizer_of(recipe, net)
    epochs, size = recipe["epochs"], recipe["batch_size"]
    schedule = {
        "constant": lambda: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "step": lambda: torch.optim.lr_scheduler.StepLR(optimizer, max(1, epochs // 2), 0.1),
    }[recipe["schedule"]]()
    loss_of = nn.CrossEntropyLoss(label_smoothing=recipe["label_smoothing"])
    steps, area = 0, 0.0
    for _ in range(epochs):
        order = torch.randperm(len(images))
        stop = len(order) // size * size if recipe["drop_last"] else len(order)
        for start in range(0, stop, size):
            chosen = order[start : start + size]
            if len(chosen) < 2:
                continue
            optimizer.zero_grad()
            loss_of(net(images[chosen]), labels[chosen]).backward()
            if recipe["gradient_clipping"]:
                nn.utils.clip_grad_norm_(net.parameters(), recipe["gradient_clipping"])
            area += optimizer.param_groups[0]["lr"]
            optimizer.step()
            steps += 1
            if watch is not None:
                watch(net, steps)
        schedule.step()
    net.eval()
    with torch.no_grad():
        right = (net(tests[0]).argmax(1) == tests[1]).float().mean().item()
    return net, {"steps": steps, "sum_of_rates": area, "test_accuracy": right}


def tensors(data, name, recipe):
    with np.load(Path(data) / f"{name}.npz") as file:
        x, y = file["x_train"], file["y_train"]
        chosen = np.random.RandomState(0).permutation(len(x))[: recipe["train_images"]]
        x, y = x[chosen], y[chosen]
        tx, ty = file["x_test"][:1000], file["y_test"][:1000]

    def as_tensor(a):
        a = torch.from_numpy(a.astype(np.float32) / 255)
        return a.unsqueeze(1) if a.ndim == 3 else a.permute(0, 3, 1, 2).contiguous()

    x, tx = as_tensor(x), as_tensor(tx)
    if recipe["standardized"]:
        mean, sd = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
        x, tx = (x - mean) / sd, (tx - mean) / sd
    y, ty = (torch.from_numpy(a.reshape(-1).astype(np.int64)) for a in (y, ty))
    return x, y, (tx, ty)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", type=int, default=400)
    parser.add_argument("--part", default="1/1")
    asked = parser.parse_args()
    part, parts = map(int, asked.part.split("/"))
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    for number in range(part - 1, asked.nets, parts):
        place = asked.folder / f"{number:04d}.json"
        if place.exists():
            continue
        recipe = draw(number)
        images, *others = tensors(asked.data, recipe["dataset"], recipe)
        recipe["train_images"] = len(images)  # of a set that has fewer
        net, outcome = train(recipe, images, *others)
        torch.save(net.state_dict(), place.with_suffix(".pt"))
        hidden = place.with_suffix(".part")
        hidden.write_text(json.dumps(recipe | outcome))
        hidden.replace(place)
        print(number, recipe["kind"], recipe["optimizer"], outcome, flush=True)


if __name__ == "__main__":
    main()
