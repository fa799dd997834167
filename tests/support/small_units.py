"""Units of made-up vectors that can be recomputed; run as a program it writes them to a zoo.

`python small_units.py PATH FIRST STOP SHUFFLE` writes the units FIRST..STOP-1 that are not yet
there, in an order that SHUFFLE decides.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.networks import Layout, Plan, TensorSpec
from weightspace.space import Choice, Recipe, Space
from weightspace.zoo import Writer

SPACE = Space("small", {"dataset": Choice(("digits", "shapes"))})
SNAPSHOTS = 3
NETS = 4
_SMALL = Recipe(dataset="digits", width_conv=1, width_fc=4, depth_fc=1, filter_size=3, input_size=8)
LAYOUT = Plan.from_recipe(_SMALL).layout()


def tensor(*shape: int, role: str = "weight", part: str = "fc", offset: int = 0) -> TensorSpec:
    return TensorSpec(f"t{offset}", role, part, 0, shape, offset)


def flat(size: int) -> Layout:
    """The least layout of a size: one dense tensor."""
    return Layout((tensor(size),))


def recipes(unit: int) -> list[Recipe]:
    return [replace(_SMALL, seed=unit * NETS + i) for i in range(NETS)]


def vector(recipe: Recipe, snapshot: int) -> np.ndarray:
    return np.random.default_rng([recipe.seed, snapshot]).normal(size=LAYOUT.size).astype("f4")


def net_row(recipe: Recipe, index: int = 0, **more: Any) -> dict[str, Any]:
    row = {"net": recipe.net, "index": index, "split": "train", "steps": 2, **recipe.to_dict()}
    return row | {"diverged": False, "dead": False} | more


def moment(net: str, snapshot: int, **more: Any) -> dict[str, Any]:
    return {"net": net, "snapshot": snapshot, "step": snapshot - 1, "epoch": 0.5} | more


def open_writer(path: Path, dtype: str = "float32") -> Writer:
    return Writer(path, space=SPACE, seed=0, info={"snapshots": SNAPSHOTS}, dtype=dtype)


def write(writer: Writer, unit: int, name: str = "") -> None:
    born = recipes(unit)
    name = name or f"unit-{unit:03d}"
    with writer.unit(name, nets=[r.net for r in born], layout=LAYOUT, snapshots=SNAPSHOTS) as out:
        for recipe, k in pairs(unit):
            out.put(recipe.net, k, vector(recipe, k))
        out.commit(
            nets=[net_row(r, r.seed) for r in born],
            snapshots=[moment(r.net, k, test_accuracy=0.1 * k) for r, k in pairs(unit)],
        )


def pairs(unit: int) -> Iterator[tuple[Recipe, int]]:
    return ((recipe, k) for recipe in recipes(unit) for k in range(1, SNAPSHOTS + 1))


if __name__ == "__main__":
    place, first, stop, shuffle = Path(sys.argv[1]), *map(int, sys.argv[2:])
    ours = open_writer(place)
    for number in np.random.default_rng(shuffle).permutation(np.arange(first, stop)):
        if f"unit-{number:03d}" not in ours.finished:
            write(ours, int(number))
