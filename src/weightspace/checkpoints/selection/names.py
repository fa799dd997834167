"""The names in the net: without the prefixes of wrappers, and without moving averages."""

from __future__ import annotations

import re

from weightspace.checkpoints.selection.states import AVERAGE
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note

_WRAPPERS = re.compile(r"^(module\.)+")
_KEY_ENCODER = re.compile(r"(^|\.)encoder_k$")  # of momentum contrast
_MOST_TRIED = 50
_SAME = 0.9  # the share of an average's tensors that the net has, too


def without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names in the net, without the prefixes of wrappers for training."""
    short = {
        _WRAPPERS.sub("", name.replace("_orig_mod.", "")): tensor
        for name, tensor in tensors.items()
    }
    return short if len(short) == len(tensors) else tensors


def without_averages(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Note]]:
    """The tensors without moving averages of others in the same dict, and notes of these.

    A moving average has the same shapes as the net and its names, after a prefix that says what it
    is, such as `model_ema.`; dots may be missing in its names.
    """
    groups: dict[str, dict[str, str]] = {}  # prefix -> suffix without dots -> name
    for name in tensors:
        if prefix := _average_prefix(name):
            suffix = _WRAPPERS.sub("", name[len(prefix) :])
            groups.setdefault(prefix, {})[_dotless(suffix)] = name
    averaged = {name for own in groups.values() for name in own.values()}
    others = {_dotless(name): name for name in tensors if name not in averaged}
    dropped: dict[str, str] = {}
    for own in groups.values():
        if source := _source(own, others, tensors):
            dropped |= dict.fromkeys(own.values(), source)
    kept = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    notes = [
        Note(name, tensors[name].shape, tensors[name].dtype_name, f"a moving average of {source}")
        for name, source in dropped.items()
    ]
    return kept, notes


def _average_prefix(name: str) -> str:
    """The name up to the component that says that it is an average; empty if none does."""
    parts = name.split(".")
    for number, part in enumerate(parts[:-1], 1):
        if AVERAGE.search(part) or _KEY_ENCODER.search(part):
            return ".".join(parts[:number]) + "."
    return ""


def _dotless(name: str) -> str:
    return name.replace(".", "")


def _source(own: dict[str, str], others: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """The tensors of which these are the averages, in words; empty if there are none."""
    first = next(iter(own))
    tried = [name.removesuffix(first) for name in others if name.endswith(first)][:_MOST_TRIED]
    shaped = {suffix: name for suffix, name in own.items() if tensors[name].shape}
    for prefix in tried:
        same = sum(
            prefix + suffix in others
            and tensors[others[prefix + suffix]].shape == tensors[name].shape
            for suffix, name in shaped.items()
        )
        if same and same >= _SAME * len(shaped):
            return f"the tensors under {prefix}" if prefix else "the other tensors"
    return ""
