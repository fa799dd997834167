"""Error rates of the laws of training: nets of known recipe, and what an audit says of each.

    python benchmarks/laws.py sample FOLDER --nets 3000 --seed 1
    python benchmarks/laws.py judge FOLDER [PLAIN ...]
    python benchmarks/laws.py table FOLDER

`sample` samples eight zoos into FOLDER, resumable: MLPs, LeNets, CNNs with batch norm and residual
nets, each by optimizers that are linear in the gradient and by adaptive ones, whose learning rates
differ. All other hyper-parameters vary independently: initialization, weight decay, schedule, label
smoothing, gradient clipping, batch size, inputs, and the number of images and epochs, which give
about 10 to 20,000 steps.

`judge` audits each net as a file, once with claims that are all true and once with an optimizer
of the other family, and writes FOLDER/judged.parquet, a row for each verdict. PLAIN are folders of
nets that `benchmarks/plain_nets.py` trained, which shares no code with weightspace. What was judged
before is not judged again. `table` prints what stands in docs/laws.md.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import torch

import weightspace
from weightspace.audit import audit
from weightspace.errors import WeightspaceError
from weightspace.evidence.losses import LINEAR as LINEAR_KINDS
from weightspace.evidence.shrinkage import PRODUCT
from weightspace.networks.sequential import state_dict
from weightspace.space import Recipe, Space
from weightspace.space.distributions import from_plain
from weightspace.training.rates import Rates
from weightspace.zoo import Zoo

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
    parser.add_argument("task", choices=["sample", "judge", "table"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("plain", type=Path, nargs="*")
    parser.add_argument("--nets", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.task == "sample":
        sample(asked.folder, asked.nets, asked.seed)
    elif asked.task == "judge":
        judge(asked.folder, asked.plain)
    else:
        table(pl.read_parquet(asked.folder / "judged.parquet"))


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


@dataclass(frozen=True)
class Net:
    """A net as a file, with what is true of it.

    `product` is the sum of learning rate x weight decay / (1 - momentum) over its training.
    """

    name: str
    source: str
    kind: str
    file: Path
    truth: dict[str, Any]
    product: float


def judge(folder: Path, plain: list[Path]) -> None:
    """Audit all nets of a population, and of folders of plain nets."""
    place = folder / "judged.parquet"
    rows = pl.read_parquet(place).to_dicts() if place.exists() else []
    known = {row["net"] for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        nets = chain(sampled(folder, Path(scratch), known), plain_nets(plain, known))
        for count, net in enumerate(nets):
            rows += judged(net)
            if count % 100 == 99:
                pl.DataFrame(rows, infer_schema_length=None).write_parquet(place)
                print(f"{count + 1} nets", flush=True)
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(place)


def sampled(folder: Path, scratch: Path, known: set[str]) -> Iterator[Net]:
    """The nets of the zoos, each written as torch writes a state dict."""
    for path in sorted(folder.iterdir()):
        if not (path / "zoo.json").exists():
            continue
        zoo = Zoo(path)
        for row in zoo.nets.iter_rows(named=True):
            if row["diverged"] or row["net"] in known:
                continue
            recipe = Recipe.from_dict({name: row[name] for name in Recipe.__dataclass_fields__})
            file = scratch / "net.pt"
            torch.save(state_dict(recipe, zoo.vector(row["net"], -1), row["steps"]), file)
            momentum = recipe.momentum if recipe.optimizer in ("momentum", "nesterov") else 0.0
            truth = {
                "optimizer": recipe.optimizer, "weight_decay": recipe.weight_decay,
                "learning_rate": recipe.learning_rate, "schedule": told(recipe),
                "steps": row["steps"], "epochs": recipe.epochs, "batch_size": recipe.batch_size,
                "dataset": recipe.dataset, "initialization": recipe.initialization,
                "inputs": recipe.inputs,
            }  # fmt: skip
            if momentum:
                truth["momentum"] = momentum
            product = recipe.weight_decay * area(recipe, row["steps"]) / (1 - momentum)
            yield Net(row["net"], "weightspace", path.name.split("-")[0], file, truth, product)


def told(recipe: Recipe) -> str:
    """The schedule as a card says it."""
    constant = recipe.schedule == "exponential" and recipe.learning_rate_decay == 1
    return "constant" if constant or (
        recipe.schedule == "step" and recipe.learning_rate_decay == 1
    ) else recipe.schedule  # fmt: skip


def area(recipe: Recipe, steps: int) -> float:
    """The sum of the learning rates over a training."""
    each = math.ceil(steps / recipe.epochs)
    rates = Rates([recipe], torch.tensor([each]), torch.zeros(1, dtype=torch.float64))
    return sum(float(rates.at(step)) for step in range(steps))


def plain_nets(folders: list[Path], known: set[str]) -> Iterator[Net]:
    """The nets of a plain PyTorch loop."""
    names = ("optimizer", "weight_decay", "learning_rate", "schedule", "steps", "epochs",
             "batch_size", "train_images", "drop_last", "dataset", "initialization",
             "seed")  # fmt: skip
    for folder in folders:
        for path in sorted(folder.glob("*.json")):
            recipe = json.loads(path.read_text())
            if path.stem in known or not math.isfinite(recipe["test_accuracy"]):
                continue
            truth = {name: recipe[name] for name in names if name in recipe}
            if recipe["momentum"]:
                truth["momentum"] = recipe["momentum"]
            area = recipe.get("sum_of_rates", math.nan)  # nets of tutorial_nets.py do not say it
            product = recipe["weight_decay"] * area / (1 - recipe["momentum"])
            file = path.with_suffix(".pt")
            yield Net(path.stem, "plain PyTorch", recipe["kind"], file, truth, product)


def judged(net: Net) -> list[dict[str, Any]]:
    """A row for each verdict on a net, with true claims and with a false optimizer."""
    linear = net.truth["optimizer"] in LINEAR_KINDS
    truth = net.truth | {"loss": "cross_entropy", "output_activation": "none",
                         "gradient_clipping_by": "norm"}  # fmt: skip
    rows = []
    for claims, right in (
        (truth, True),
        (truth | {"optimizer": "adam" if linear else "sgd"}, False),
    ):
        try:
            found = audit(
                net.file, {key: value for key, value in claims.items() if value is not None}
            )
        except WeightspaceError as error:  # weights that are not finite
            print(net.name, error)
            return []
        products = [
            one.estimate for one in found.evidence if one.estimate and one.estimate.name == PRODUCT
        ]
        best = min(products, key=lambda one: one.high - one.low, default=None)
        for one in found.verdicts:
            if right or one.claim.name == "optimizer":
                rows.append(
                    {
                        "net": net.name, "source": net.source, "kind": net.kind, "right": right,
                        "family": "linear" if linear else "adaptive", "steps": net.truth["steps"],
                        "optimizer": net.truth["optimizer"], "claim": one.claim.name,
                        "initialization": net.truth["initialization"], "verdict": one.verdict,
                        "p_value": one.p_value, "product": net.product,
                        "laws": ", ".join(b.evidence.law for b in one.bearings[:2]),
                        "estimate": best.value if best else None,
                        "low": best.low if best else None, "high": best.high if best else None,
                    }
                )  # fmt: skip
    return rows


def table(rows: pl.DataFrame) -> None:
    """Print how often claims are decided, and how often wrongly."""
    pl.Config.set_tbl_rows(100)
    pl.Config.set_tbl_hide_dataframe_shape(True)
    said = pl.col("verdict")
    shares = [
        pl.len().alias("nets"),
        (said == "consistent").mean().alias("consistent"),
        (said == "contradicted").sum().alias("contradicted"),
    ]
    true = rows.filter(pl.col("right"))
    print("claims that are true")
    print(true.group_by("source", "claim").agg(shares).sort("source", "claim"))
    print("the optimizer, by kind and length")
    long = (pl.col("steps") >= 300).alias("300 steps or more")
    optimizer = rows.filter(pl.col("claim") == "optimizer")
    by = ["source", "kind", "family", "right", long]
    print(optimizer.group_by(by).agg(shares).sort("source", "kind", "family", "right"))
    decay = true.filter(
        (pl.col("claim") == "weight_decay") & pl.col("product").is_between(0.3, math.inf, "none")
    )
    within = (
        ((pl.col("estimate") / pl.col("product") - 1).abs() <= 0.15).mean().alias("within 15 %")
    )
    inside = pl.col("product").is_between(pl.col("low"), pl.col("high")).mean().alias("inside")
    print("the sum of rate x decay / (1 - momentum), where it is above 0.3")
    print(decay.group_by("source", "kind", "family").agg(
        pl.len().alias("nets"), pl.col("estimate").count().alias("estimated"), within, inside
    ).sort("source", "kind", "family"))  # fmt: skip


if __name__ == "__main__":
    main()
