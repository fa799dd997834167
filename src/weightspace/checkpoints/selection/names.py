"""The names in the net: without the prefixes of wrappers, and without averages and older copies."""

from __future__ import annotations

import re

from weightspace.checkpoints.selection.states import AVERAGE
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note

_WRAPPERS = re.compile(r"^(module\.)+")
_KEY_ENCODER = re.compile(r"(^|\.)encoder_k$")  # of momentum contrast
_MARKS = re.compile(r"[./]")
_MOST_TRIED = 50
_SAME = 0.9  # the share of an average's tensors that the net has, too


def without_prefix(name: str) -> str:
    """A name in the net, without the prefixes of wrappers for training."""
    return _WRAPPERS.sub("", name.replace("_orig_mod.", ""))


def without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names in the net, without the prefixes of wrappers for training."""
    short = {without_prefix(name): tensor for name, tensor in tensors.items()}
    return short if len(short) == len(tensors) else tensors


def without_averages(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[Note]]:
    """The tensors without averages and older copies of others in the same dict, and their notes.

    These have the same shapes as the net and its names, after a prefix that says what they are,
    such as `model_ema.`, `target_` or `oldpi/`; dots may be missing in their names.
    """
    groups: dict[str, dict[str, str]] = {}  # prefix -> suffix without dots -> name
    for name in tensors:
        if prefix := _average_prefix(name):
            suffix = _WRAPPERS.sub("", name[len(prefix) :])
            groups.setdefault(prefix, {})[_dotless(suffix)] = name
    averaged = {name for own in groups.values() for name in own.values()}
    others = {_dotless(name): name for name in tensors if name not in averaged}
    dropped: dict[str, str] = {}
    for prefix, own in groups.items():
        if source := _source(prefix, own, others, tensors):
            dropped |= dict.fromkeys(own.values(), f"{_what(prefix)} of {source}")
    kept = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    notes = [
        Note(name, tensors[name].shape, tensors[name].dtype_name, reason)
        for name, reason in dropped.items()
    ]
    return kept, notes


def _what(prefix: str) -> str:
    """What a group is, in words."""
    found = AVERAGE.search(prefix)
    if found and found["old"]:
        return "an older copy"
    if found and found[2].lower() == "target":
        return "a moving average or an older copy"
    return "a moving average"


def _average_prefix(name: str) -> str:
    """The name up to the component that says that it is an average; empty if none does."""
    start = 0
    for mark in _MARKS.finditer(name):
        part = name[start : mark.start()]
        if AVERAGE.search(part) or _KEY_ENCODER.search(part):
            return name[: mark.end()]
        start = mark.end()
    return ""


def _dotless(name: str) -> str:
    return _MARKS.sub("", name)


def _source(
    prefix: str, own: dict[str, str], others: dict[str, str], tensors: dict[str, Tensor]
) -> str:
    """The tensors of which these are the averages, in words; empty if there are none.

    If several have their shapes, it is those whose name is the prefix without the telling word.
    """
    first = next(iter(own))
    tried = [name.removesuffix(first) for name in others if name.endswith(first)][:_MOST_TRIED]
    plain = _dotless(AVERAGE.sub("", prefix)).strip("_-")
    tried.sort(key=lambda one: one.strip("_-") != plain)
    shaped = {suffix: name for suffix, name in own.items() if tensors[name].shape}
    for one in tried:
        same = sum(
            one + suffix in others and tensors[others[one + suffix]].shape == tensors[name].shape
            for suffix, name in shaped.items()
        )
        if same and same >= _SAME * len(shaped):
            end = own[first][len(prefix) :]
            under = others[one + first].removesuffix(end).rstrip("./") if one else ""
            return f"the tensors under {under}" if under else "the other tensors"
    return ""
