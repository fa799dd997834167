"""Counts, measures and settings of a training that a file keeps beside the weights."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weightspace.checkpoints.inspection.optimizers import number
from weightspace.checkpoints.pickling.records import Record, plain, word
from weightspace.checkpoints.selection.walk import items
from weightspace.checkpoints.tensors import Tensor, Values

_SETTINGS = re.compile(
    r"^(args?|hparams|hyper_?parameters|config|cfg|opts?|options|train(ing)?_(args|config)|kwargs|"
    r"model_(args|config|kwargs)|datamodule_hyper_parameters|settings|flags)$",
    re.IGNORECASE,
)
_COUNTER = "num_batches_tracked"
_EPOCH = re.compile(r"^(start_?|last_?|cur(rent)?_?|best_?)?epochs?$", re.IGNORECASE)
_STEP = re.compile(r"^(global_?|n_?|num_?|total_?)?(steps?|iters?|iterations?|it)$", re.IGNORECASE)


@dataclass(frozen=True)
class Fact:
    """Something that a file says about itself.

    Attributes
    ----------
    kind : str
        "epoch", "step", "settings", "metadata" or "other".
    name : str
        Its last key.
    value : object
        Text, a number, or lists and dicts of such.
    where : str
        Its keys in the file, joined by "/".
    """

    kind: str
    name: str
    value: Any
    where: str


def is_settings(where: str, node: Any) -> bool:
    """Whether a node's last key says that it holds settings of a training, and it does."""
    named = bool(_SETTINGS.match(where.rpartition("/")[2]))
    return named and any(isinstance(v, bool | int | float | str) for _, v in items(node))


def settings(where: str, node: Any) -> Fact:
    """The settings that a node holds."""
    return Fact("settings", where.rpartition("/")[2], plain(node), where)


def numbers(where: str, node: Mapping[Any, Any] | Record, values: Values) -> Iterator[Fact]:
    """The text and numbers directly in a node, tensors of one value among them."""
    prefix = f"{where}/" if where else ""
    for key, value in items(node):
        name = word(key)[:200]
        if isinstance(value, Tensor) and not value.shape and not name.endswith(_COUNTER):
            one = number(value, values)
            yield Fact(_kind(name, one), name, one, f"{prefix}{name}")
        elif isinstance(value, bool | int | float | str) or value is None:
            yield Fact(_kind(name, value), name, plain(value), f"{prefix}{name}")


def _kind(name: str, value: Any) -> str:
    if isinstance(value, int | float) and _EPOCH.match(name) and not isinstance(value, bool):
        return "epoch"  # a part of one, too
    if isinstance(value, int) and _STEP.match(name) and not isinstance(value, bool):
        return "step"
    return "other"
