"""Trial folders of Ray Tune, as Model Zoos have them."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

CONFIG = {
    "model::type": "CNN",
    "model::channels_in": 1,
    "model::o_dim": 10,
    "model::nlin": "tanh",
    "model::dropout": 0.0,
    "model::init_type": "kaiming_uniform",
    "optim::optimizer": "adam",
    "optim::lr": 0.001,
    "optim::wd": 0.0001,
    "optim::momentum": 0.9,
    "seed": 7,
    "training::batchsize": 10,
    "training::epochs_train": 50,
    "training::checkpoint_dir": None,
    "cuda": False,
    "dataset::dump": "/somewhere/zoos/F_MNIST/tune_zoo_f_mnist_hyperparameter/dataset.pt",
}
BENT = {"tanh": nn.Tanh, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}


class Cnn(nn.Module):
    """The small net of these zoos: pooling comes before the activation."""

    def __init__(self, nlin: str, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        bend = BENT[nlin]
        convolutions = [nn.Conv2d(1, 8, 5), nn.Conv2d(8, 6, 5), nn.Conv2d(6, 4, 2)]
        layers: list[nn.Module] = []
        for i, convolution in enumerate(convolutions):
            layers += [convolution, *([nn.MaxPool2d(2)] if i < 2 else []), bend()]
        layers += [nn.Flatten(), nn.Linear(36, 20), bend(), nn.Linear(20, 10)]
        self.module_list = nn.ModuleList(layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.module_list:
            x = layer(x)
        return x


def write(folder: Path, config: dict, epochs: range = range(3), wide: bool = True) -> None:
    """A trial: its settings, a line of results an epoch, a folder a checkpoint."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(config))
    lines = []
    for epoch in epochs:
        measured = {"train_loss": 2.3 - epoch, "train_acc": 0.1 + 0.2 * epoch}
        if epoch == 0:
            measured = {"train_loss": -999, "train_acc": -999}
        measured |= {"test_loss": 2.2 - epoch, "test_acc": 0.1 + 0.1 * epoch, "config": config}
        lines.append(json.dumps(measured | {"training_iteration": epoch, "done": False}))
        place = folder / (f"checkpoint_{epoch:06d}" if wide else f"checkpoint_{epoch}")
        place.mkdir()
        torch.save(net(config, epoch).state_dict(), place / "checkpoints")
        torch.save({"state": {}, "param_groups": []}, place / "optimizer")
    (folder / "result.json").write_text("\n".join(lines) + "\n")


def net(config: dict, epoch: int) -> Cnn:
    return Cnn(config["model::nlin"], 100 * config["seed"] + epoch)
