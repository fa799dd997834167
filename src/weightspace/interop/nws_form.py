"""The NWS data set's form: columns, codes, what all its nets share, the order of its vectors.

Eilertsen et al., ECAI 2020; read off the data set's own scripts (github.com/gabrieleilertsen/nws).
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
"""Columns of meta.csv, in order, and the hyper-parameters that they hold."""
SIZES = ("weightn_conv", "weightn_fc")
"""Columns of a split table before `path`: how many values the conv and FC layers have."""
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
"""What decides a vector's length and meaning besides the columns, and is the same for all nets."""
SHARED: dict[str, Any] = GEOMETRY | {
    "dropout": 0.5,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "label_noise": 0.0,
    # The decay that the scripts mean to apply never takes effect.
    "learning_rate_decay": 1.0,
    "train_images": 0,
    "train_fraction": 1.0,
    "epochs": 1000,
    "stopping": "convergence",
}
RANGES = {"learning_rate": Uniform(0.0002, 0.005)}


@dataclass(frozen=True)
class Order:
    """The order of a net's values, which differs from the zoo's in the first dense layer alone.

    TensorFlow flattens rows, columns, channels; a zoo's vectors channels, rows, columns.
    """

    layout: Layout
    start: int
    outputs: int
    side: int
    width: int

    @classmethod
    def of(cls, recipe: Recipe) -> Order:
        """The order of the nets of this recipe."""
        plan = Plan.from_recipe(recipe)
        layout = plan.layout()
        first = next(t for t in layout.tensors if t.part == "fc")
        return cls(layout, first.offset, first.shape[0], plan.sides[-1], plan.conv[-1].width)

    def to_zoo(self, values: np.ndarray) -> np.ndarray:
        """A vector [P] of the data set as a zoo has it."""
        return self._swapped(values, (self.outputs, self.side, self.side, self.width), (0, 3, 1, 2))

    def from_zoo(self, values: np.ndarray) -> np.ndarray:
        """A zoo's vector [P] as the data set has it."""
        return self._swapped(values, (self.outputs, self.width, self.side, self.side), (0, 2, 3, 1))

    def _swapped(
        self, values: np.ndarray, shape: tuple[int, ...], axes: tuple[int, ...]
    ) -> np.ndarray:
        found = values.copy()
        here = slice(self.start, self.start + int(np.prod(shape)))
        found[here] = values[here].reshape(shape).transpose(axes).reshape(-1)
        return found


def count(layout: Layout, part: str) -> int:
    """How many values a part of a net has; none of them is made."""
    return sum(stop - start for start, stop in layout.select(part))


def moments(rows: int) -> np.ndarray:
    """Which row of error.bin, from 0, belongs to each of the 20 snapshots: int64 [20]."""
    return np.round(np.linspace(0, rows - 1, SNAPSHOTS)).astype(np.int64)


def code_of(column: str, value: Any) -> str | None:
    """How a table writes a hyper-parameter; None where the data set has no code for it."""
    if column in CODES:
        return {word: code for code, word in CODES[column].items()}.get(value)
    return repr(value) if isinstance(value, float) else str(value)


def recipe_of(said: Mapping[str, Any]) -> Recipe:
    """The recipe of a net of which the columns are known, for its shape."""
    return Recipe.from_dict(SHARED | {name: said[name] for name in COLUMNS.values()})
