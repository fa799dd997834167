"""Writes nets in the form of the NWS data set from TensorFlow's own arrangement of their values."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

HEADER = [
    *("dataset", "lrate", "batch_size", "batch_norm", "augmentation", "optimizer", "activation"),
    *("initialization", "filter_size", "depth_conv", "depth_fc", "width_conv", "width_fc"),
]
SMALL = ["mnist", 0.0012345678901234567, 64, True, False, 2, 3, 1, 3, 3, 2, 4, 64]
"""Cells of the smallest net of the grid: 21,260 values."""
EPOCHS = 33


class Net:
    """One net as TensorFlow holds it: kernels [rows, columns, in, out], dense [in, out], NHWC."""

    def __init__(self, cells: list, seed: int) -> None:
        self.cells = dict(zip(HEADER, cells, strict=True))
        rng = np.random.default_rng(seed)
        size, width, channels = self.cells["filter_size"], self.cells["width_conv"], 3
        surplus = self.cells["depth_conv"] - 3
        self.blocks: list[list[dict[str, np.ndarray]]] = []
        for block in range(3):
            layers = []
            for _ in range(1 + (block >= 3 - surplus)):
                shape = (size, size, channels, width * 2**block)
                layers.append(_layer(rng, shape, norm=True))
                channels = shape[-1]
            self.blocks.append(layers)
        self.dense = []
        features = 4 * 4 * channels
        for i in range(self.cells["depth_fc"]):
            out = self.cells["width_fc"] >> i
            self.dense.append(_layer(rng, (features, out), norm=True))
            features = out
        self.last = _layer(rng, (features, 20), norm=False)

    @property
    def conv(self) -> list[dict[str, np.ndarray]]:
        return [layer for block in self.blocks for layer in block]

    def values(self) -> np.ndarray:
        """All values in the order of the data set's files, float32."""
        return np.concatenate([_flat(layer) for layer in [*self.conv, *self.dense, self.last]])

    def sizes(self) -> tuple[int, int]:
        conv = sum(len(_flat(layer)) for layer in self.conv)
        return conv, len(self.values()) - conv

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The net's answer to images [B, 32, 32, 3], float64 [B, 20]; tanh throughout."""
        for block in self.blocks:
            for layer in block:
                x = np.tanh(_norm(_convolved(x, layer["W"]) + layer["b"], layer))
            b, rows, columns, channels = x.shape
            x = x.reshape(b, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))
        x = x.reshape(len(x), -1)
        for layer in self.dense:
            x = _norm(np.tanh(x @ layer["W"] + layer["b"]), layer)
        return x @ self.last["W"] + self.last["b"]

    def write(self, folder: Path, snapshots: int = 20, history: np.ndarray | None = None) -> None:
        """The net's folder; snapshot k holds the values times k / snapshots."""
        (folder / "weights").mkdir(parents=True)
        for k in range(1, snapshots + 1):
            share = self.values() * np.float32(k / snapshots)
            share.astype(np.float64).tofile(folder / "weights" / f"{k:03d}.bin")
        errors = made_up_history() if history is None else history
        errors.tofile(folder / "error.bin")
        np.array([len(errors), errors[-1, 0], len(errors) - 1.25, 77.5]).tofile(folder / "stat.bin")
        with (folder / "meta.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerow(self.cells.values())


def made_up_history(epochs: int = EPOCHS) -> np.ndarray:
    rng = np.random.default_rng(epochs)
    wrong = 100 * (1 - rng.random((epochs, 4)))
    return np.concatenate([703.0 * np.arange(epochs)[:, None], wrong], axis=1)


def write_table(path: Path, nets: dict[str, Net], changed: dict[str, dict] | None = None) -> None:
    """A split table: a row for each net by its path; `changed` replaces cells."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*HEADER, "weightn_conv", "weightn_fc", "path"])
        for name, net in nets.items():
            cells = net.cells | dict(zip(("weightn_conv", "weightn_fc"), net.sizes(), strict=True))
            cells |= {"path": name} | (changed or {}).get(name, {})
            writer.writerow(cells.values())


def _layer(rng: np.random.Generator, shape: tuple[int, ...], norm: bool) -> dict[str, np.ndarray]:
    """Kernel, bias, and in the order of their making beta, gamma, mean and variance."""
    out = shape[-1]
    layer = {"W": rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])), "b": rng.normal(size=out)}
    if norm:
        layer |= {"beta": rng.normal(size=out), "gamma": 1 + rng.random(out)}
        layer |= {"mean": rng.normal(size=out), "variance": 0.5 + rng.random(out)}
    return {name: values.astype(np.float32) for name, values in layer.items()}


def _flat(layer: dict[str, np.ndarray]) -> np.ndarray:
    """A layer's values: output unit slowest, then input, then row, then column."""
    kernel, *rest = layer.values()
    pieces = []
    for out in range(kernel.shape[-1]):
        if kernel.ndim == 2:
            pieces.append(kernel[:, out])
        else:
            pieces += [kernel[:, :, i, out].ravel() for i in range(kernel.shape[2])]
    return np.concatenate([*pieces, *rest])


def _convolved(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    size = kernel.shape[0]
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    return sum(
        padded[:, i : i + x.shape[1], j : j + x.shape[2]] @ kernel[i, j].astype(np.float64)
        for i in range(size)
        for j in range(size)
    )


def _norm(x: np.ndarray, layer: dict[str, np.ndarray]) -> np.ndarray:
    scaled = (x - layer["mean"]) / np.sqrt(layer["variance"].astype(np.float64) + 1e-5)
    return layer["gamma"] * scaled + layer["beta"]
