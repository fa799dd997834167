"""Folders in the form of the Small CNN Zoo."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import numpy as np

SHAPES = {
    "sequential/conv2d/bias:0": (16,),
    "sequential/conv2d/kernel:0": (3, 3, 1, 16),
    "sequential/conv2d_1/bias:0": (16,),
    "sequential/conv2d_1/kernel:0": (3, 3, 16, 16),
    "sequential/conv2d_2/bias:0": (16,),
    "sequential/conv2d_2/kernel:0": (3, 3, 16, 16),
    "sequential/dense/bias:0": (10,),
    "sequential/dense/kernel:0": (16, 10),
}
SIZE = 4970
COLUMNS = [
    "",
    *("config.activation", "config.b_init", "config.dataset", "config.dnn_architecture"),
    *("config.dropout", "config.epochs", "config.epochs_between_checkpoints", "config.init_std"),
    *("config.l2reg", "config.learning_rate", "config.num_layers", "config.num_units"),
    *("config.optimizer", "config.random_seed", "config.train_fraction", "config.w_init"),
    *("modeldir", "step", "test_accuracy", "test_loss", "train_accuracy", "train_loss"),
    "laststep",
]
"""As `metrics.csv.gz` has them; the first column, without a name, is a path."""


def row(net: int, epoch: int, **changed: object) -> dict[str, object]:
    rng = np.random.default_rng(net)
    found: dict[str, object] = {
        "": f"/dir/run/{net}/permanent_ckpt-{epoch}",
        "config.activation": ["relu", "tanh"][net % 2],
        "config.b_init": "zeros",
        "config.dataset": "svhn_cropped",
        "config.dnn_architecture": "cnn",
        "config.dropout": [0.0, 0.2, 0.45][net % 3],
        "config.epochs": 86,
        "config.epochs_between_checkpoints": 20,
        "config.init_std": 0.01,
        "config.l2reg": 1e-6 * 10 ** rng.random(),
        "config.learning_rate": 10 ** rng.uniform(-4, -1),
        "config.num_layers": 3,
        "config.num_units": 16,
        "config.optimizer": ["adam", "rmsprop", "sgd"][net % 3],
        "config.random_seed": 42,
        "config.train_fraction": [0.1, 0.25, 0.5, 1.0][net % 4],
        "config.w_init": ["he_normal", "RandomNormal", "orthogonal"][net % 3],
        "modeldir": f"/dir/run/{net}",
        "step": epoch,
        "test_accuracy": 0.1 + epoch / 100,
        "test_loss": 2.3 - epoch / 100,
        "train_accuracy": 0.2 + epoch / 125,
        "train_loss": 2.2,
        "laststep": epoch == 86,
    }
    assert list(found) == COLUMNS
    return found | changed


def vector(net: int, epoch: int) -> np.ndarray:
    rng = np.random.default_rng([net, epoch])
    return (rng.normal(size=SIZE) * (0.1 + 0.2 * (net % 2))).astype(np.float32)


def write(folder: Path, rows: list[dict[str, object]], packed: bool = True) -> None:
    folder.mkdir(parents=True)
    matrix = [vector(int(str(r["modeldir"]).split("/")[-1]), int(str(r["step"]))) for r in rows]
    np.save(folder / "weights.npy", np.stack(matrix))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    if packed:
        (folder / "metrics.csv.gz").write_bytes(gzip.compress(text.getvalue().encode()))
    else:
        (folder / "metrics.csv").write_text(text.getvalue(), newline="")
    with (folder / "layout.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["varname", "start_idx", "end_idx", "size", "shape"])
        end = 0
        for name, shape in SHAPES.items():
            start, end = end, end + int(np.prod(shape))
            table.writerow([name, start, end, end - start, str(shape)])
    assert end == SIZE
