"""What a model reads off nets that were altered after their training.

weightspace sample demo --nets 300 --out zoo
python benchmarks/altered_readings.py zoo --out docs/results/robustness

Seven nets of ten fit a model, the others are altered or trained on, and read. `readings.md` has a
row for each alteration, `readings.parquet` the counts for each property.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import readings
import torch
from alterations import PLAIN, State
from tuned_readings import tuned

import weightspace
from weightspace.meta import Model, labels_of
from weightspace.networks import Layout

SURE = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("zoo")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1, help="of the choice of nets that are read")
    parser.add_argument("--classifier", default="layers", help="one of whole nets")
    asked = parser.parse_args()
    zoo = weightspace.Zoo(asked.zoo)
    labels = labels_of(zoo)
    order = np.random.default_rng(asked.seed).permutation(len(labels.nets))
    cut = int((1 - readings.FRESH) * len(order))
    taught = readings.only(asked.zoo, labels, order[:cut])
    model = weightspace.fit(taught, classifier=asked.classifier)
    held = [int(i) for i in order[cut:]]
    rows = []
    for done, i in enumerate(held):
        net, truth = labels.nets[i], truth_of(labels, i)
        for name, vector in copies(zoo, net, asked.seed):
            rows += [
                {"alteration": name} | row for row in read(model, vector, zoo.layout(net), truth)
            ]
        print(f"{done + 1} of {len(held)} nets", end="\r", flush=True)
    found = pl.DataFrame(rows)
    # The architecture is read from shapes, and stays what it is.
    kept = (
        found.group_by("property").agg(pl.col("from_shapes").any()).filter(~pl.col("from_shapes"))
    )
    found = found.filter(pl.col("property").is_in(kept["property"].to_list()))
    by = found.group_by("alteration", "property", maintain_order=True).agg(
        pl.len().alias("nets"), *(pl.col(c).sum() for c in COUNTS)
    )
    by.write_parquet(asked.out / "readings.parquet", compression="zstd")
    (asked.out / "readings.md").write_text(table(by), encoding="utf-8")


COUNTS = ("outside", "best_right", "named", "named_right", "sure", "sure_right")


def truth_of(labels: Any, net: int) -> dict[str, str]:
    """The true level of each property."""
    return {name: labels.levels[name][labels.codes[name][net]] for name in labels.properties}


def copies(zoo: weightspace.Zoo, net: str, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """The net in each form: the alteration, and the vector, float32."""
    for _, name, change in PLAIN:
        yield name, altered(zoo.vector(net), zoo.layout(net), change)
    yield from tuned(zoo, net, seed)


def read(
    model: Model, vector: np.ndarray, layout: Layout, truth: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """What is read off one net, a row for each property."""
    answer = model.predict(vector, layout)
    for name, level in truth.items():
        row = dict.fromkeys((*COUNTS, "from_shapes"), False)
        row |= {"property": name, "outside": answer.outside}
        reading = None if answer.outside else answer.readings.get(name)
        if reading is not None:
            row["from_shapes"] = reading.source == "shapes"
            best = reading.levels[int(np.argmax(reading.probabilities))]
            named = reading.level is not None
            sure = named and (reading.probability or 0) >= SURE
            row |= {"best_right": best == level, "named": named, "sure": sure}
            row["named_right"] = named and reading.level == level
            row["sure_right"] = sure and reading.level == level
        yield row


def altered(vector: np.ndarray, layout: Layout, change: Any) -> np.ndarray:
    """The vector of an altered net, float32."""
    state: State = {
        one.name: torch.from_numpy(vector[one.offset : one.stop].reshape(one.shape).copy())
        for one in layout.tensors
    }
    changed = change(state)
    return np.concatenate([changed[one.name].float().numpy().ravel() for one in layout.tensors])


def table(by: pl.DataFrame) -> str:
    """Markdown, a row for each alteration."""
    lines = [
        "| alteration | outside the population | best level right | level named | right, if named "
        "| named at 90 % or more | right of these |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (name,), own in by.group_by("alteration", maintain_order=True):
        total = {c: int(own[c].sum()) for c in ("nets", *COUNTS)}
        inside = total["nets"] - total["outside"]
        lines.append(
            f"| {name} | {share(total['outside'], total['nets'])} "
            f"| {share(total['best_right'], inside)} | {share(total['named'], inside)} "
            f"| {share(total['named_right'], total['named'])} | {total['sure']} "
            f"| {share(total['sure_right'], total['sure'])} |"
        )
    return "\n".join(lines) + "\n"


def share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}".replace("%", " %") if whole else ""


if __name__ == "__main__":
    main()
