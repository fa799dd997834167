"""How often a property that is not in the weights is called encoded: labels permuted over nets.

Each repeat permutes the rows of the table of nets of a real zoo against its vectors. So every
property keeps its levels, but its labels no longer belong to the weights. All properties are then
evaluated as usual. The tests of one repeat share nets and permutation, so they are not independent.

    weightspace sample demo --nets 80 --seed 5 --evaluation-images 200 --out zoo
    python benchmarks/null.py zoo --repeats 40

For slices and for whole nets, it prints how many tests are called encoded, and how many intervals
alone lie above chance.
"""

from __future__ import annotations

import argparse

import numpy as np
import polars as pl

from weightspace.meta import evaluate
from weightspace.report.claims.headline import headline
from weightspace.zoo import Zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo")
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--slice-length", type=int, default=1000)
    asked = parser.parse_args()
    zoo = Zoo(asked.zoo)
    nets = zoo.nets
    names = [*zoo.space.properties, "seed"]
    tests = {unit: np.zeros(3, int) for unit in ("slice", "net")}
    for repeat in range(asked.repeats):
        order = np.random.default_rng(repeat).permutation(nets.height)
        zoo.nets = nets.with_columns(nets.select(pl.col(names))[order])
        frame = evaluate(zoo, slice_length=asked.slice_length, seeds=(repeat,)).frame()
        for unit, counts in tests.items():
            lines = headline(frame, unit).lines
            counts += [
                len(lines),
                sum(line.shown for line in lines),
                sum(line.low > line.chance for line in lines),
            ]
    for unit, (total, encoded, above) in tests.items():
        print(f"{unit:6} {total} tests: {encoded} encoded, {above} intervals above chance")


if __name__ == "__main__":
    main()
