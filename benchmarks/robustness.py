"""What audits say of nets that were altered after their training, and which forgeries pass.

    python benchmarks/robustness.py make FOLDER DATA
    python benchmarks/robustness.py judge FOLDER DATA --out docs/results/robustness
    python benchmarks/robustness.py table --out docs/results/robustness

`make` trains and alters nets, as `benchmarks/altered_nets.py` does. `judge` audits each file, with
the images of the training, up to three times: with all that was true of the original training; with
what a forger wants to be believed, by default an optimizer of the other family; and fine-tuned nets
and averages with an honest card. It also compares each file with the net before. `table`
makes the tables of docs/results/robustness.md. What is there is not made or judged again.
"""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altered_nets
import numpy as np
import polars as pl
import robustness_tables
import torch
from altered_nets import LINEAR, SAID, Row

from weightspace.audit import Audit, audit
from weightspace.audit.rules.counting import JOINT
from weightspace.evidence import compare
from weightspace.images import ImageSet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["make", "judge", "table"])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--nets", type=int, default=altered_nets.NETS)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.task == "make":
        altered_nets.make(asked.folder, asked.data, asked.nets)
    elif asked.task == "judge":
        judge(asked.folder, asked.data, asked.out)
    else:
        robustness_tables.write(asked.out)


def judge(folder: Path, data: Path, out: Path) -> None:
    """Audit and compare what is not judged yet, and write two tables of all."""
    sets = functools.cache(functools.partial(images, data))
    rows: dict[str, list[Row]] = {"verdicts": [], "nets": []}
    for place in sorted(one.parent for one in folder.glob("*/made.json")):
        kept = place / "judged.json"
        if not kept.exists():
            hidden = kept.with_suffix(".part")
            hidden.write_text(json.dumps(judged(place, sets)))
            hidden.replace(kept)
            print(place.name, flush=True)
        for name, some in json.loads(kept.read_text()).items():
            rows[name] += some
    out.mkdir(parents=True, exist_ok=True)
    for name, some in rows.items():
        pl.DataFrame(some, infer_schema_length=None).write_parquet(
            out / f"{name}.parquet", compression="zstd", compression_level=19
        )


def images(data: Path, name: str, count: int) -> ImageSet:
    """The images on which a net was trained."""
    with np.load(data / f"{name}.npz") as file:
        x, y = file["x_train"], file["y_train"].reshape(-1).astype(np.int64)
        chosen = np.random.RandomState(0).permutation(len(x))[:count]
        x = x[chosen][..., None]
    return ImageSet(name, x, y[chosen], x[:10], y[chosen][:10], tuple(map(str, range(10))))


def judged(place: Path, sets: Any) -> dict[str, list[Row]]:
    """The verdicts on each alteration of a net, and what it has in common with the net before."""
    made = json.loads((place / "made.json").read_text())
    recipe, claims = made["recipe"], altered_nets.truth(made["recipe"], made["steps"])
    about = {"net": int(place.name), "base": recipe["kind"], "trained_by": recipe["optimizer"],
             "decays": recipe["weight_decay"] > 0}  # fmt: skip
    verdicts, nets = [], []
    for one in made["altered"]:
        file = place / one["file"]
        own = about | {"kind": one["kind"], "alteration": one["name"]}
        count = recipe["train_images"]
        runs = {
            "true": claims,
            "false": wanted(claims, one["goal"]),
            "card": one["card"] and SAID | one["card"],
        }
        for run, said in runs.items():
            if not said:
                continue
            found = audit(file, said, data=sets(said["dataset"], count))
            untrue = one["untrue"] if run == "true" else ()
            for row in said_of(found, untrue):
                if run != "false" or row["claim"] in one["goal"]:
                    verdicts.append(own | {"run": run} | row)
        akin = compare(place / made["altered"][0]["file"], file)
        nets.append(own | {
            "accuracy": one["accuracy"], "compared": akin.verdict, "permuted": akin.permuted,
            "direction": akin.direction, "drift": akin.drift,
        })  # fmt: skip
    return {"verdicts": verdicts, "nets": nets}


def wanted(claims: Row, goal: Row) -> Row:
    """The claims with what a forger wants to be believed, without momentum for adaptive ones."""
    said = claims | goal
    if "momentum" in said and goal.get("optimizer", said["optimizer"]) not in LINEAR:
        said.pop("momentum")
    return said


def said_of(found: Audit, untrue: Sequence[str]) -> Iterator[Row]:
    """A row for each verdict of an audit, with the untrue claims on which it rests."""
    for one in found.verdicts:
        name = one.claim.name
        rests = [given for given in one.given if given in untrue]
        yield {
            "claim": name, "value": str(one.claim.value), "verdict": one.verdict,
            "p_value": one.p_value, "rests_on": ", ".join(rests),
            "holds": name not in untrue and not (name == JOINT and rests),
            "law": one.bearings[0].evidence.law if one.bearings else None,
        }  # fmt: skip


if __name__ == "__main__":
    main()
