"""How well populations around a net read nets that a plain PyTorch loop trained.

    python benchmarks/around.py sample FOLDER mlp DATA --minutes 20
    python benchmarks/tutorial_nets.py NETS DATA mlp --nets 60
    python benchmarks/around.py read FOLDER mlp DATA NETS

`sample` samples a population around a net of the architecture, of which nothing is claimed but the
data, until the budget is spent. `read` reads each net of NETS by it, and prints how often answers
are right; it writes them into NETS/KIND-read.parquet. DATA is a folder with mnist.npz and
cifar10.npz. A net is never read by a population of which it is part.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy import stats
from tutorial_nets import build, recipe_of

from weightspace.audit import Claims, audit
from weightspace.audit.around.looking import AroundReader
from weightspace.audit.around.population import population
from weightspace.audit.around.space import space_around
from weightspace.checkpoints import read_checkpoint
from weightspace.images import load
from weightspace.sampling.modules import modules_known
from weightspace.zoo import Zoo

DATA = {"mlp": "mnist", "lenet": "mnist", "resnet": "cifar10"}
SAID = {"exponential": "constant"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["sample", "read"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("kind", choices=DATA)
    parser.add_argument("data", type=Path)
    parser.add_argument("nets", type=Path, nargs="?")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--images", type=int, default=0, help="train on so many; 0 for all")
    asked = parser.parse_args()
    if asked.task == "sample":
        sample(asked)
    else:
        read(asked)


def sample(asked: argparse.Namespace) -> None:
    """Sample the population around an untrained net: its weights tell nothing."""
    images = load(DATA[asked.kind], asked.data)
    asked.folder.mkdir(parents=True, exist_ok=True)
    file = asked.folder / f"{asked.kind}.pt"
    torch.save(build(recipe_of(asked.kind, 0)).state_dict(), file)
    claims = Claims.of({"train_images": asked.images} if asked.images else {})
    module = None
    if asked.kind == "resnet":
        module = f"{Path(__file__).with_name('around_resnet.py')}:build"
    name = None if module is None else "around_resnet.py:build"
    reads = frozenset({"activation"})
    space = space_around(audit(file).facts, (), claims, images, name, reads)
    zoo = population(
        space, asked.folder / asked.kind, 60 * asked.minutes, data_dir=str(asked.data),
        module=module, progress=lambda *done: print(*done, end="\r"),
    )  # fmt: skip
    print(f"\n{len(zoo.nets)} nets")


def read(asked: argparse.Namespace) -> None:
    """Read all nets of a folder, and print the table."""
    folder = asked.folder / asked.kind
    zoo = Zoo(folder)
    images = load(DATA[asked.kind], asked.data)
    module = None
    if asked.kind == "resnet":
        module = f"{Path(__file__).with_name('around_resnet.py')}:build"
    rows = []
    with modules_known(zoo.space, module):
        reader = AroundReader(zoo, images, folder)
        for place in sorted(asked.nets.glob(f"{asked.kind}-*.json")):
            recipe = json.loads(place.read_text())
            found, rate = reader.read(read_checkpoint(place.with_suffix(".pt")).vector)
            for name, one in found.items():
                truth = str(recipe[name]).lower() if name in recipe else ""
                levels = [SAID.get(level, level) for level in one.levels]
                best = levels[int(np.argmax(one.probabilities))]
                rows.append(
                    {"net": place.stem, "property": name, "truth": truth, "best": best,
                     "named": one.level is not None, "probability": one.probability,
                     "right": one.right, "possible": truth in
                     [SAID.get(level, level) for level in one.possible],
                     "known": truth in levels}
                )  # fmt: skip
            if rate is not None:
                true = recipe["learning_rate"]
                rows.append(
                    {"net": place.stem, "property": "learning_rate", "truth": str(true),
                     "best": str(rate.value), "named": True, "probability": None,
                     "right": rate.within, "possible": rate.low <= true <= rate.high,
                     "known": True}
                )  # fmt: skip
    answers = pl.DataFrame(rows, infer_schema_length=None)
    answers.write_parquet(asked.nets / f"{asked.kind}-read.parquet")
    table(answers, reader)


def table(answers: pl.DataFrame, reader: AroundReader) -> None:
    """Print a line for each property, as in docs/around.md."""
    ability = {one.property: one for one in reader.model.abilities}
    nets = answers["net"].n_unique()
    print(f"{reader.nets} nets of the population, {nets} nets of the plain loop")
    print("| property | held-out nets | other program | interval | ECE | covered | named at 90 % |")
    for (name,), own in answers.group_by("property", maintain_order=True):
        own = own.filter(pl.col("known"))
        if not len(own):
            continue
        held = f"{ability[name].accuracy:.0%}" if name in ability else "-"
        right = _right(name, own)
        low, high = _interval(int(right.sum()), len(right))
        sure = own.with_columns(hit=right).filter(pl.col("named") & (pl.col("probability") >= 0.9))
        hits = f"{sure['hit'].sum()} of {len(sure)}" if name != "learning_rate" else "-"
        print(
            f"| `{name}` | {held} | {right.mean():.0%} | {low:.0%} to {high:.0%} | "
            f"{_ece(own, right)} | {own['possible'].mean():.0%} | {hits} |"
        )
        if name == "optimizer":
            linear = [x in ("sgd", "momentum") for x in own["truth"]]
            same = np.array(linear) == np.array([x in ("sgd", "momentum") for x in own["best"]])
            low, high = _interval(int(same.sum()), len(same))
            print(f"| family | | {same.mean():.0%} | {low:.0%} to {high:.0%} | | | |")
        if name == "batch_size":
            ratio = np.log2(own["best"].cast(float) / own["truth"].cast(float)).abs()
            near = (ratio <= 1).to_numpy()
            low, high = _interval(int(near.sum()), len(near))
            print(f"| within a factor of 2 | | {near.mean():.0%} | {low:.0%} to {high:.0%} | | | |")


def _right(name: str, own: pl.DataFrame) -> np.ndarray:
    if name == "learning_rate":
        ratio = own["best"].cast(float) / own["truth"].cast(float)
        return np.abs(np.log(ratio.to_numpy())) <= math.log(2)
    return (own["best"] == own["truth"]).to_numpy()


def _ece(own: pl.DataFrame, right: np.ndarray, bins: int = 5) -> str:
    """The expected calibration error in bins of equal counts."""
    if own["probability"].null_count():
        return "-"
    chances = own["probability"].to_numpy()
    parts = np.array_split(np.argsort(chances), bins)
    error = sum(len(p) * abs(right[p].mean() - chances[p].mean()) for p in parts if len(p))
    return f"{error / len(chances):.2f}"


def _interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share, Clopper and Pearson's."""
    low = stats.beta.ppf(0.025, hits, count - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, count - hits) if hits < count else 1.0
    return float(low), float(high)


if __name__ == "__main__":
    main()
