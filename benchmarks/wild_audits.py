"""Audits of checkpoints by strangers, whose authors' code is public.

    python benchmarks/wild_audits.py run INDEX FILES DATA --out docs/results/wild-audits
    python benchmarks/wild_audits.py table --out docs/results/wild-audits
    python benchmarks/wild_audits.py again DATA --out docs/results/wild-audits

INDEX is a JSON list of checkpoints: `id`, `repo`, `path`, `sha256`, and labels (`dataset`,
`optimizer`, `lr`, `momentum`, `batch_size`, `epochs`, `activation`). FILES holds the checkpoints,
each as ID and the suffix of its path. DATA holds the image sets as NAME.npz. OUT/code.json says
what was read in the authors' code at the commit of the file.

`run` audits each file without claims (`bare`), with the labels of the index (`index`), with these
and the images of the data set (`data`), with what the code says, with images (`code`), and without
claims but with 20,000 seeds (`seeds`). It writes OUT/verdicts.parquet and OUT/findings.parquet.
What is there is not audited again. `table` prints what docs/results/wild-audits.md says. `again`
trains nets by plain SGD from weights that are drawn anew, and prints which of their true claims are
contradicted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import torch

from weightspace.audit import Audit, audit
from weightspace.errors import WeightspaceError
from weightspace.images import ImageSet, load

SETS = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist", "CIFAR10": "cifar10", "SVHN": "svhn"}
IMAGES = ("mnist", "fashion_mnist", "cifar10")
NAMES = {"lr": "learning_rate", "batch_size": "batch_size", "epochs": "epochs",
         "activation": "activation"}  # fmt: skip
SEEDS = 20_000

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["run", "table", "again"])
    parser.add_argument("index", type=Path, nargs="?")
    parser.add_argument("files", type=Path, nargs="?")
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    if asked.task == "run":
        run(asked.index, asked.files, asked.data, asked.out)
    elif asked.task == "again":
        again(asked.index)
    else:
        table(asked.out)


def run(index: Path, files: Path, data: Path, out: Path) -> None:
    """Audit what is not audited yet, and write two tables."""
    entries = json.loads(index.read_text())
    read_in_code = json.loads((out / "code.json").read_text())
    sets = {name: load(name, data) for name in IMAGES}
    places = {name: out / f"{name}.parquet" for name in ("verdicts", "findings")}
    rows = {name: pl.read_parquet(place).to_dicts() if place.exists() else []
            for name, place in places.items()}  # fmt: skip
    known = {(row["id"], row["run"]) for row in rows["findings"]}
    for entry in entries:
        file = files / (entry["id"] + PurePosixPath(entry["path"]).suffix)
        if not file.exists():
            print(entry["id"], "is not there")
            continue
        if hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
            raise SystemExit(f"{file}: not the file of the index")
        code = read_in_code.get(entry["id"], {})
        for name, claims, images in runs(entry, code, sets):
            if (entry["id"], name) in known:
                continue
            start = time.perf_counter()
            try:
                found = audit(file, claims, data=images, seeds=SEEDS if name == "seeds" else 0)
            except WeightspaceError as error:
                print(entry["id"], error)
                break
            seconds = time.perf_counter() - start
            about = {"id": entry["id"], "run": name, "seconds": round(seconds, 3)}
            rows["verdicts"] += verdicts(about, found)
            rows["findings"] += findings(about, found)
        for key, place in places.items():
            pl.DataFrame(rows[key], infer_schema_length=None).write_parquet(place)


def runs(
    entry: Row, code: Row, sets: Mapping[str, ImageSet]
) -> Iterator[tuple[str, dict[str, Any], ImageSet | None]]:
    """The audits of a file: a name, what is claimed, and the images."""
    stated = labels(entry)
    if code.get("loss") == "cross_entropy":
        stated["loss"] = "cross_entropy"
    said = {key: value for key, value in (stated | code).items() if value is not None}
    said.pop("note", None)
    yield "bare", {}, None
    yield "index", stated, None
    if stated.get("dataset") in sets:
        yield "data", stated, sets[stated["dataset"]]
    yield "code", said, sets.get(said.get("dataset", ""))
    yield "seeds", {}, None


def labels(entry: Row) -> dict[str, Any]:
    """The labels of the index as claims."""
    claims = {name: entry[key] for key, name in NAMES.items() if entry[key]}
    if entry["dataset"]:
        claims["dataset"] = SETS[entry["dataset"]]
    if entry["optimizer"]:
        heavy = entry["optimizer"] == "SGD" and entry["momentum"]
        claims["optimizer"] = "momentum" if heavy else entry["optimizer"].lower()
    return claims


def verdicts(about: Row, found: Audit) -> Iterator[Row]:
    """A row for each verdict."""
    for one in found.verdicts:
        yield about | {
            "claim": one.claim.name, "value": str(one.claim.value), "verdict": one.verdict,
            "p_value": one.p_value, "strength": one.strength, "given": ", ".join(one.given),
            "laws": "; ".join(f"{b.evidence.law} {b.p_value:.3g}" for b in one.bearings),
            "says": "; ".join(b.evidence.says for b in one.bearings),
        }  # fmt: skip


def findings(about: Row, found: Audit) -> Iterator[Row]:
    """A row for each finding and each piece of evidence that was applied."""
    for one in found.evidence:
        if not one.missing:
            yield about | {
                "law": one.law, "claim": one.claim, "where": one.where, "says": one.says,
                "statistic": one.statistic, "p_value": one.p_value,
                "hypotheses": json.dumps(
                    {h.name or str(h.values[:1]): h.p_value for h in one.hypotheses}
                ),
                "low": one.estimate.low if one.estimate else None,
                "estimate": one.estimate.value if one.estimate else None,
                "high": one.estimate.high if one.estimate else None,
            }  # fmt: skip


def table(out: Path) -> None:
    """Print how often each claim is consistent, contradicted or undecidable."""
    pl.Config.set_tbl_rows(100)
    pl.Config.set_tbl_hide_dataframe_shape(True)
    rows = pl.read_parquet(out / "verdicts.parquet")
    words = ("consistent", "contradicted", "undecidable")
    counts = [(pl.col("verdict") == word).sum().alias(word) for word in words]
    print(rows.group_by("run", "claim").agg(pl.len().alias("claims"), *counts).sort("run", "claim"))
    print("contradicted")
    wrong = rows.filter(pl.col("verdict") == "contradicted")
    print(wrong.select("run", "id", "claim", "value", "p_value", "laws"))
    times = pl.read_parquet(out / "findings.parquet").group_by("id", "run").agg(
        pl.col("seconds").first()
    )  # fmt: skip
    print(times.group_by("run").agg(
        pl.len().alias("files"), pl.col("seconds").median().alias("median seconds"),
        pl.col("seconds").max().alias("most"),
    ))  # fmt: skip


def again(data: Path) -> None:
    """Train nets whose weights are drawn anew, and print what of their claims is contradicted."""
    init = torch.nn.init
    starts: dict[str, tuple[Any, bool]] = {  # how weights begin, and whether biases begin at 0
        "torch_default": (lambda weight: weight, False),
        "xavier_uniform": (init.xavier_uniform_, False),
        "kaiming_normal": (init.kaiming_normal_, False),
        "normal 0.01": (lambda weight: init.normal_(weight, std=0.01), False),
        "normal 0.02, no biases": (lambda weight: init.normal_(weight, std=0.02), True),
        "uniform 0.01, no biases": (lambda weight: init.uniform_(weight, -0.01, 0.01), True),
        "kaiming fan out, no biases": (
            lambda weight: init.kaiming_normal_(weight, mode="fan_out"), True,
        ),
    }  # fmt: skip
    claims = {
        "optimizer": "sgd", "momentum": 0, "loss": "cross_entropy", "learning_rate": 0.1,
        "steps": 600, "weight_decay": 0, "schedule": "constant",
    }  # fmt: skip
    images = load("mnist", data)
    x = torch.tensor(images.x_train[:3000]).reshape(3000, -1).float() / 255
    y = torch.tensor(images.y_train[:3000])
    for name, (start, zero) in starts.items():
        torch.manual_seed(12345)
        net = torch.nn.Sequential(
            torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
        )
        for layer in (net[0], net[2]):
            start(layer.weight)
            if zero:
                init.zeros_(layer.bias)
        steps = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(600):
            batch = torch.randint(0, 3000, (64,))
            steps.zero_grad()
            torch.nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            steps.step()
        with tempfile.TemporaryDirectory() as folder:
            torch.save(net.state_dict(), Path(folder) / "net.pt")
            found = audit(Path(folder) / "net.pt", claims)
        for one in found.contradicted:
            laws = [b.evidence.law for b in one.bearings if b.p_value < 1e-4]
            print(f"{name}: {one.claim.name}, p = {one.p_value:.0e}, by {', '.join(laws)}")


if __name__ == "__main__":
    main()
