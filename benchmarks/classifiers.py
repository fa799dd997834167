"""The cost and the accuracy of classifiers on a zoo: one property, five folds by net, same slices.

    python benchmarks/classifiers.py ZOO --property width_conv --classifiers kernel,boosted

For each classifier and number of slices per net, it prints the seconds of five folds and the
accuracy. The seconds include training and testing, but not reading. The class-balanced accuracy is
in % of slices and of whole nets, with 95 % intervals over nets. A smaller number of slices uses the
first slices of each net. There is one seed.
"""

from __future__ import annotations

import argparse
import os
import time

import numpy as np

from weightspace.meta import CLASSIFIERS, labels_of
from weightspace.meta.design.folds import Cells
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import SLICE_FEATURES, Source, random_slices
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.statistics.intervals import crossfitted
from weightspace.zoo import Zoo


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo")
    parser.add_argument("--property", default="width_conv")
    parser.add_argument("--classifiers", default="shallow,logistic,svm,kernel")
    parser.add_argument("--slices", default="8")
    parser.add_argument("--most", type=int, default=24, help="slices drawn per net")
    asked = parser.parse_args()
    zoo = Zoo(asked.zoo)
    labels = labels_of(zoo)
    kinds = [CLASSIFIERS[name] for name in asked.classifiers.split(",")]
    needed = {k.features: SLICE_FEATURES[k.features] for k in kinds if not k.whole}
    drawn, owners = random_slices(zoo, labels.nets, needed, Source(), per_net=asked.most, seed=0)
    order = np.argsort(owners, kind="stable")
    turn = np.empty_like(order)
    turn[order] = np.arange(len(order)) - np.searchsorted(owners[order], owners[order])
    place = labels.properties.index(asked.property)
    codes = labels.matrix[:, [place]]
    levels = (len(labels.levels[asked.property]),)
    fold = Cells.build(labels.matrix, labels.groups, 5).fold_of(0)
    print(f"{len(labels.nets)} nets, {asked.property}, chance {100 / levels[0]:.1f} %, "
          f"{os.cpu_count()} cores")  # fmt: skip
    for kind in kinds:
        for count in (1,) if kind.whole else map(int, asked.slices.split(",")):
            if kind.whole:
                features, nets = net_rows(zoo, labels.nets, Source())
            else:
                features, nets = drawn[kind.features][turn < count], owners[turn < count]
            start = time.perf_counter()
            judged = cross_predict(
                features, nets, Labelings.of(codes), fold, labels.groups, kind.estimator(0)
            )
            taken = time.perf_counter() - start
            line = f"{kind.name:18} {count:2} rows a net {taken:7.1f} s"
            for unit in ("net",) if kind.whole else ("slice", "net"):
                found = crossfitted(judged.hits(unit)[:, 0, 0, 0], codes[:, 0])
                value, low, high = (100 * end for end in (found.value, found.low, found.high))
                line += f"  {unit} {value:.1f} ({low:.1f} to {high:.1f})"
            print(line, flush=True)


if __name__ == "__main__":
    main()
