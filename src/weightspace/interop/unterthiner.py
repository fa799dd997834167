"""The form "unterthiner" of an import: the Small CNN Zoo, a matrix of vectors and a table.

Unterthiner et al., "Predicting neural network accuracy from weights", 2020. Its README and code
(google-research/dnn_predict_accuracy) describe files and columns; `layout.csv` was seen in copies
that others published.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError
from weightspace.interop import sheets
from weightspace.interop.arrivals import Arrival, LeftOut, Origin, Vectors, sparing
from weightspace.interop.inside import folders
from weightspace.interop.matrices import Matrix
from weightspace.interop.words import word
from weightspace.networks import Layout, TensorSpec
from weightspace.printable import printable

ORIGIN = Origin(
    "unterthiner",
    "small-cnn-zoo",
    "Nets of the Small CNN Zoo (Unterthiner et al., 2020), imported.",
)
_LAYOUT = ("varname", "start_idx", "end_idx", "size", "shape")
_SETTINGS = {
    "config.dataset": "dataset",
    "config.learning_rate": "learning_rate",
    "config.optimizer": "optimizer",
    "config.activation": "activation",
    "config.w_init": "initialization",
    "config.num_layers": "depth_conv",
    "config.num_units": "width_conv",
    "config.dropout": "dropout",
    "config.l2reg": "weight_decay",
    "config.train_fraction": "train_fraction",
    "config.epochs": "epochs",
    "config.random_seed": "seed",
}
_METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
_REQUIRED = (*_SETTINGS, "modeldir", "step", *_METRICS)
_BESIDE = (
    "",
    "Unnamed: 0",
    "config.b_init",
    "config.dnn_architecture",
    "config.epochs_between_checkpoints",
    "config.init_std",
    "laststep",
)
_ARCHITECTURE = {
    "architecture": "small_cnn_zoo",  # strides and a mean over the image; no plan here has them
    "filter_size": 3,
    "depth_fc": 0,
    "channels": 1,
    "batch_norm": False,
}
_SIDES = {"mnist": 28, "fashion_mnist": 28, "cifar10": 32, "svhn_cropped": 32}
_WORDS = {
    "dataset": {"svhn_cropped": "svhn"},
    "initialization": {"randomnormal": "random_normal", "truncatednormal": "truncated_normal"},
}
_SHAPE = re.compile(r"\s*\(\s*(\d{1,9}\s*(,\s*\d{1,9}\s*){0,3}),?\s*\)\s*")

_LARGEST_ROW = 2**24  # values of a net; nets of the data set have 4,970


def arrivals(
    folder: InnerPath, *, rounded: bool = False, left_out: LeftOut | None = None
) -> Iterator[Arrival]:
    """The nets in a folder with weights.npy, metrics.csv and layout.csv, or in its subfolders."""
    for collection in (folder, *folders(folder)):
        if disk.exists(collection / "weights.npy"):
            prefix = f"{collection.thing}-" if collection.parts else ""
            yield from _collection(collection, prefix.replace("_", "-"), left_out)


def _collection(folder: InnerPath, prefix: str, left_out: LeftOut | None) -> Iterator[Arrival]:
    """The nets of one matrix; rows with the same model directory are the snapshots of one net."""
    pieces, layout = _layout(folder / "layout.csv")
    nets, wrong, count = _nets(_table(folder), left_out)
    weights = _weights(folder / "weights.npy", count, layout.size)
    for number, (net, rows) in enumerate(nets.items()):
        if net in wrong:
            continue
        with sparing(net, left_out):
            rows.sort(key=lambda row: row.epoch)
            for row in rows[1:]:
                sheets.agree(row.said, rows[0].said, f"net {printable(net)}", row.place)
            yield Arrival(
                source=net,
                recipe=rows[0].said,
                moments=[row.moment for row in rows],
                read=partial(_read, weights, [row.number for row in rows], pieces, layout),
                name=f"{prefix}{number:05d}",
                facts=rows[0].facts,
            )


def _nets(
    table: InnerPath, left_out: LeftOut | None
) -> tuple[dict[str, list[_Row]], set[str], int]:
    """The rows of each net, the nets with a row that was left out, and the number of rows."""
    nets: dict[str, list[_Row]] = defaultdict(list)
    wrong: set[str] = set()
    count = 0
    for place, cells in sheets.rows(table, _REQUIRED, _BESIDE):
        net = cells["modeldir"].strip().removesuffix("/")
        if not net:
            raise DataError(place, "modeldir: is empty, so the net of this row is not known")
        own = nets[net]  # its place among the nets decides the name, whatever is in the row
        try:
            own.append(_Row.of(count, cells, place).beside(own))
        except DataError as error:
            if left_out is None:
                raise
            if net not in wrong:
                left_out(net, error)
            wrong.add(net)
        count += 1
    return nets, wrong, count


@dataclass(frozen=True)
class _Row:
    """A row of the table of metrics: one snapshot of one net."""

    number: int
    net: str
    place: str
    epoch: float
    said: Mapping[str, Any]
    moment: Mapping[str, Any]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, number: int, cells: Mapping[str, str], place: str) -> _Row:
        # The column step counts epochs: the last is 86, the same as config.epochs.
        epoch = sheets.number("step", cells["step"], place)
        if epoch is None:
            raise DataError(place, "step: is empty", "fill it in")
        metrics = {name: sheets.number(name, cells[name], place) for name in _METRICS}
        facts: dict[str, Any] = {}
        if (biases := cells.get("config.b_init")) is not None:
            facts["b_init"] = printable(biases)
        if (spread := cells.get("config.init_std")) is not None:
            facts["init_std"] = sheets.number("config.init_std", spread, place)
        return cls(
            number=number,
            net=cells["modeldir"].strip().removesuffix("/"),
            place=place,
            epoch=epoch,
            said=_said(cells, place),
            moment={"step": None, "epoch": epoch, **metrics},
            facts={name: value for name, value in facts.items() if value is not None},
        )

    def beside(self, others: list[_Row]) -> _Row:
        """The row, sharing equal facts with the row before, because a table has a million rows."""
        if others and (others[-1].said, others[-1].facts) == (self.said, self.facts):
            return replace(self, said=others[-1].said, facts=others[-1].facts)
        return self


def _said(cells: Mapping[str, str], place: str) -> dict[str, Any]:
    said: dict[str, Any] = dict(_ARCHITECTURE)
    side = _SIDES.get(cells["config.dataset"].strip().lower())
    if side:
        said["input_size"] = side
    for column, name in _SETTINGS.items():
        value = sheets.value(name, cells[column], place)
        if isinstance(value, str):
            value = word(column, value, place, _WORDS.get(name, {}))
        said[name] = value
    return {name: value for name, value in said.items() if value is not None}


@dataclass(frozen=True)
class _Piece:
    """A tensor in a row of the matrix: its first value, and its shape in TensorFlow's order."""

    start: int
    shape: tuple[int, ...]

    def of(self, row: np.ndarray) -> np.ndarray:
        """Its values in torch's order: outputs slowest, then inputs, rows, columns."""
        values = row[self.start : self.start + math.prod(self.shape)].reshape(self.shape)
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(len(self.shape))
        return (values.transpose(axes) if axes else values).reshape(-1)


def _layout(path: InnerPath) -> tuple[list[_Piece], Layout]:
    """The tensors in layout.csv, each layer's kernel before its bias, and their layout."""
    layers: dict[str, dict[str, _Piece]] = {}
    end = 0
    for place, cells in sheets.rows(
        path, _LAYOUT[:3] + _LAYOUT[4:], _LAYOUT[3:4], sheets.LARGEST_OF_ONE
    ):
        layer, _, leaf = cells["varname"].rpartition("/")
        leaf = leaf.removesuffix(":0")
        match = _SHAPE.fullmatch(cells["shape"])
        shape = tuple(map(int, match.group(1).split(","))) if match else ()
        start, stop = (sheets.number(name, cells[name], place, whole=True) for name in _LAYOUT[1:3])
        dimensions = {"kernel": (2, 4), "bias": (1,)}.get(leaf, ())
        if start != end or stop is None or len(shape) not in dimensions or min(shape) < 1:
            raise DataError(
                place,
                f"{printable(cells['varname'], 80)!r} is not a kernel or bias that begins at "
                f"{end:,} and has a shape like (3, 3, 16, 16)",
                "restore the file",
            )
        if stop > _LARGEST_ROW:
            raise DataError(
                place,
                f"ends at value {stop:,}, at most {_LARGEST_ROW:,} are read",
                "restore the file",
            )
        if stop - start != math.prod(shape) or leaf in layers.setdefault(layer, {}):
            raise DataError(
                place,
                f"{printable(cells['varname'], 80)}: {stop - start:,} values do not fit the "
                f"shape {shape}, or it is given twice",
                "restore the file",
            )
        layers[layer][leaf], end = _Piece(start, shape), stop
    if not layers or any("kernel" not in layer for layer in layers.values()):
        raise DataError(path, "names no layers with a kernel", "restore the file")
    return _placed(layers)


def _placed(layers: Mapping[str, Mapping[str, _Piece]]) -> tuple[list[_Piece], Layout]:
    pieces: list[_Piece] = []
    specs: list[TensorSpec] = []
    offset = conv = fc = 0
    dense = sum(len(layer["kernel"].shape) == 2 for layer in layers.values())
    for index, layer in enumerate(layers.values()):
        part = "fc" if len(layer["kernel"].shape) == 2 else "conv"
        conv, fc = conv + (part == "conv"), fc + (part == "fc")
        name = f"conv{conv}" if part == "conv" else "output" if fc == dense else f"fc{fc}"
        for leaf, role in (("kernel", "weight"), ("bias", "bias")):
            if leaf not in layer:
                continue
            shape = _torch_shape(layer[leaf].shape)
            pieces.append(layer[leaf])
            specs.append(TensorSpec(f"{name}.{role}", role, part, index, shape, offset))
            offset += specs[-1].size
    return pieces, Layout(tuple(specs))


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*reversed(shape[-2:]), *shape[:-2]) if len(shape) > 1 else shape


def _table(folder: InnerPath) -> InnerPath:
    found = [folder / name for name in ("metrics.csv", "metrics.csv.gz")]
    for place in found:
        if disk.exists(place):
            return place
    raise DataError(
        found[0], "does not exist, nor does metrics.csv.gz", "fetch it from the same place"
    )


def _weights(place: InnerPath, rows: int, size: int) -> Matrix:
    """The matrix, float32 [rows, size]."""
    found = Matrix.of(place)
    if (found.rows, found.size) != (rows, size):
        raise DataError(
            place,
            f"has {found.rows:,} rows of {found.size:,} values, the table has {rows:,} rows and "
            f"layout.csv {size:,} values",
            "take the three files of one collection",
        )
    return found


def _read(weights: Matrix, rows: list[int], pieces: list[_Piece], layout: Layout) -> Vectors:
    for values in weights.take(rows):
        yield layout, np.concatenate([piece.of(values) for piece in pieces])
