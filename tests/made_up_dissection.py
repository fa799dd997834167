"""Dissections with made-up numbers in the schemas of docs/architecture.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from weightspace.dissection import Dissection, Training, When, Where
from weightspace.dissection.result import TRAINING_COLUMNS, WHEN_COLUMNS, WHERE_COLUMNS

# property: levels, accuracy at the end, accuracy at the first snapshot, best place (0..1)
PROPERTIES = {
    "filter_size": (3, 0.91, 0.90, 0.1),
    "optimizer": (3, 0.80, 0.33, 0.95),
    "initialization": (4, 0.77, 0.99, 0.6),
    "activation": (4, 0.65, 0.26, 0.5),
    "augmentation": (2, 0.79, 0.50, 0.3),
    "width_conv": (3, 0.69, 0.66, 0.2),
    "dataset": (5, 0.58, 0.2, 0.05),
    "depth_conv": (3, 0.50, 0.47, 0.5),
    "learning_rate": (3, 0.46, 0.32, 0.9),
    "batch_size": (4, 0.26, 0.24, 0.5),
}
DATASETS = {"mnist": 0.97, "fashion_mnist": 0.86, "svhn": 0.78, "stl10": 0.47, "cifar10": 0.55}
NETS = 300


@dataclass(frozen=True)
class MadeUpEvaluation:
    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        return self.table


def spread(accuracy: float, n: int = NETS) -> dict[str, float]:
    error = 1.96 * (accuracy * (1 - accuracy) / n) ** 0.5
    return {"accuracy": accuracy, "low": max(0, accuracy - error), "high": min(1, accuracy + error)}


def much_frame(properties=PROPERTIES, n: int = NETS) -> pl.DataFrame:
    rows = []
    for name, (levels, end, *_) in properties.items():
        chance = 1 / levels
        scores = {
            ("shallow", "slice"): chance + 0.7 * (end - chance),
            ("boosted", "slice"): end,
            ("shallow", "net"): chance + 0.8 * (end - chance),
            ("boosted", "net"): min(1, end + 0.03),
        }
        for (classifier, unit), accuracy in scores.items():
            rows.append(
                {"property": name, "classifier": classifier, "unit": unit, "levels": levels}
                | {"chance": chance}
                | spread(accuracy, n)
                | {"control": chance, "control_low": chance - 0.05, "control_high": chance + 0.05}
                | {"n_nets": n, "n_slices": 8 * n, "slice_length": 5000, "part": "all"}
                | {"running_stats": True, "snapshots": "-1", "folds": 5, "seeds": "0, 1, 2"}
            )
    return pl.DataFrame(rows)


def where_frame(properties=PROPERTIES) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    rows = []

    def add(name, axis, place, start, stop, accuracy, running_stats=True, length=5000):
        rows.append(
            {"property": name, "axis": axis, "place": place, "start": start, "stop": stop}
            | spread(float(np.clip(accuracy + rng.normal(0, 0.02), 0, 1)))
            | {"chance": (c := 1 / properties[name][0]), "n_nets": NETS}
            | {"control_low": c - 0.06, "control_high": c + 0.06}
            | {"running_stats": running_stats, "slice_length": length}
        )

    for name, (levels, end, _, best) in properties.items():
        gain = end - 1 / levels
        for i in range(20):
            reach = 0.4 + 0.6 * np.exp(-(((i + 0.5) / 20 - best) ** 2) / 0.03)
            add(name, "position", str(i + 1), i / 20, (i + 1) / 20, 1 / levels + gain * reach)
        for part, start, stop, share in (("conv", 0.0, 0.18, 0.9), ("fc", 0.18, 1.0, 0.7)):
            for running in (True, False):
                accuracy = 1 / levels + gain * share * (1 if running else 0.8)
                add(name, "part", part, start, stop, accuracy, running)
        for k, place in enumerate(
            ("first conv", "middle conv", "last conv", "first fc", "last fc")
        ):
            add(name, "depth", place, k / 5, (k + 1) / 5, 1 / levels + gain * 0.6, length=400)
    return pl.DataFrame(rows, schema=WHERE_COLUMNS)


def when_frame(properties=PROPERTIES, snapshots: int = 20) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    rows = []
    for name, (levels, end, start, _) in properties.items():
        for k in range(snapshots):
            fraction = k / (snapshots - 1)
            accuracy = end + (start - end) * np.exp(-fraction / 0.15) + rng.normal(0, 0.01)
            rows.append(
                {"property": name, "snapshot": k + 1, "fraction": fraction}
                | spread(float(np.clip(accuracy, 0, 1)))
                | {"chance": (c := 1 / levels), "n_nets": NETS}
                | {"control_low": c - 0.06, "control_high": c + 0.06}
                | {"running_stats": True, "slice_length": 5000}
            )
    return pl.DataFrame(rows, schema=WHEN_COLUMNS)


def training_frame(datasets=DATASETS, snapshots: int = 20) -> pl.DataFrame:
    rows = [
        {"dataset": name, "snapshot": k + 1, "fraction": k / (snapshots - 1)}
        | {"accuracy": (a := end + (0.1 - end) * float(np.exp(-5 * k / (snapshots - 1))))}
        | {"low": 0.8 * a, "high": min(1, 1.08 * a), "n_nets": NETS // len(datasets)}
        for name, end in datasets.items()
        for k in range(snapshots)
    ]
    return pl.DataFrame(rows, schema=TRAINING_COLUMNS)


def facts(datasets=DATASETS) -> dict:
    return {
        "space": "nws-fixed",
        "nets": NETS,
        "dead": 7,
        "diverged": 3,
        "left_out": 3,
        "layouts": 1,
        "snapshots": 20,
        "vectors": 6000,
        "values": 557_208_000,
        "datasets": list(datasets),
        "properties": list(PROPERTIES),
        "boundaries": [
            {"name": "conv1", "part": "conv", "start": 0.0, "stop": 0.02},
            {"name": "conv2", "part": "conv", "start": 0.02, "stop": 0.07},
            {"name": "conv3", "part": "conv", "start": 0.07, "stop": 0.18},
            {"name": "fc1", "part": "fc", "start": 0.18, "stop": 0.9},
            {"name": "fc2", "part": "fc", "start": 0.9, "stop": 0.98},
            {"name": "output", "part": "fc", "start": 0.98, "stop": 1.0},
        ],
        "seeds": [0, 1, 2],
        "versions": {"weightspace": "0.1.0", "numpy": "2.3.0", "scikit-learn": "1.7.0"},
        "seconds": 28.4,
        "command": "weightspace dissect my-zoo",
    }


def made_up(much=None, where=None, when=None, training=None, **extra) -> Dissection:
    return Dissection(
        MadeUpEvaluation(much_frame() if much is None else much),
        Where(where_frame() if where is None else where),
        When(when_frame() if when is None else when),
        Training(training_frame() if training is None else training),
        facts() | extra,
    )
