"""Two zoos whose spaces differ in one value: the effect of this value on each property, net by net.

    python benchmarks/twins.py FIRST SECOND OUT.parquet
    python benchmarks/twins.py --table OUT.parquet

Two spaces with the same properties, drawn with the same seed, give twins: nets of the same index
whose properties have the same levels. The nets that both zoos have are tested. Their classifiers
are trained on other nets of the same zoo, with the same folds for both zoos. They use slices of all
weights, slices of convolutions alone (shorter, because the smallest nets have few weights there),
and whole nets, with seeds 0, 1 and 2. OUT.parquet has the hits of every net. `--table` prints
accuracies in % with 95 % intervals over nets, and the second minus the first, paired by twins.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from weightspace.meta import CLASSIFIERS, labels_of
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.labels import Labels
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.design.whole import WHOLE_ROWS
from weightspace.meta.evaluation.crossfit import UNITS, cross_predict
from weightspace.meta.statistics.intervals import Interval, crossfitted
from weightspace.meta.statistics.pairs import compare
from weightspace.zoo import Zoo

FOLDS, SEEDS = 5, (0, 1, 2)


@dataclass(frozen=True)
class Reading:
    """A classifier, its input, and the levels of its predictions (slice or net)."""

    name: str
    classifier: str
    source: Source
    units: tuple[str, ...]


READINGS = (
    Reading("slices of 5,000 weights", "kernel", Source(), UNITS),
    Reading("slices of 1,000 weights of convolutions", "kernel", Source(1000, part="conv"), UNITS),
    Reading("whole nets", "layers", Source(), ("net",)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoos", nargs="*", help="two zoos")
    parser.add_argument("out", type=Path)
    parser.add_argument("--slices", type=int, default=8, help="slices per net and seed")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        table(pl.read_parquet(asked.out))
        return
    zoos = [Zoo(path) for path in asked.zoos]
    twins = sorted(set.intersection(*(set(places(zoo)) for zoo in zoos)))
    found = [
        hits(zoo, reading, twins, asked.slices, side)
        for side, zoo in zip(("first", "second"), zoos, strict=True)
        for reading in READINGS
    ]
    pl.concat(found).write_parquet(asked.out)


def places(zoo: Zoo) -> Mapping[int, str]:
    """Index of the draw -> net, for the nets that can be tested."""
    known = dict(zoo.nets.select("net", "index").iter_rows())
    return {known[net]: net for net in labels_of(zoo).nets}


def hits(zoo: Zoo, reading: Reading, twins: list[int], slices: int, side: str) -> pl.DataFrame:
    """A row for each property, level and net: its class, and the mean over seeds of its hits."""
    own = places(zoo)
    nets = [own[index] for index in twins]
    labels = labels_of(zoo)
    order = [labels.nets.index(net) for net in nets]
    codes, groups = labels.matrix[order], labels.groups[order]
    return judged(
        lambda seed: features(zoo, nets, reading, slices, seed), reading, side, twins, labels,
        codes, groups,
    )  # fmt: skip


def judged(
    rows_of: Callable[[int], tuple[np.ndarray, np.ndarray]], reading: Reading, side: str,
    twins: list[int], labels: Labels, codes: np.ndarray, groups: np.ndarray,
) -> pl.DataFrame:  # fmt: skip
    """The same, of the rows that a function gives for each seed, and the net of each row."""
    cells = Cells.build(codes, groups, FOLDS)
    summed = {unit: np.zeros(codes.shape) for unit in reading.units}
    for seed in SEEDS:
        rows, owners = rows_of(seed)
        answers = cross_predict(
            rows, owners, Labelings.of(codes), cells.fold_of(seed), groups,
            CLASSIFIERS[reading.classifier].estimator(seed),
        )  # fmt: skip
        for unit in reading.units:
            summed[unit] += answers.hits(unit)[:, 0, 0]
    return pl.concat(
        frame(reading, unit, side, twins, labels, codes, summed[unit] / len(SEEDS))
        for unit in reading.units
    )


def features(
    zoo: Zoo, nets: list[str], reading: Reading, slices: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of these nets, and the net of each row."""
    kind = CLASSIFIERS[reading.classifier]
    if kind.whole:
        return WHOLE_ROWS[kind.features](zoo, nets, reading.source, show)
    wanted = {kind.features: SLICE_FEATURES[kind.features]}
    rows, owners = random_slices(
        zoo, nets, wanted, reading.source, per_net=slices, seed=seed, progress=show
    )
    return rows[kind.features], owners


def has_room(zoo: Zoo, net: str, source: Source) -> bool:
    """Whether the part of a net that is read has a slice."""
    values = zoo.layout(net).indices(source.part, source.running_stats)
    return len(values) >= source.slice_length


def frame(
    reading: Reading, unit: str, side: str, twins: list[int], labels: Labels,
    codes: np.ndarray, share: np.ndarray,
) -> pl.DataFrame:  # fmt: skip
    return pl.concat(
        pl.DataFrame(
            {"reading": reading.name, "unit": unit, "classifier": side, "property": name}
            | {"net": twins, "level": codes[:, i], "hit": share[:, i]}
        )
        for i, name in enumerate(labels.properties)
    )


def table(found: pl.DataFrame) -> None:
    found = found.with_columns(group="net")  # each was trained from a seed of its own
    for (reading, unit), own in found.group_by("reading", "unit", maintain_order=True):
        together = "" if reading == "whole nets" or unit == "slice" else ", a net's together"
        print(f"\nOff {reading}{together}:\n")
        print("| property | chance | first | second | second less first |")
        print("| --- | ---: | ---: | ---: | ---: |")
        pairs = {row["property"]: row for row in compare(own, "second", "first", unit).to_dicts()}
        for name, row in pairs.items():
            cells = [accuracy(own.filter(property=name, classifier=s)) for s in ("first", "second")]
            levels = own.filter(property=name)["level"].n_unique()
            cells += [f"{100 * row['difference']:+.1f} ({span(row['low'], row['high'])})"]
            print(f"| {name.replace('_', ' ')} | {100 / levels:.0f} | {' | '.join(cells)} |")
    print(f"\n{found['net'].n_unique():,} twins", file=sys.stderr)


def measured(own: pl.DataFrame) -> Interval:
    return crossfitted(own["hit"].to_numpy(), own["level"].to_numpy())


def accuracy(own: pl.DataFrame) -> str:
    known = measured(own)
    return f"{100 * known.value:.1f} ({100 * known.low:.1f}–{100 * known.high:.1f})"


def span(low: float, high: float) -> str:
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def show(task: str, done: float, total: float) -> None:
    print(f"\r{task}: {done:,.0f} of {total:,.0f}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
