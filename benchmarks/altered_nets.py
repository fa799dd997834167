"""Nets of known recipe, and what they become when they are fine-tuned, averaged, altered or forged.

    python benchmarks/altered_nets.py FOLDER DATA --nets 48

trains nets by the plain PyTorch loop of `plain_nets.py`, on MNIST and Fashion-MNIST: an MLP, a
LeNet and a net with batch norm, by four optimizers, without and with weight decay. Each is
fine-tuned, pruned, rounded, permuted, rescaled, averaged, given noise, and forged. Each of these is
a file in FOLDER/NUMBER, which `made.json` lists. What is there is not made again. DATA has
mnist.npz and fashion_mnist.npz. `benchmarks/robustness.py` audits them.
"""

from __future__ import annotations

import argparse
import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import alterations
import numpy as np
import plain_nets
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

KINDS = {
    "mlp": {"train_images": 8000, "batch_size": 64, "epochs": 4},
    "lenet": {"train_images": 4000, "batch_size": 32, "epochs": 3},
    "norm": {"train_images": 2000, "batch_size": 32, "epochs": 4},
}
OPTIMIZERS = {
    "sgd": {"learning_rate": 0.1, "momentum": 0.0, "weight_decay": 0.001},
    "momentum": {"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 0.001},
    "adam": {"learning_rate": 0.001, "momentum": 0.0, "weight_decay": 0.0001},
    "adamw": {"learning_rate": 0.001, "momentum": 0.0, "weight_decay": 0.05},
}
LINEAR = ("sgd", "momentum")
OTHER = {"sgd": "adam", "momentum": "adamw", "adam": "sgd", "adamw": "momentum"}
MOVED = {"mnist": "fashion_mnist", "fashion_mnist": "mnist"}
SEEDS = (0, 1, 42, 123, 1234, 1337, 2023, 3407)
SAID = {
    "schedule": "constant", "loss": "cross_entropy", "output_activation": "none",
    "gradient_clipping_by": "none", "precision": "float32", "checkpoint": "last",
}  # fmt: skip
"""What is true of all nets."""
SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""How long nets are fine-tuned, in units of their training."""
NETS = 48

Row = dict[str, Any]
Recipe = dict[str, Any]


@dataclass
class Altered:
    """An altered net.

    `goal` is what a forger claims of it, `untrue` names the claims of the original training that
    the alteration makes false, and `card` has honest claims of a fine-tuning or an average.
    """

    kind: str
    name: str
    content: Any = field(repr=False)
    goal: Row = field(default_factory=dict)
    untrue: tuple[str, ...] = ()
    card: Row = field(default_factory=dict)

    @property
    def file(self) -> str:
        return self.name.replace(" ", "-").replace("%", "percent").replace(",", "") + ".pt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--nets", type=int, default=NETS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    make(asked.folder, asked.data, asked.nets)


def recipe_of(number: int) -> Recipe:
    """The recipe of a base net: every kind with every optimizer, then with weight decay.

    From 24 on, the seed is none that an audit tries, and it is not claimed.
    """
    kind = list(KINDS)[number % 3]
    optimizer = list(OPTIMIZERS)[number // 3 % 4]
    decays = number // 12 % 2 == 1
    settings = OPTIMIZERS[optimizer]
    return {
        "kind": kind, "optimizer": optimizer, **settings, **KINDS[kind],
        "weight_decay": settings["weight_decay"] if decays else 0.0,
        "dataset": list(MOVED)[(number // 12 + number // 24) % 2],
        "standardized": (number + number // 3 + number // 12) % 2 == 1,
        "seed": SEEDS[number * 5 % 8] if number < 24 else 10_000_019 + 7919 * number,
        "initialization": "torch_default", "activation": "relu",
        "schedule": "constant", "label_smoothing": 0.0, "gradient_clipping": 0.0,
        "drop_last": False,
    }  # fmt: skip


def truth(recipe: Recipe, steps: int) -> Row:
    """All that is true of a training, as a card says it."""
    names = ("optimizer", "learning_rate", "weight_decay", "epochs", "batch_size", "train_images",
             "dataset", "initialization", "seed")  # fmt: skip
    said = {name: recipe[name] for name in names if name != "seed" or recipe["seed"] in SEEDS}
    if recipe["optimizer"] in LINEAR:
        said["momentum"] = recipe["momentum"]
    inputs = "standardized" if recipe["standardized"] else "unit"
    return said | {"steps": steps, "inputs": inputs} | SAID


def make(folder: Path, data: Path, nets: int) -> None:
    """Train the nets that are missing, and write their alterations."""
    for number in range(nets):
        place = folder / f"{number:02d}"
        if (place / "made.json").exists():
            continue
        place.mkdir(parents=True, exist_ok=True)
        recipe = recipe_of(number)
        lab = Lab(recipe, data)
        listed = []
        for one in lab.altered():
            torch.save(one.content, place / one.file)
            told = {k: v for k, v in asdict(one).items() if k != "content"}
            listed.append(told | {"file": one.file, "accuracy": lab.accuracy(one.content)})
        made = {"recipe": recipe, "steps": lab.steps, "altered": listed}
        (place / "made.json").write_text(json.dumps(made))
        print(number, recipe["kind"], recipe["optimizer"], listed[0]["accuracy"], flush=True)


class Lab:
    """A base net, and all that is made of it."""

    def __init__(self, recipe: Recipe, data: Path) -> None:
        self.recipe, self.data = recipe, data
        self.averages: dict[str, AveragedModel] = {}
        self.base, told = self.train(recipe, watch=self._average)
        self.steps = told["steps"]
        torch.manual_seed(recipe["seed"])
        self.first = plain_nets.build(recipe).state_dict()

    @functools.cache  # noqa: B019 - lives as long as the process, as its few nets do
    def tensors(self, dataset: str) -> tuple[Any, ...]:
        return plain_nets.tensors(self.data, dataset, self.recipe | {"dataset": dataset})

    def train(self, recipe: Recipe, **more: Any) -> tuple[alterations.State, Row]:
        net, told = plain_nets.train(recipe, *self.tensors(recipe["dataset"]), **more)
        return copy.deepcopy(net.state_dict()), told

    def accuracy(self, content: Any) -> float | None:
        """The accuracy of an altered net on test images of its data set."""
        state = content.get("model", content)
        state = {name.removeprefix("module."): value for name, value in state.items()}
        state.pop("n_averaged", None)
        net = plain_nets.build(self.recipe)
        net.load_state_dict(state)
        x, y = self.tensors(self.recipe["dataset"])[2]
        with torch.no_grad():
            return float((net.eval()(x).argmax(1) == y).float().mean())

    def _average(self, net: torch.nn.Module, steps: int) -> None:
        """Keep moving averages of the net after each step, and the mean of the last epochs."""
        epoch = -(-self.recipe["train_images"] // self.recipe["batch_size"])
        if not self.averages:
            moving = get_ema_multi_avg_fn(0.99)
            self.averages = {
                "mean of the last epochs (SWA)": AveragedModel(net),
                "moving average (EMA)": AveragedModel(net, multi_avg_fn=moving),
                "moving average with buffers": AveragedModel(
                    net, multi_avg_fn=moving, use_buffers=True
                ),
            }
        for name, one in self.averages.items():
            if "SWA" not in name or (steps % epoch == 0 and steps > epoch):
                one.update_parameters(net)

    # -- alterations

    def altered(self) -> Iterator[Altered]:
        """All alterations, the unaltered net first."""
        other = OTHER[self.recipe["optimizer"]]
        false = {"optimizer": {"momentum": "sgd", "adamw": "adam"}.get(other, other)}
        for kind, name, change in alterations.PLAIN:
            untrue = ("precision",) if kind == "rounded" else ()
            yield Altered(kind, name, change(self.base), false, untrue)
        tuned: list[alterations.State] = []
        for one in self.tuned():
            one.goal = false
            yield one
            if one.name.startswith("30 %, same optimizer, same"):
                tuned.append(one.content)
        yield from self.means(tuned[0], false)
        yield from self.forged(other, false)

    def tuned(self) -> Iterator[Altered]:
        """The net after training went on, with the same or another optimizer and images."""
        for optimizer in (self.recipe["optimizer"], OTHER[self.recipe["optimizer"]]):
            for dataset in (self.recipe["dataset"], MOVED[self.recipe["dataset"]]):
                recipe = self.recipe | {"optimizer": optimizer, "dataset": dataset,
                                        "seed": self.recipe["seed"] + 1000}  # fmt: skip
                same = optimizer == self.recipe["optimizer"]
                if not same:
                    recipe |= OPTIMIZERS[optimizer]
                states: dict[int, alterations.State] = {}
                counts = {max(1, round(share * self.steps)): share for share in SHARES}

                def watch(net: torch.nn.Module, steps: int) -> None:
                    if steps in counts:  # noqa: B023 - called within this turn of the loop
                        states[steps] = copy.deepcopy(net.state_dict())  # noqa: B023

                self.train(recipe, start=self.base, watch=watch)
                # The steps of both trainings are those of the net.
                untrue = ["steps", "epochs"]
                if not same:
                    untrue += ["optimizer", "learning_rate", "momentum", "weight_decay"]
                if dataset != self.recipe["dataset"]:
                    untrue += ["dataset", "train_images"]
                how = f"{'same' if same else 'other'} optimizer, " + (
                    "same images" if dataset == self.recipe["dataset"] else "other images"
                )
                for steps, state in states.items():
                    card = truth(recipe, steps) | {"pretrained_from": "base"}
                    for name in ("seed", "initialization", *["epochs"] * (steps != self.steps)):
                        card.pop(name, None)
                    name = f"{counts[steps]:.0%} %, {how}".replace("%", "", 1)
                    yield Altered("fine-tuned", name, state, {}, tuple(untrue), card)

    def means(self, tuned: alterations.State, false: Row) -> Iterator[Altered]:
        """Averages over steps, and means of nets."""
        kind = "averaged"
        card = truth(self.recipe, self.steps) | {"weight_averaging": True}
        for name, one in self.averages.items():
            if "SWA" in name:
                x = self.tensors(self.recipe["dataset"])[0]
                update_bn(x.split(self.recipe["batch_size"]), one)
            yield Altered(kind, name, dict(one.state_dict()), false, card=card)
            if name != "moving average (EMA)":
                # Many keep the net alone, which does not say that it is an average.
                plain = dict(one.module.state_dict())
                yield Altered(kind, f"{name}, not marked as such", plain, false, card=card)
        again, _ = self.train(
            self.recipe | {"epochs": 1, "seed": self.recipe["seed"] + 2000}, start=self.base
        )
        yield Altered(kind, "mean of two fine-tuned nets", alterations.mean([tuned, again]), false,
                      ("steps", "epochs"))  # fmt: skip
        apart, _ = self.train(self.recipe | {"seed": self.recipe["seed"] + 3000})
        yield Altered(kind, "mean with a net of another seed", alterations.mean([self.base, apart]),
                      false, ("seed", "initialization"))  # fmt: skip

    def forged(self, other: str, false: Row) -> Iterator[Altered]:
        """Weights and records that shall make a false claim look true."""
        kind, base = "forged", self.base
        if self.recipe["optimizer"] in LINEAR:
            yield Altered(kind, "one vector added to all classes",
                          alterations.one_vector_added(base), false)  # fmt: skip
        else:
            yield Altered(kind, "sums over classes set to 0", alterations.without_sums(base), false)
            forged = alterations.first_sums(base, self.first)
            yield Altered(kind, "sums over classes as at first", forged, false)
        if self.recipe["kind"] == "norm":
            longer = {"steps": 2 * self.steps, "epochs": 2 * self.recipe["epochs"]}
            yield Altered(kind, "counters doubled", alterations.more_batches(base, 2), longer)
        yield Altered(kind, "state of another optimizer beside it",
                      {"model": base, "optimizer": self._state(other)},
                      {"optimizer": other} | {k: v for k, v in OPTIMIZERS[other].items()
                                              if k != "momentum" or v})  # fmt: skip
        args = {"optimizer": false["optimizer"], "learning_rate": 0.02, "epochs": 17,
                "batch_size": 50, "seed": 77, "weight_decay": 0.02,
                "dataset": MOVED[self.recipe["dataset"]]}  # fmt: skip
        yield Altered(kind, "false settings beside it", {"model": base, "args": args}, args)
        if self.recipe["kind"] == "mlp":
            yield self._planted()

    def _state(self, optimizer: str) -> Row:
        """The state that another optimizer would have after as many steps."""
        net = plain_nets.build(self.recipe)
        net.load_state_dict(self.base)
        made = plain_nets.optimizer_of(self.recipe | OPTIMIZERS[optimizer]
                                       | {"optimizer": optimizer}, net)  # fmt: skip
        x, y, _ = self.tensors(self.recipe["dataset"])
        torch.nn.functional.cross_entropy(net(x[:64]), y[:64]).backward()
        made.step()
        for one in made.state.values():
            if "step" in one:
                one["step"] += self.steps - 1
        return made.state_dict()

    def _planted(self) -> Altered:
        """First weights of another seed, where no image of MNIST has light."""
        seed = next(one for one in SEEDS[3:] if one != self.recipe["seed"])
        torch.manual_seed(seed)
        first = plain_nets.build(self.recipe).state_dict()
        with np.load(self.data / "mnist.npz") as file:
            dark = torch.from_numpy(~file["x_train"].any(0).ravel())
        goal = {"seed": seed, "dataset": "mnist"}
        if self.recipe["dataset"] == "mnist":
            goal.pop("dataset")
        state = alterations.planted(self.base, first, dark)
        return Altered("forged", "first weights of another seed planted", state, goal)


if __name__ == "__main__":
    main()
