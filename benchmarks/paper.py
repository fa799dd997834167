"""The accuracies of an evaluation on slices beside the figures of the paper, as a Markdown table.

    python benchmarks/paper.py docs/results/five-sets kernel boosted

`weightspace evaluate` or `dissect` wrote the folder. The names are classifiers of slices in it.
The paper's figures are from Eilertsen et al., ECAI 2020, for slices of 5,000 weights of nets of
32x32 colour on five sets. Another group read them from its bar chart, with an error of about 2
points.
"""

from __future__ import annotations

import sys

import polars as pl

from weightspace.meta import Evaluation

PAPER = {
    "filter_size": 93.0,
    "augmentation": 83.0,
    "optimizer": 79.5,
    "width_conv": 69.0,
    "initialization": 67.0,
    "dataset": 65.0,
    "activation": 65.0,
    "depth_conv": 55.0,
    "batch_size": 38.0,
    "depth_fc": 38.0,
    "width_fc": 37.0,
}


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    folder, names = sys.argv[1], sys.argv[2:]
    table = Evaluation.read(folder).frame()
    heads = [f"`{name}`, {unit}" for name in names for unit in ("slice", "a net's together")]
    print(f"| property | chance | paper | {' | '.join(heads)} | against the paper |")
    print("| --- |" + " ---: |" * (len(heads) + 3))
    for name, paper in PAPER.items():
        own = table.filter(property=name)
        if own.is_empty():
            continue
        cells, best = [], 0.0
        for classifier in names:
            for unit in ("slice", "net"):
                (row,) = own.filter(classifier=classifier, unit=unit).to_dicts()
                accuracy, low, high = (100 * row[end] for end in ("accuracy", "low", "high"))
                cells.append(f"{accuracy:.0f} ({low:.0f}–{high:.0f})")
                best = max(best, accuracy) if unit == "slice" else best
        chance = 100 * own["chance"][0]
        line = [name.replace("_", " "), f"{chance:.0f}", f"{paper:g}", *cells]
        print("| " + " | ".join([*line, f"{best - paper:+.0f}"]) + " |")
    about = table.filter(pl.col("classifier").is_in(names)).unique(
        "classifier", maintain_order=True
    )
    for row in about.to_dicts():
        print(
            f"\n{row['classifier']}: {row['n_nets']:,} nets, seeds {row['seeds']}, {row['split']}"
        )


if __name__ == "__main__":
    main()
