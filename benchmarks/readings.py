"""How far the readings of a model go: fresh nets, nets of a level that was left out.

weightspace sample benchmarks/readings.yaml --nets 600 --out zoo --snapshots 2 --evaluation-images 500
python benchmarks/readings.py zoo --leave-out dataset
"""  # noqa: E501 - a command stands on one line

from __future__ import annotations

import argparse
from collections.abc import Collection

import numpy as np
import polars as pl

import weightspace
from weightspace.meta import Answer, Labels, Model, labels_of

FRESH = 0.3


def main() -> None:
    """Print a line for each property, and for each level that is left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("zoo")
    parser.add_argument("--leave-out", default="dataset", help="a property")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of fresh nets")
    parser.add_argument("--classifier", default="layers", help="one of whole nets")
    asked = parser.parse_args()
    zoo = weightspace.Zoo(asked.zoo)
    labels = labels_of(zoo)
    order = np.random.default_rng(asked.seed).permutation(len(labels.nets))
    cut = int((1 - FRESH) * len(order))
    fitted = weightspace.fit(only(asked.zoo, labels, order[:cut]), classifier=asked.classifier)
    fresh(fitted, zoo, labels, order[cut:])
    codes = labels.codes[asked.leave_out]
    for code, level in enumerate(labels.levels[asked.leave_out]):
        known = only(asked.zoo, labels, np.flatnonzero(codes != code))
        left = weightspace.fit(known, classifier=asked.classifier, properties=[asked.leave_out])
        answers = read(left, zoo, labels, np.flatnonzero(codes == code))
        named = [a.readings[asked.leave_out] for a in answers if not a.outside]
        sure = [r.level is not None and (r.probability or 0) >= 0.9 for r in named]
        told = 1 - sum(r.level is not None for r in named) / len(answers)
        (ability,) = left.readers[0].abilities
        print(
            f"without {level}: {len(answers)} nets, no level named {told:.0%}, outside "
            f"{1 - len(named) / len(answers):.0%}, named at 90 % or more {sum(sure)}; known nets "
            f"lose {ability.caution.lost:.1%} of {ability.accuracy:.0%}"
        )


def only(path: str, labels: Labels, kept: Collection[int]) -> weightspace.Zoo:
    """The zoo as if it had these nets alone."""
    zoo = weightspace.Zoo(path)
    names = [labels.nets[i] for i in kept]
    zoo.nets = zoo.nets.with_columns(diverged=~pl.col("net").is_in(names))
    return zoo


def read(model: Model, zoo: weightspace.Zoo, labels: Labels, nets: Collection[int]) -> list[Answer]:
    """The answers about these nets."""
    names = [labels.nets[i] for i in nets]
    return [model.predict(zoo.vector(net), zoo.layout(net)) for net in names]


def fresh(model: Model, zoo: weightspace.Zoo, labels: Labels, nets: Collection[int]) -> None:
    """Print what holds for nets that the model has not seen."""
    answers = read(model, zoo, labels, nets)
    print(
        f"{len(answers)} fresh nets, {sum(a.outside for a in answers)} outside; by architecture "
        f"{model.facts['structure_alarms']:.1%} of the others"
    )
    inside = [(a, i) for a, i in zip(answers, nets, strict=True) if not a.outside]
    for ability in model.readers[0].abilities:
        name, caution = ability.property, ability.caution
        pairs = [(a.readings[name], ability.levels[labels.codes[name][i]]) for a, i in inside]
        best = np.mean([r.levels[int(np.argmax(r.probabilities))] == t for r, t in pairs])
        named = [(r, t) for r, t in pairs if r.level is not None]
        sure = [r.level == t for r, t in named if (r.probability or 0) >= 0.9]
        print(
            f"{name:15s} {pairs[0][0].source}: right {best:.0%}, with none of these "
            f"{sum(r.level == t for r, t in named) / len(pairs):.0%}, coverage "
            f"{np.mean([t in r.possible for r, t in pairs]):.0%}; named: stated right "
            f"{np.mean([r.right or 0 for r, _ in named]):.0%}, right "
            f"{np.mean([r.level == t for r, t in named]):.0%}, at 90 % or more "
            f"{np.mean(sure) if sure else np.nan:.0%} of {len(sure)}; told {caution.told}"
        )


if __name__ == "__main__":
    main()
