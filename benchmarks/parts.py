"""Slices of all weights, of convolutions and of dense layers of the same nets, beside the paper.

    python benchmarks/parts.py ZOO OUT.parquet
    python benchmarks/parts.py --table OUT.parquet

Each net of the zoo whose convolutions and dense layers both have 5,000 weights is read from eight
slices of 5,000 weights of each kind by `kernel`, with 5 folds by net and seeds 0, 1 and 2. OUT has
the hits of every net. `--table` prints accuracies of slices in % with 95 % intervals over nets. It
compares each kind with the paper's figures (see `paper.py`): the mean size of the differences over
properties, and Spearman's correlation of what is above chance, as a share of what can be.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import twins
from paper import PAPER
from scipy.stats import spearmanr

from weightspace.meta import labels_of
from weightspace.meta.design.slices import Source
from weightspace.zoo import Zoo

LENGTH, SLICES = 5000, 8
PARTS = ("all", "conv", "fc")
CLASSIFIER = "kernel"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo", nargs="?")
    parser.add_argument("out", type=Path)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if not asked.table:
        zoo = Zoo(asked.zoo)
        pl.concat(hits(zoo, part) for part in PARTS).write_parquet(asked.out, compression="zstd")
    table(pl.read_parquet(asked.out))


def hits(zoo: Zoo, part: str) -> pl.DataFrame:
    """The hits on one kind of slices, of the nets that have all kinds."""
    labels = labels_of(zoo)
    sources = [Source(LENGTH, part=part) for part in PARTS]
    kept = np.flatnonzero(
        [all(twins.has_room(zoo, net, source) for source in sources) for net in labels.nets]
    )
    nets = [labels.nets[i] for i in kept]
    reading = twins.Reading(part, CLASSIFIER, Source(LENGTH, part=part), ("slice",))
    return twins.judged(
        lambda seed: twins.features(zoo, nets, reading, SLICES, seed), reading, part,
        kept.tolist(), labels, labels.matrix[kept], labels.groups[kept],
    )  # fmt: skip


def table(found: pl.DataFrame) -> None:
    print(f"| property | chance | paper | {' | '.join(PARTS)} |")
    print("| --- |" + " ---: |" * (2 + len(PARTS)))
    values = []
    for name, paper in PAPER.items():
        own = found.filter(property=name)
        chance = 100 / own["level"].n_unique()
        rows = [own.filter(reading=part) for part in PARTS]
        cells = [twins.accuracy(one) for one in rows]
        values.append([chance, paper, *(100 * twins.measured(one).value for one in rows)])
        print(f"| {name.replace('_', ' ')} | {chance:.0f} | {paper:g} | {' | '.join(cells)} |")
    chance, paper, *ours = np.array(values).T
    for part, own in zip(PARTS, ours, strict=True):
        rank = spearmanr((own - chance) / (100 - chance), (paper - chance) / (100 - chance))
        print(
            f"\n{part}: mean size of the difference {abs(own - paper).mean():.1f} points, rank "
            f"correlation {rank.statistic:.2f}"
        )
    print(f"\n{found['net'].n_unique():,} nets")


if __name__ == "__main__":
    main()
