"""Zoos for tests that need nets but no training: known signal, known noise, in a second."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa

from weightspace.networks import Layout, Plan
from weightspace.space import Choice, Constant, Recipe, Space, Uniform
from weightspace.zoo import Writer, Zoo, stratified
from weightspace.zoo.reading.rows import Rows

SNAPSHOTS = 5
SPACE = Space(
    "synthetic",
    {
        "dataset": Choice(("digits", "shapes", "strokes")),
        "learning_rate": Uniform(2e-4, 5e-3),
        "batch_size": Choice((32, 64)),
        "augmentation": Choice((False, True)),
        "optimizer": Choice(("adam", "rmsprop", "momentum")),
        "activation": Choice(("relu", "tanh")),
        "initialization": Choice(("constant", "normal", "glorot_uniform", "glorot_normal")),
        "filter_size": Choice((3, 5, 7)),
        "depth_fc": Constant(1),
        "depth_conv": Constant(2),
        "blocks": Constant(2),
        "width_conv": Constant(4),
        "width_fc": Constant(40),
        "input_size": Constant(16),
        "epochs": Constant(4),
    },
)
"""Vectors of 6,596 to 8,356 values, so that a slice of 5,000 fits; 396 or more in part conv."""

ALIGNED = Space("aligned", SPACE.distributions | {"filter_size": Constant(5)})
"""The same nets with one layout."""

_SPREAD = {"constant": 0.05, "normal": 0.085, "glorot_uniform": 0.14, "glorot_normal": 0.24}


def synthetic_zoo(
    path: str | Path, nets: int = 60, seed: int = 0, unit_size: int = 16, space: Space = SPACE
) -> Zoo:
    """Write and open a zoo of `nets` made-up nets with 5 snapshots each.

    Encoded, at every snapshot: initialization (the spread of all weights, with enough variation
    between nets to be confused sometimes). Encoded more and more from the first snapshot, where it
    is absent, to the last: filter_size (correlation of weights at that lag), and weakly optimizer
    (heavier tails). In conv weights alone, growing: augmentation (their mean). Nothing else is.
    """
    writer = Writer(path, space=space, seed=seed, info={"snapshots": SNAPSHOTS})
    groups: dict[str, list[tuple[int, Recipe, Layout]]] = defaultdict(list)
    recipes = space.draw(nets, seed)
    split = stratified(space.levels(recipes), seed)
    for index, recipe in enumerate(recipes):
        layout = Plan.from_recipe(recipe).layout()
        groups[layout.key].append((index, recipe, layout))
    for key, group in groups.items():
        for first in range(0, len(group), unit_size):
            _write_unit(writer, f"{key}-{first:05d}", group[first : first + unit_size], split)
    return Zoo(path)


def _write_unit(
    writer: Writer, name: str, group: list[tuple[int, Recipe, Layout]], split: list[str]
) -> None:
    ids = [recipe.net for _, recipe, _ in group]
    net_rows, rows = [], []
    with writer.unit(name, nets=ids, layout=group[0][2], snapshots=SNAPSHOTS) as unit:
        for index, recipe, layout in group:
            for k, vector in enumerate(_vectors(recipe, layout), 1):
                unit.put(recipe.net, k, vector)
                rows.append(_moment(recipe, k))
            net_rows.append(
                {
                    "net": recipe.net,
                    "index": index,
                    "split": split[index],
                    **recipe.to_dict(),
                    "steps": 100 * (SNAPSHOTS - 1),
                    "diverged": False,
                    "diverged_step": None,
                    "dead": False,
                }
            )
        unit.commit(nets=net_rows, snapshots=rows)


def _moment(recipe: Recipe, k: int) -> dict[str, object]:
    grown = (k - 1) / (SNAPSHOTS - 1)
    best = 0.6 + 0.3 * np.random.default_rng(recipe.seed).random()
    values = {"net": recipe.net, "snapshot": k, "step": 100 * (k - 1), "epoch": float(k - 1)}
    for of in ("train", "validation", "test"):
        accuracy = 0.1 + (best - 0.1) * grown
        values |= {f"{of}_loss": -np.log(accuracy), f"{of}_accuracy": accuracy}
    return values


def _vectors(recipe: Recipe, layout: Layout) -> list[np.ndarray]:
    """The net's snapshots, each float32 [layout.size]."""
    rng = np.random.default_rng([recipe.seed, 1])
    spread = _SPREAD[recipe.initialization] * np.exp(0.12 * rng.normal())
    start, drift = rng.normal(size=(2, layout.size))
    drift += 0.6 * np.roll(drift, recipe.filter_size)
    if recipe.optimizer == "rmsprop":
        drift *= np.abs(drift)
    if recipe.optimizer == "momentum":
        drift *= 0.7
    vectors = []
    for k in range(SNAPSHOTS):
        grown = k / (SNAPSHOTS - 1)
        vector = spread * (np.sqrt(1 - 0.7 * grown) * start + 0.7 * grown * drift)
        for tensor in layout.tensors:
            part = vector[tensor.offset : tensor.stop]
            if tensor.part == "conv" and tensor.role == "weight" and recipe.augmentation:
                part += 0.3 * grown * spread
            if tensor.role in ("scale", "running_var"):
                np.abs(part, out=part)
                part += 1
        vectors.append(vector.astype(np.float32))
    return vectors


def lacking(zoo: Zoo, nets: int, snapshot: int) -> Zoo:
    """The zoo as if its first `nets` nets had been stopped before this snapshot."""
    short = Zoo(zoo.path)
    stopped = set(zoo.nets["net"][:nets])
    table, _ = zoo._ordered
    pairs = zip(table["net"].to_pylist(), table["snapshot"].to_pylist(), strict=True)
    kept = table.filter(pa.array([net not in stopped or n < snapshot for net, n in pairs]))
    owners = np.array([short._position[net] for net in kept["net"].to_pylist()], np.int64)
    short._ordered = kept, Rows.of(len(zoo.nets), owners, kept)
    return short
