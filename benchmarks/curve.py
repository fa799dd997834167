"""The accuracy on the test nets of a zoo, by the number of training nets.

    python benchmarks/curve.py ZOO --classifier kernel --nets 200,400,800,1600

The test nets are always the same. The training nets are drawn at random from the others, `--draws`
times, or once if all of them are used. It prints a Markdown table of class-balanced accuracy in %
of slices, or of nets for classifiers of whole nets. Accuracies are means over draws. The last has
a 95 % interval over nets. The last column is the mean gain of a doubling.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from weightspace.meta import CLASSIFIERS, labels_of
from weightspace.meta.design.folds import HeldOut
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.design.whole import WHOLE_ROWS
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.statistics.intervals import balanced_accuracy, crossfitted
from weightspace.zoo import Zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo")
    parser.add_argument("--classifier", default="kernel")
    parser.add_argument("--nets", default="200,400,800,1600")
    parser.add_argument("--slices", type=int, default=8, help="slices per net")
    parser.add_argument("--draws", type=int, default=3)
    asked = parser.parse_args()
    zoo, kind, source = Zoo(asked.zoo), CLASSIFIERS[asked.classifier], Source()
    labels = labels_of(zoo)
    judged = np.isin(labels.nets, zoo.split().test)
    teachers = np.flatnonzero(~judged)
    fold = HeldOut.of(judged).fold_of(0)
    if kind.whole:
        features, owners = WHOLE_ROWS[kind.features](zoo, labels.nets, source, show)
    else:
        wanted = {kind.features: SLICE_FEATURES[kind.features]}
        rows, owners = random_slices(
            zoo, labels.nets, wanted, source, per_net=asked.slices, seed=0, progress=show
        )
        features = rows[kind.features]
    levels = tuple(len(own) for own in labels.levels.values())
    counts = [min(int(count), len(teachers)) for count in asked.nets.split(",")]
    hits: list[np.ndarray] = []
    for count in counts:
        found = []
        for draw in range(1 if count == len(teachers) else asked.draws):
            rng = np.random.default_rng([count, draw])
            taught = np.isin(owners, rng.choice(teachers, count, replace=False))
            seen = taught | judged[owners]
            own = cross_predict(
                features[seen], owners[seen], Labelings.of(labels.matrix), fold, labels.groups,
                kind.estimator(draw),
            )  # fmt: skip
            found.append(own.hits("net" if kind.whole else "slice")[judged, 0, 0])
        hits.append(np.mean(found, axis=0))
        show("training nets", count, counts[-1])
    heads = [f"{count:,}" for count in counts]
    print(f"\n| property | chance | {' | '.join(heads)} | 95 % interval | a doubling |")
    print("| --- |" + " ---: |" * (len(counts) + 3))
    doublings = np.log2(counts[-1] / counts[0])
    for place, name in enumerate(labels.properties):
        codes = labels.matrix[judged, place]
        values = [100 * balanced_accuracy(own[:, place], codes) for own in hits]
        last = crossfitted(hits[-1][:, place], codes, dependence=1.0)
        cells = [f"{value:.0f}" for value in values]
        cells += [f"{100 * last.low:.0f}–{100 * last.high:.0f}"]
        cells += [f"{(values[-1] - values[0]) / doublings:+.1f}"]
        chance = 100 / levels[place]
        print(f"| {name.replace('_', ' ')} | {chance:.0f} | {' | '.join(cells)} |")
    print(f"\n{kind.name}, tested on {judged.sum()} nets", file=sys.stderr)


def show(task: str, done: float, total: float) -> None:
    print(f"\r{task}: {done:,.0f} of {total:,.0f}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
