"""The format of the NWS data set: columns, codes, common settings, the order of its vectors.

Eilertsen et al., ECAI 2020; taken from the data set's own scripts
(github.com/gabrieleilertsen/nws).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from weightspace.networks import Layout, Plan
from weightspace.space import Recipe, Uniform

SNAPSHOTS = 20
COLUMNS = {
    "dataset": "dataset",
    "lrate": "learning_rate",
    "batch_size": "batch_size",
    "batch_norm": "batch_norm",
    "augmentation": "augmentation",
    "optimizer": "optimizer",
    "activation": "activation",
    "initialization": "initialization",
    "filter_size": "filter_size",
    "depth_conv": "depth_conv",
    "depth_fc": "depth_fc",
    "width_conv": "width_conv",
    "width_fc": "width_fc",
}
"""The columns of meta.csv, in order, and their hyper-parameters."""
SIZES = ("weightn_conv", "weightn_fc")
"""Columns of a split table before `path`: the numbers of values in conv and FC layers."""
CODES: dict[str, dict[str, str]] = {
    "dataset": {
        "mnist": "mnist",
        "cifar10": "cifar10",
        "svhn": "svhn",
        "stl10": "stl10",
        "fashion": "fashion_mnist",
    },
    "optimizer": {"0": "adam", "1": "rmsprop", "2": "momentum"},
    "activation": {"0": "relu", "1": "elu", "2": "sigmoid", "3": "tanh"},
    "initialization": {"0": "constant", "1": "normal", "2": "glorot_uniform", "3": "glorot_normal"},
}
GEOMETRY = {"architecture": "nws", "blocks": 3, "input_size": 32, "channels": 3, "outputs": 20}
"""Settings without a column that determine a vector's length and meaning, equal for all nets."""
SHARED: dict[str, Any] = GEOMETRY | {
    "dropout": 0.5,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "label_noise": 0.0,
    # The scripts set a decay, but it never takes effect.
    "learning_rate_decay": 1.0,
    "train_images": 0,
    "train_fraction": 1.0,
    "epochs": 1000,
    "stopping": "convergence",
}
RANGES = {"learning_rate": Uniform(0.0002, 0.005)}


@dataclass(frozen=True)
class Order:
    """The order of a net's values; it differs from the zoo's only in the first dense layer.

    TensorFlow flattens rows, columns, channels; a zoo's vectors have channels, rows, columns.
    """

    layout: Layout
    start: int
    outputs: int
    side: int
    width: int

    @classmethod
    def of(cls, recipe: Recipe) -> Order:
        """The order for nets of this recipe."""
        plan = Plan.from_recipe(recipe)
        layout = plan.layout()
        first = next(t for t in layout.tensors if t.part == "fc")
        width, side, _ = plan.unflattened
        return cls(layout, first.offset, first.shape[0], side, width)

    def to_zoo(self, values: np.ndarray) -> np.ndarray:
        """Convert a vector [P] of the data set to a zoo's."""
        return self._swapped(values, (self.outputs, self.side, self.side, self.width), (0, 3, 1, 2))

    def from_zoo(self, values: np.ndarray) -> np.ndarray:
        """Convert a zoo's vector [P] to the data set's."""
        return self._swapped(values, (self.outputs, self.width, self.side, self.side), (0, 2, 3, 1))

    def _swapped(
        self, values: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]
    ) -> np.ndarray:
        found = values.copy()
        here = slice(self.start, self.start + int(np.prod(shape)))
        found[here] = values[here].reshape(shape).transpose(axes).reshape(-1)
        return found


def count(layout: Layout, part: str) -> int:
    """The number of values in a part of a net, without making them."""
    return sum(stop - start for start, stop in layout.select(part))


def moments(rows: int) -> np.ndarray:
    """The row of error.bin, from 0, for each of the 20 snapshots: int64 [20]."""
    return np.round(np.linspace(0, rows - 1, SNAPSHOTS)).astype(np.int64)


def code_of(column: str, value: Any) -> str | None:
    """How a table writes a hyper-parameter; None if the data set has no code for it."""
    if column in CODES:
        return {word: code for code, word in CODES[column].items()}.get(value)
    return repr(value) if isinstance(value, float) else str(value)


def recipe_of(said: Mapping[str, Any]) -> Recipe:
    """The recipe of a net with these columns, to know its shape."""
    return Recipe.from_dict(SHARED | {name: said[name] for name in COLUMNS.values()})
