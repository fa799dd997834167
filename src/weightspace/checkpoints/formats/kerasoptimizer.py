"""What a Keras file says of its optimizer: the class, the settings, and the count of steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from weightspace.checkpoints.formats.hdf5 import Hdf5
from weightspace.checkpoints.formats.kerasnames import snake
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.tensors import Tensor, Values
from weightspace.printable import printable

_CLASSES = (
    "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion",
    "LossScaleOptimizer", "Muon", "Nadam", "RMSprop", "SGD",
)  # fmt: skip
_BY_NAME = {name.lower(): name for name in _CLASSES}
_NAMED = {"iteration": "iteration", "iter": "iteration", "learning_rate": "learning_rate"}
_NUMBERED = {"0": "iteration", "1": "learning_rate"}


def optimizer_of(file: Hdf5, values: Values, config: Any) -> dict[str, Any] | None:
    """The optimizer of a file as a fact; None if it says nothing of one.

    Keys are `class_name`, `where`, `config`, `variables` (how many tensors it keeps), and
    `iteration` and `learning_rate`, where they are stored.
    """
    where, said = _said(config)
    try:
        count, stored, name = _stored(file)
    except Refusal:  # the weights of the net can be read all the same
        count, stored, name = 0, {}, ""
    if not said and not stored:
        return None
    kind = said.get("class_name")
    if not isinstance(kind, str):
        kind = _BY_NAME.get(snake(name).replace("_", ""), "unknown")
    settings = said.get("config")
    found: dict[str, Any] = {
        "class_name": printable(kind, 60),
        "where": where or "optimizer",
        "config": settings if isinstance(settings, Mapping) else {},
        "variables": count,
    }
    for key, tensor in stored.items():
        number = values.read(tensor).reshape(-1)[0].item()
        if isinstance(number, int | float) and math.isfinite(number):
            found[key] = number
    return found


def _said(config: Any) -> tuple[str, Mapping[str, Any]]:
    """Where a configuration names the optimizer, and what it says."""
    for place in ("training_config/optimizer_config", "config/compile_config/optimizer"):
        node = config
        for key in place.split("/")[1:]:
            node = node.get(key) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping) and node:
            return place, node
    return "", {}


def _stored(file: Hdf5) -> tuple[int, dict[str, Tensor], str]:
    """How many tensors an optimizer keeps, its count of steps and learning rate, and its name.

    Keras 3 numbers its variables: the count of steps, the learning rate unless a schedule gives it,
    then the others.
    """
    numbered = (group := file.inner(file.root, "optimizer_weights")) is None
    if group is None and (group := file.inner(file.root, "optimizer/vars")) is None:
        return 0, {}, ""
    name = next(iter(file.texts(group, "name")), "")
    count = 0
    found: dict[str, Tensor] = {}
    for path, dataset in file.datasets(group):
        leaf = path.rpartition("/")[2].partition(":")[0]
        what = (_NUMBERED if numbered else _NAMED).get(leaf, "")
        name = name or path.partition("/")[0]
        tensor = file.tensor(dataset, path) if what and not file.shape(dataset) else None
        if tensor is None or tensor.kind or (what == "iteration") == tensor.dtype.floating:
            count += 1
        else:
            found[what] = tensor
    return count, found, name
