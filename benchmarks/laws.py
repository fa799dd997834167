"""Error rates of the laws of training: nets of known recipe, and what an audit says of each.

    python benchmarks/laws.py sample FOLDER --nets 300 --seed 1
    python benchmarks/laws.py judge FOLDER

`sample` samples eight zoos into FOLDER, resumable: MLPs, LeNets, CNNs with batch norm and residual
nets, each by optimizers that are linear in the gradient and by adaptive ones, whose learning rates
differ. All other hyper-parameters vary independently: initialization, weight decay, schedule, label
smoothing, gradient clipping, batch size, inputs, and the number of images and epochs, which give
about 10 to 20,000 steps. Folders of other seeds are further parts of one population.

`judge` audits each net as a file and writes FOLDER/judged.parquet. FOLDER may also be one of nets
that `benchmarks/plain_nets.py` trained, which shares no code with weightspace. What was judged
before is not judged again. There is a row for each verdict, and one for each law that bears on it
(`law`). `asked` says what the card claimed:

- "all": all that is true, the loss, the outputs, the clipping and how biases began too;
- "usual": the same without how biases began, of which few cards say anything;
- "alone": that claim and no other;
- "false": as "all", but an optimizer of the other family.

`benchmarks/laws_tables.py` makes the tables of docs/results/laws.md of these files.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch

import weightspace
from weightspace.audit import Claims, Verdict, audit
from weightspace.audit.numbers import among
from weightspace.audit.verdicts import LEVEL
from weightspace.audit.verdicts import judged as verdict_on
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
    parser.add_argument("task", choices=["sample", "judge"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--nets", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    if asked.task == "sample":
        sample(asked.paths[0], asked.nets, asked.seed)
    for folder in asked.paths if asked.task == "judge" else []:
        judge(folder)


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

    `product` is minus the logarithm of what weight decay left of a weight without a gradient, which
    is about the sum of learning rate x weight decay / (1 - momentum).
    """

    name: str
    source: str
    kind: str
    file: Path
    truth: dict[str, Any]
    product: float
    accuracy: float


def judge(folder: Path) -> None:
    """Audit all nets of a folder that were not audited before."""
    place = folder / "judged.parquet"
    rows = pl.read_parquet(place).to_dicts() if place.exists() else []
    known = {row["net"] for row in rows}
    with tempfile.TemporaryDirectory() as scratch:
        plain = any(folder.glob("*.json"))
        nets = plain_nets(folder, known) if plain else sampled(folder, Path(scratch), known)
        for count, net in enumerate(nets):
            rows += judged(net)
            if count % 100 == 99:
                _write(rows, place)
                print(f"{count + 1} nets", flush=True)
    _write(rows, place)


def _write(rows: list[dict[str, Any]], place: Path) -> None:
    table = pl.DataFrame(rows, infer_schema_length=None)
    repeated = ("source", "kind", "family", "optimizer", "asked", "law", "claim", "verdict",
                "initialization")  # fmt: skip
    table = table.with_columns(
        pl.col(*repeated).cast(pl.Categorical), pl.col(pl.Float64).round_sig_figs(4)
    )
    table.write_parquet(place, compression_level=19)


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
            truth = _BESIDE | {
                "optimizer": recipe.optimizer, "weight_decay": recipe.weight_decay,
                "learning_rate": recipe.learning_rate, "schedule": told(recipe),
                "steps": row["steps"], "epochs": recipe.epochs, "batch_size": recipe.batch_size,
                "dataset": recipe.dataset, "initialization": recipe.initialization,
                "inputs": recipe.inputs, "label_smoothing": recipe.label_smoothing,
                "gradient_clipping": recipe.gradient_clipping,
            }  # fmt: skip
            if momentum:
                truth["momentum"] = momentum
            nesterov = recipe.optimizer == "nesterov"
            rates = rates_of(recipe, row["steps"])
            product = shrunk(rates, recipe.weight_decay, momentum, nesterov)
            kind = path.name.split("-")[0]
            yield Net(row["net"], "weightspace", kind, file, truth, product, row["test_accuracy"])


def told(recipe: Recipe) -> str:
    """The schedule as a card says it."""
    constant = recipe.schedule == "exponential" and recipe.learning_rate_decay == 1
    return "constant" if constant or (
        recipe.schedule == "step" and recipe.learning_rate_decay == 1
    ) else recipe.schedule  # fmt: skip


def shrunk(rates: list[float], decay: float, momentum: float, nesterov: bool) -> float:
    """Minus the logarithm of what SGD leaves of a weight without a gradient, step by step.

    By the definition of torch's SGD; of an adaptive optimizer, the first order.
    """
    weight, velocity, log = 1.0, 0.0, 0.0
    for step, rate in enumerate(rates):
        velocity = decay * weight + (momentum * velocity if step else 0.0)
        weight -= rate * (decay * weight + momentum * velocity if nesterov else velocity)
        if weight <= 0:  # it swings about 0
            return math.nan
        log, velocity, weight = log - math.log(weight), velocity / weight, 1.0
    return log


def rates_of(recipe: Recipe, steps: int) -> list[float]:
    """The learning rate of each step."""
    each = math.ceil(steps / recipe.epochs)
    rates = Rates([recipe], torch.tensor([each]), torch.zeros(1, dtype=torch.float64))
    return [float(rates.at(step)) for step in range(steps)]


def plain_rates(recipe: dict[str, Any]) -> list[float]:
    """The same of a net of `plain_nets.py`, whose schedules go on after each epoch."""
    epochs, each = recipe["epochs"], recipe["steps"] // recipe["epochs"]
    of_epoch = {
        "constant": lambda e: 1.0,
        "cosine": lambda e: (1 + math.cos(math.pi * e / epochs)) / 2,
        "step": lambda e: 0.1 ** (e // max(1, epochs // 2)),
    }[recipe["schedule"]]
    return [recipe["learning_rate"] * of_epoch(step // each) for step in range(recipe["steps"])]


_BESIDE = {"loss": "cross_entropy", "output_activation": "none", "gradient_clipping_by": "norm"}
"""What is true of all nets, and what a card that wants to be checked says."""


def plain_nets(folder: Path, known: set[str]) -> Iterator[Net]:
    """The nets of a plain PyTorch loop."""
    names = ("optimizer", "weight_decay", "learning_rate", "schedule", "steps", "epochs",
             "batch_size", "train_images", "drop_last", "dataset", "initialization",
             "label_smoothing", "gradient_clipping", "seed")  # fmt: skip
    for path in sorted(folder.glob("*.json")):
        recipe = json.loads(path.read_text())
        if path.stem in known or not math.isfinite(recipe["test_accuracy"]):
            continue
        truth = _BESIDE | {name: recipe[name] for name in names if name in recipe}
        if recipe["momentum"]:
            truth["momentum"] = recipe["momentum"]
        nesterov = recipe["optimizer"] == "nesterov"
        rates = plain_rates(recipe)
        product = shrunk(rates, recipe["weight_decay"], recipe["momentum"], nesterov)
        file = path.with_suffix(".pt")
        kind, accuracy = recipe["kind"], recipe["test_accuracy"]
        yield Net(path.stem, "plain PyTorch", kind, file, truth, product, accuracy)


def judged(net: Net) -> list[dict[str, Any]]:
    """A row for each verdict on a net, and for each law that bears on it."""
    linear = net.truth["optimizer"] in LINEAR_KINDS
    truth = {key: value for key, value in net.truth.items() if value is not None}
    biases = "torch_default" if truth["initialization"] == "torch_default" else "zeros"
    full = truth | {"bias_initialization": biases}
    false = full | {"optimizer": "adam" if linear else "sgd"}
    try:
        found, usual, other = (audit(net.file, claims) for claims in (full, truth, false))
    except WeightspaceError as error:  # weights that are not finite
        print(net.name, error)
        return []
    alone = [
        verdict_on(one, Claims((one,)), found.evidence)
        for one in (verdict.claim for verdict in found.verdicts)
    ]
    products = [e.estimate for e in found.evidence if e.estimate and e.estimate.name == PRODUCT]
    best = min(products, key=lambda one: one.high - one.low, default=None)
    seeds = {e.estimate.value for e in found.evidence if e.estimate and e.claim == "seed"}
    about = {
        "net": net.name, "source": net.source, "kind": net.kind,
        "family": "linear" if linear else "adaptive", "steps": net.truth["steps"],
        "optimizer": net.truth["optimizer"], "initialization": net.truth["initialization"],
        "accuracy": net.accuracy, "product": net.product, "seed": net.truth.get("seed"),
        "found_seed": next(iter(seeds), None), "estimate": best.value if best else None,
        "low": best.low if best else None, "high": best.high if best else None,
    }  # fmt: skip
    asked = {"all": found.verdicts, "usual": usual.verdicts, "alone": alone,
             "false": [one for one in other.verdicts if one.claim.name == "optimizer"]}  # fmt: skip
    return [
        about | {"asked": kind, "claim": verdict.claim.name} | row
        for kind, verdicts in asked.items()
        for verdict in verdicts
        for row in _rows(verdict)
    ]


def _rows(verdict: Verdict) -> Iterator[dict[str, Any]]:
    """What is said of a claim, and what each law would say of it."""
    yield {"law": "", "verdict": verdict.verdict, "p_value": verdict.p_value}
    for one in verdict.bearings:
        rivals = [
            h.p_value for h in one.evidence.hypotheses if not among(verdict.claim.value, h.values)
        ]
        said = "consistent" if min(rivals, default=1.0) < LEVEL else "undecidable"
        said = "contradicted" if one.p_value < LEVEL else said
        yield {"law": one.evidence.law, "verdict": said, "p_value": one.p_value}


if __name__ == "__main__":
    main()
