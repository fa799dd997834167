"""Twins at full size: nets trained on all images of each set, and on 4,000 of each.

    python benchmarks/full_size.py sample ROWS DATA --parts 1-4
    python benchmarks/full_size.py table ROWS

Recipes of docs/results/five-sets/space.yaml are trained twice: as they are, and with `train_images:
0`. Part k has 20 recipes, of seed k. Of each part only what classifiers read is kept, in ROWS, some
0.4 MB a side: so parts can be made on several days and machines. A part that is there is not made
again; one that was stopped goes on in the folder `--work`. `table` reads all parts that both sides
have, with the same folds, and prints accuracies in % with 95 % intervals over nets, and differences
paired by twins. It writes ROWS/hits.parquet.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import twins

import weightspace
from weightspace.meta.design.labels import labels_from
from weightspace.space.space import load_space

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "docs" / "results" / "five-sets" / "space.yaml"
SIDES = {"4000": 4000, "all": 0}
NETS, SLICES = 20, 8
READINGS = twins.READINGS


@dataclass(frozen=True)
class Part:
    """The nets of one side, and for each reading its rows and the place of each row's net."""

    nets: pl.DataFrame
    rows: dict[str, np.ndarray]
    owners: dict[str, np.ndarray]

    @classmethod
    def of(cls, zoo: weightspace.Zoo) -> Part:
        """What classifiers read of the nets of a zoo that did not diverge."""
        nets = zoo.nets.filter(~pl.col("diverged").fill_null(False))
        names = nets["net"].to_list()
        rows, owners = {}, {}
        for one in READINGS:
            rows[one.name], owners[one.name] = twins.features(zoo, names, one, SLICES, 0)
        return cls(nets, rows, owners)

    def write(self, place: Path) -> None:
        arrays = {f"rows {i}": self.rows[one.name] for i, one in enumerate(READINGS)}
        arrays |= {f"owners {i}": self.owners[one.name] for i, one in enumerate(READINGS)}
        self.nets.write_parquet(place.with_suffix(".parquet"), compression="zstd")
        hidden = place.with_suffix(".tmp.npz")
        np.savez_compressed(hidden, **arrays)
        hidden.replace(place.with_suffix(".npz"))

    @classmethod
    def read(cls, place: Path, number: int) -> Part:
        """The part of this number; its nets have indices of their own."""
        with np.load(place.with_suffix(".npz"), allow_pickle=False) as file:
            rows = {one.name: file[f"rows {i}"] for i, one in enumerate(READINGS)}
            owners = {one.name: file[f"owners {i}"] for i, one in enumerate(READINGS)}
        nets = pl.read_parquet(place.with_suffix(".parquet"))
        return cls(nets.with_columns(pl.col("index") + NETS * number), rows, owners)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["sample", "table"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--parts", default="1-20", help="from-to")
    parser.add_argument("--work", type=Path, help="where zoos lie while they are made")
    asked = parser.parse_args()
    if asked.task == "table":
        judge(asked.rows)
        return
    asked.rows.mkdir(parents=True, exist_ok=True)
    work = asked.work or Path(tempfile.gettempdir()) / "full-size"
    first, last = map(int, asked.parts.split("-"))
    for number in range(first, last + 1):
        for side in SIDES:
            make(side, number, asked.rows, asked.data, work)


def make(side: str, number: int, rows: Path, data: str | None, work: Path) -> None:
    """Train a part of one side, unless it is there."""
    place = rows / f"{side}-{number:02d}"
    if place.with_suffix(".npz").exists():
        return
    folder = work / place.name
    space = load_space(SPACE).with_constants(train_images=SIDES[side])
    zoo = weightspace.sample(
        space, nets=NETS, out=folder, seed=number, data_dir=data, snapshots=2, progress=twins.show
    )
    Part.of(zoo).write(place)
    shutil.rmtree(folder)  # its rows are kept
    print(f"\n{place.name}: {len(zoo.nets)} nets", flush=True)


def judge(rows: Path) -> None:
    """Read the nets of all parts that both sides have; print the tables."""
    parts = {side: {one.stem[-2:] for one in rows.glob(f"{side}-*.npz")} for side in SIDES}
    shared = sorted(set.intersection(*parts.values()))
    sides = {
        side: together([Part.read(rows / f"{side}-{n}", int(n)) for n in shared]) for side in SIDES
    }
    both = sorted(set.intersection(*(set(one.nets["index"]) for one in sides.values())))
    frames = []
    for side, part in zip(("first", "second"), sides.values(), strict=True):
        frames += [hits(part, one, both, side) for one in READINGS]
    found = pl.concat(frames)
    found.write_parquet(rows / "hits.parquet", compression="zstd")
    twins.table(found)


def together(parts: list[Part]) -> Part:
    """Several parts as one."""
    starts = np.cumsum([0] + [len(one.nets) for one in parts[:-1]])
    rows = {r.name: np.concatenate([one.rows[r.name] for one in parts]) for r in READINGS}
    owners = {
        r.name: np.concatenate(
            [one.owners[r.name] + start for one, start in zip(parts, starts, strict=True)]
        )
        for r in READINGS
    }
    return Part(pl.concat([one.nets for one in parts]), rows, owners)


def hits(part: Part, reading: twins.Reading, both: list[int], side: str) -> pl.DataFrame:
    """The hits of one reading on the twins of one side, as `twins.table` takes them."""
    places = dict(zip(part.nets["index"].to_list(), range(len(part.nets)), strict=True))
    order = np.array([places[index] for index in both])
    labels = labels_from(part.nets[order], load_space(SPACE))
    codes, groups = labels.matrix, labels.groups
    own = np.full(len(part.nets), -1)
    own[order] = np.arange(len(order))
    kept = own[part.owners[reading.name]] >= 0
    rows, owners = part.rows[reading.name][kept], own[part.owners[reading.name]][kept]
    # Seeds are those of the folds; slices are drawn once.
    return twins.judged(lambda seed: (rows, owners), reading, side, both, labels, codes, groups)


if __name__ == "__main__":
    main()
