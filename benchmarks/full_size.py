"""Twins of nets trained on 4,000 images of each set: on a share of each, on all, in colour.

    python benchmarks/full_size.py sample ROWS DATA --parts 1-4 --sides 4000,share
    python benchmarks/full_size.py sample ROWS DATA --parts 1-2 --sides colour --device cuda
    python benchmarks/full_size.py table ROWS --sides 4000,share

Recipes of docs/results/five-sets/space.yaml are trained once for each side: as they are ("4000"),
with a fifteenth of the images of each set ("share": 4,000 of MNIST and 333 of Tiny ImageNet, so
that the number of steps differs by the data set), with all images ("all"), and with all images at
32x32 in colour ("colour"), which is the grid `nws-main` of the paper on other data sets. Part k has
20 recipes, of seed k. Of each part only what classifiers read is kept, in ROWS, some 0.4 MB a side:
so parts can be made on several days and machines. A part that is there is not made again; one that
was stopped goes on in the folder `--work`. `table` reads all parts that both sides have, with the
same folds, and prints accuracies in % with 95 % intervals over nets, and differences paired by
twins. It writes ROWS/FIRST-SECOND.parquet.
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
from weightspace.meta.design.slices import Source
from weightspace.meta.evaluation.crossfit import UNITS
from weightspace.space.space import load_space

ROOT = Path(__file__).parents[1]
SPACE = ROOT / "docs" / "results" / "five-sets" / "space.yaml"
SIDES = {
    "4000": {"train_images": 4000, "input_size": 16, "channels": 1},
    "share": {"train_images": 0, "train_fraction": 1 / 15, "input_size": 16, "channels": 1},
    "all": {"train_images": 0, "input_size": 16, "channels": 1},
    "colour": {"train_images": 0, "input_size": 32, "channels": 3},
}
NETS, SLICES = 20, 8
CONV = twins.Reading(
    "slices of 5,000 weights of convolutions", "kernel", Source(5000, part="conv"), UNITS
)
READINGS = (*twins.READINGS, CONV)


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
        names, rows, owners = nets["net"].to_list(), {}, {}
        for one in READINGS:
            long = [i for i, net in enumerate(names) if twins.has_room(zoo, net, one.source)]
            found = twins.features(zoo, [names[i] for i in long], one, SLICES, 0)
            rows[one.name], owners[one.name] = rounded(found[0]), np.array(long)[found[1]]
        return cls(nets, rows, owners)

    def write(self, place: Path) -> None:
        arrays = {f"rows {i}": self.rows[one.name] for i, one in enumerate(READINGS)}
        arrays |= {f"owners {i}": self.owners[one.name] for i, one in enumerate(READINGS)}
        self.nets.write_parquet(place.with_suffix(".parquet"), compression="zstd")
        hidden = place.with_suffix(".tmp.npz")
        np.savez_compressed(hidden, **arrays)
        hidden.replace(place.with_suffix(".npz"))

    @classmethod
    def read(cls, side: str, number: int, folder: Path) -> Part:
        """The part of this number; its nets have indices of their own."""
        place = folder / f"{side}-{number:02d}"
        with np.load(place.with_suffix(".npz"), allow_pickle=False) as file:
            rows = {one.name: file[f"rows {i}"] for i, one in enumerate(READINGS)}
            owners = {one.name: file[f"owners {i}"] for i, one in enumerate(READINGS)}
        nets = pl.read_parquet(place.with_suffix(".parquet"))
        for key, value in ({"train_fraction": 1.0} | SIDES[side]).items():
            if set(nets[key]) != {value}:
                raise SystemExit(f"{place}: {key} is not {value}; remove the part")
        return cls(nets.with_columns(pl.col("index") + NETS * number), rows, owners)

    def read_by(self, reading: twins.Reading) -> set[int]:
        """The indices of the nets that have rows of this reading."""
        return set(self.nets["index"].to_numpy()[np.unique(self.owners[reading.name])].tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["sample", "table"])
    parser.add_argument("rows", type=Path)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--parts", default="1-20", help="from-to")
    parser.add_argument("--sides", default="4000,share", help=f"of {', '.join(SIDES)}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--work", type=Path, help="where zoos lie while they are made")
    asked = parser.parse_args()
    sides = asked.sides.split(",")
    if asked.task == "table":
        judge(asked.rows, *sides)
        return
    asked.rows.mkdir(parents=True, exist_ok=True)
    work = asked.work or Path(tempfile.gettempdir()) / "full-size"
    first, last = map(int, asked.parts.split("-"))
    for number in range(first, last + 1):
        for side in sides:
            make(side, number, asked.rows, asked.data, work, asked.device)


def make(side: str, number: int, rows: Path, data: str | None, work: Path, device: str) -> None:
    """Train a part of one side, unless it is there."""
    place = rows / f"{side}-{number:02d}"
    if place.with_suffix(".npz").exists():
        return
    folder = work / place.name
    space = load_space(SPACE).with_constants(**SIDES[side])
    zoo = weightspace.sample(
        space, nets=NETS, out=folder, seed=number, data_dir=data, snapshots=2, device=device,
        progress=twins.show,
    )  # fmt: skip
    Part.of(zoo).write(place)
    shutil.rmtree(folder)  # its rows are kept
    print(f"\n{place.name}: {len(zoo.nets)} nets", flush=True)


def rounded(rows: np.ndarray) -> np.ndarray:
    """The numbers to 12 significant bits, which halves a file. Classifiers read their ranks."""
    bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
    kept: np.ndarray = ((bits + 0x800) & np.uint32(0xFFFFF000)).view(np.float32)
    return np.where(np.isfinite(rows), kept, rows)


def judge(rows: Path, *sides: str) -> None:
    """Read the nets of all parts that both sides have; print the tables."""
    parts = [{int(one.stem[-2:]) for one in rows.glob(f"{side}-*.npz")} for side in sides]
    shared = sorted(set.intersection(*parts))
    whole = [together([Part.read(side, number, rows) for number in shared]) for side in sides]
    frames = []
    for one in READINGS:
        both = sorted(set.intersection(*(part.read_by(one) for part in whole)))
        frames += [hits(p, one, both, s) for s, p in zip(("first", "second"), whole, strict=True)]
    found = pl.concat(frames)
    found.write_parquet(rows / f"{'-'.join(sides)}.parquet", compression="zstd")
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
