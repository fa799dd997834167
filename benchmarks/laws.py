"""Error rates of the laws of training: nets of known recipe, and what the laws say about them.

    python benchmarks/laws.py sample FOLDER --nets 3000 --seed 1

`sample` samples eight zoos into FOLDER, resumable: MLPs, LeNets, CNNs with batch norm and residual
nets, each by optimizers that are linear in the gradient and by adaptive ones, whose learning rates
differ. All other hyper-parameters vary independently: initialization, weight decay, schedule, label
smoothing, gradient clipping, batch size, inputs, and the number of images and epochs, which give
about 10 to 20,000 steps.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import weightspace
from weightspace.space import Space
from weightspace.space.distributions import from_plain

LINEAR = {
    "optimizer": ["sgd", "momentum", "nesterov"],
    "momentum": [0.9, 0.95],
    "learning_rate": {"low": 0.003, "high": 0.1, "scale": "log"},
}
ADAPTIVE = {
    "optimizer": ["adam", "adamw", "rmsprop", "adagrad"],
    "alpha": 0.99,
    "learning_rate": {"low": 0.0002, "high": 0.005, "scale": "log"},
}
FAMILIES = {"linear": LINEAR, "adaptive": ADAPTIVE}

COMMON = {
    "outputs": 10,
    "dropout": 0.0,
    "initialization": [
        "torch_default", "he_uniform", "he_normal", "glorot_uniform", "glorot_normal",
        "lecun_normal", "normal", "constant",
    ],
    "weight_decay": [0.0, 0.0001, 0.0005, 0.005, 0.05],
    "schedule": ["exponential", "cosine", "step"],
    "learning_rate_decay": [1.0, 0.9],
    "decay_epochs": 2,
    "label_smoothing": [0.0, 0.1],
    "gradient_clipping": [0.0, 1.0],
    "batch_size": [16, 32, 64, 128, 256],
    "inputs": ["unit", "standardized"],
    "activation": ["relu", "tanh"],
    "train_images": [1800, 7200, 28800],
    "epochs": [2, 5, 12],
    "drop_last": [False, True],
}  # fmt: skip

GREY = {"dataset": ["mnist", "fashion_mnist"], "input_size": 28, "channels": 1}
KINDS = {
    "mlp": GREY | {"architecture": "mlp", "depth_conv": 0, "depth_fc": 2, "width_fc": 128,
                   "batch_norm": False},
    "lenet": GREY | {"architecture": "lenet", "width_conv": 6, "width_fc": 120,
                     "filter_size": 5, "batch_norm": False},
    "norm": {"dataset": ["mnist", "fashion_mnist", "cifar10"], "input_size": 16, "channels": 1,
             "architecture": "nws", "depth_conv": 3, "width_conv": 8, "filter_size": 3,
             "depth_fc": 1, "width_fc": 64, "batch_norm": True,
             "train_images": [1800, 7200, 18000]},
    "residual": {"dataset": ["mnist", "fashion_mnist", "cifar10"], "input_size": 12,
                 "channels": 1, "architecture": "resnet", "depth_conv": 7, "width_conv": 16,
                 "train_images": [1800, 7200], "batch_norm": True},
}  # fmt: skip
SHARES = {"mlp": 0.3, "lenet": 0.3, "norm": 0.3, "residual": 0.1}
"""The share of each kind among all nets; residual nets train ten times as long as the others."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["sample"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--nets", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    sample(asked.folder, asked.nets, asked.seed)


def sample(folder: Path, nets: int, seed: int) -> None:
    """Sample what is missing of the eight zoos of a population."""
    for kind in KINDS:
        for family in FAMILIES:
            count = round(nets * SHARES[kind] / 2)
            print(f"{kind}, {family}: {count} nets", flush=True)
            weightspace.sample(
                space(kind, family), nets=count, out=folder / f"{kind}-{family}", seed=seed,
                snapshots=2, evaluation_images=500,
            )  # fmt: skip


def space(kind: str, family: str) -> Space:
    """The space of a kind of net and a family of optimizers."""
    fields = COMMON | KINDS[kind] | FAMILIES[family]
    named = {key: from_plain(value) for key, value in fields.items()}
    return Space(f"{kind}-{family}", named)


if __name__ == "__main__":
    main()
