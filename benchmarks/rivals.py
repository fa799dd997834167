"""Networks on slices compared with classifiers of features: same nets and slices, one core each.

    OMP_NUM_THREADS=1 python benchmarks/rivals.py ZOO OUT --classifiers kernel,boosted,patches,paper
    python benchmarks/rivals.py --table OUT

All classifiers are trained on the training nets of the zoo and tested on its test nets, with seed
0. Each learns one property at a time. They are trained on the same slices, except the networks,
which draw a new slice of every net in each epoch. They are tested on the same slices, of which
there are more per net than in training.

Each pair of property and classifier writes one Parquet file to OUT. It has the hits of every test
net, the processor seconds of the training, and those of the features, which are computed once for
all properties. Existing files are not computed again. So the work can be stopped and continued, and
several processes can run at once on different `--properties`.

`--table` prints accuracies, differences from the last classifier on the same nets, and 95 %
intervals over nets. It also prints medians of the training times, over the properties on which the
last classifier was trained.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from weightspace.learners.estimators import MetaClassifier
from weightspace.learners.registry import Classifier
from weightspace.meta import CLASSIFIERS, labels_of
from weightspace.meta.design.folds import HeldOut
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.slices import SLICE_FEATURES, Source, fresh_slices, random_slices
from weightspace.meta.evaluation.crossfit import UNITS, cross_predict
from weightspace.meta.statistics.intervals import crossfitted
from weightspace.meta.statistics.pairs import compare
from weightspace.zoo import Zoo

ORDER = ("kernel", "boosted", "patches", "paper")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo", nargs="?")
    parser.add_argument("out", type=Path)
    parser.add_argument("--properties")
    parser.add_argument("--classifiers", default=",".join(ORDER))
    parser.add_argument("--slices", type=int, default=24, help="test slices per net")
    parser.add_argument("--taught", type=int, default=8, help="training slices per net")
    parser.add_argument(
        "--epochs", type=int, help="epochs of the networks; each number needs its own OUT"
    )
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        table(asked.out, asked.classifiers.split(","))
    else:
        learn(asked)


def learn(asked: argparse.Namespace) -> None:
    zoo, source = Zoo(asked.zoo), Source()
    asked.out.mkdir(parents=True, exist_ok=True)
    labels = labels_of(zoo)
    judged = np.isin(labels.nets, zoo.split().test)
    cells = HeldOut.of(judged)
    dead = zoo.nets.filter(pl.col("net").is_in(list(labels.nets)))["dead"].fill_null(False)
    about = {"net": np.array(labels.nets)[judged], "dead": dead.to_numpy()[judged]}
    kinds = [CLASSIFIERS[name] for name in asked.classifiers.split(",")]
    rows, reading, share = {}, {}, float((~judged).mean())
    for name in dict.fromkeys(kind.features for kind in kinds):
        start = time.process_time()
        own = {name: SLICE_FEATURES[name]}
        found, nets = random_slices(zoo, labels.nets, own, source, per_net=asked.slices, seed=0)
        rows |= found
        # Of the training nets; networks draw their slices during training.
        spent = share * asked.taught / asked.slices * (time.process_time() - start)
        reading[name] = 0.0 if name == "values" else spent
    used = judged[nets] | (turns(nets) < asked.taught)
    rows, nets = {name: features[used] for name, features in rows.items()}, nets[used]
    for name in asked.properties.split(",") if asked.properties else labels.properties:
        codes = labels.codes[name][:, None]
        for kind in kinds:
            path = asked.out / f"{name}-{kind.name}.parquet"
            if path.exists():
                continue
            estimator = timed(kind, f"{name}, {kind.name}")
            if kind.features == "values":
                estimator.draw = fresh_slices(zoo, labels.nets, source)
                estimator.set_params(epochs=asked.epochs or estimator.get_params()["epochs"])
            answers = cross_predict(
                rows[kind.features],
                nets,
                Labelings.of(codes),
                cells.fold_of(0),
                labels.groups,
                estimator,
            )
            seconds: float = estimator.seconds  # type: ignore[attr-defined]  # set by `timed`
            parts = [
                pl.DataFrame(
                    {"property": name, "classifier": kind.name, "unit": unit, **about}
                    | {"level": codes[judged, 0], "hit": answers.hits(unit)[judged, 0, 0, 0]}
                    | {"seconds": seconds, "reading": reading[kind.features]}
                    | {"taught": int((~judged).sum())},
                    schema_overrides={"hit": pl.Float64},
                )
                for unit in UNITS
            ]
            pl.concat(parts).write_parquet(path.with_suffix(".part"))
            path.with_suffix(".part").rename(path)
            print(f"{name}, {kind.name}: {seconds:.1f} s", flush=True)


def turns(nets: np.ndarray) -> np.ndarray:
    """The number of each slice within its net, from 0: int64 [n]."""
    order = np.argsort(nets, kind="stable")
    found = np.empty_like(order)
    found[order] = np.arange(len(order)) - np.searchsorted(nets[order], nets[order])
    return found


def timed(kind: Classifier, task: str) -> MetaClassifier:
    """An estimator with seed 0 that reports the processor seconds of its training."""
    made: Any = kind.estimator(0)
    begun = time.monotonic()

    def tell(what: str, done: float, total: float) -> None:
        left = (time.monotonic() - begun) * (total - done) / done
        print(f"{task}, {what}: {done:.0f} of {total:.0f}, {left / 60:.0f} min left", flush=True)

    learn_labelings = made.fit_labelings

    def fit_labelings(*args: Any) -> Any:
        start = time.process_time()
        fitted = learn_labelings(*args)
        made.seconds = time.process_time() - start
        return fitted

    made.progress, made.fit_labelings = tell, fit_labelings
    return made  # type: ignore[no-any-return]  # registry of any estimators


def table(out: Path, names: list[str]) -> None:
    hits = pl.read_parquet(out / "*.parquet" if out.is_dir() else out)
    last, others = names[-1], names[:-1]
    done = hits.filter(classifier=last)["property"].unique()
    hits = hits.filter(pl.col("property").is_in(done.to_list())).sort("property")
    heads = [f"`{name}`" for name in names] + [f"`{name}` less `{last}`" for name in others]
    for unit in UNITS:
        print(f"\nAccuracy by {unit}:\n\n| property | {' | '.join(heads)} |")
        print("| --- |" + " ---: |" * len(heads))
        for (name,), own in hits.filter(unit=unit).group_by("property", maintain_order=True):
            cells = [accuracy(own.filter(classifier=n)) for n in names]
            cells += [paired(own, n, last, unit) for n in others]
            print(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    heads = [
        "one property: learning",
        "features",
        f"`{last}` takes, times as long",
        "all properties",
    ]
    print(f"\n| seconds of a core | {' | '.join(heads)} |\n| --- | ---: | ---: | ---: | ---: |")
    spent = hits.group_by("classifier", "property").agg(pl.col("seconds", "reading").first())
    slowest = spent.filter(classifier=last).sort("property")["seconds"].to_numpy()
    for name in names:
        own = spent.filter(classifier=name).sort("property")
        learning, reading = own["seconds"].to_numpy(), float(own["reading"].median())
        times = slowest / (learning + reading)
        cells = [f"{np.median(learning):,.0f}", f"{reading:,.0f}"]
        cells += [f"{np.median(times):.0f} ({times.min():.0f}–{times.max():.0f})"]
        cells += [f"{slowest.sum() / (learning.sum() + reading):.0f}"]
        print(f"| `{name}` | {' | '.join(cells)} |")
    judged, taught = hits["net"].n_unique(), hits["taught"][0]
    print(f"\ntrained on {taught:,} nets, tested on {judged:,} others", file=sys.stderr)


def accuracy(own: pl.DataFrame) -> str:
    found = crossfitted(own["hit"].to_numpy(), own["level"].to_numpy(), dependence=1.0)
    return f"{100 * found.value:.1f} ({100 * found.low:.1f}–{100 * found.high:.1f})"


def paired(own: pl.DataFrame, first: str, second: str, unit: str) -> str:
    (row,) = compare(own, first, second, unit).to_dicts()
    return f"{100 * row['difference']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"


if __name__ == "__main__":
    main()
