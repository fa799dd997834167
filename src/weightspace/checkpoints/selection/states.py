"""The state dicts in a torch file or another nest of dicts, and which of them is the net."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from weightspace.checkpoints.dtypes import DType
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.pickling.records import Ordered, Record, word
from weightspace.checkpoints.selection.modules import classes, is_module, of_module
from weightspace.checkpoints.selection.optax import is_optax
from weightspace.checkpoints.selection.walk import nodes
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note
from weightspace.printable import printable

USUAL = (
    "state_dict", "model_state_dict", "model_state", "model", "module", "net", "network", "params",
    "net_state_dict", "weights", "student", "backbone",
)  # fmt: skip
AVERAGE = re.compile(
    r"(^|[_.\-/])(ema|swa|averaged?|shadow|teacher|target|(?P<old>old(_?(pi|policy|actor|net))?))"
    r"(?=[_.\-/\d]|$)",
    re.IGNORECASE,
)  # target and old nets of reinforcement learning follow the net, too
MOST_ENTRIES = 2**15  # in a state dict; the largest nets have some 20,000 tensors in a file
_DEEPEST = 8  # a dict may contain itself
_MOST_LOOKS = 2**19  # at entries of dicts, in the search of one file
_FIRST_FEW = 64
_LEAVES = frozenset(
    (
        "kernel", "bias", "scale", "embedding", "mean", "var", "weight", "w", "b", "gamma", "beta",
        "weights", "biases", "alpha",
    )
)  # fmt: skip
_NAME_IT = "name the file of the weights"
_SETTINGS = ("Arguments", "Config", "Namespace")
_REASON = "a sparse, quantised or empty kind of tensor"


@dataclass(frozen=True)
class StateDict:
    """One state dict of a file.

    Attributes
    ----------
    key : str
        Where it is: keys joined by "/", "" for the whole content.
    tensors : dict of str to Tensor
        Names and tensors, in the order of the file.
    beside : tuple of Note
        Everything in the same dict that is not a usable tensor.
    attributes : dict
        What torch keeps with it, such as `_metadata`.
    modules : dict of str to str
        The class of each module, where it is a whole module.
    averaged : bool
        Whether the file says otherwise than by this key that it is a moving average.
    """

    key: str
    tensors: dict[str, Tensor]
    beside: tuple[Note, ...]
    attributes: Mapping[Any, Any]
    modules: Mapping[str, str] = field(default_factory=dict)
    averaged: bool = False

    @property
    def size(self) -> int:
        """The number of values."""
        return sum(tensor.size for tensor in self.tensors.values())

    @property
    def average(self) -> bool:
        """Whether it is a moving average or an older copy, by its key or what is beside it."""
        return self.averaged or bool(AVERAGE.search(self.key))


def choose(found: list[StateDict], key: str | None) -> StateDict:
    """The state dict of a key; without a key, that of the net.

    The net is the first by this order: trained weights before moving averages and older copies;
    then the key, by the order of `USUAL`, the whole content, other keys; then the number of values;
    then the order in the file.
    """
    if key is not None:
        for one in found:
            if key == one.key:
                return one
        named = [one for one in found if one.key.rpartition("/")[2] == key]
        if len(named) == 1:
            return named[0]
        known = ", ".join(printable(one.key, 60) or "''" for one in found[:20])
        raise Refusal(f"has no state dict under {printable(key, 60)!r}", f"known are {known}")
    return min(found, key=_rank)


def _rank(one: StateDict) -> tuple[bool, int, int]:
    last = one.key.rpartition("/")[2]
    place = USUAL.index(last) if last in USUAL else len(USUAL) + bool(one.key)
    return one.average, place, -one.size


def state_dicts(content: Any) -> list[StateDict]:
    """All state dicts in what a file holds, in the order of the file; Refusal if there is none."""
    found: list[StateDict] = []
    trees = _Trees()
    for key, node in _nodes(content, trees):
        if isinstance(node, Record):
            if is_module(node):
                tensors, notes = of_module(node)
                found.append(StateDict(key, tensors, notes, {}, dict(classes(node))))
        elif any(_is_weight(value) for value in node.values()):
            found.append(_of_dict(key, node))
        elif tree := trees.of(node):
            found.append(StateDict(key, tree, (), {}))
    found = [_of_lightning(one, content) for one in found if one.tensors]
    if not found:
        if isinstance(content, Mapping) and all(isinstance(v, Tensor) for v in content.values()):
            return [_of_dict("", content)]  # of no use, as its tensors will tell
        raise _nothing(content)
    return found


def _of_lightning(one: StateDict, content: Any) -> StateDict:
    """Lightning's WeightAveraging stores the average as the net, and the trained net beside it."""
    beside = ("averaging_state", "current_model_state")
    if one.key == "state_dict" and isinstance(content, Mapping):
        return replace(one, averaged=all(name in content for name in beside))
    return one


def _nothing(content: Any) -> Refusal:
    if _is_optimizer(content):
        return Refusal("holds the state of an optimizer, not a net", _NAME_IT)
    if isinstance(content, Mapping) and {"last_epoch", "_step_count"} <= content.keys():
        return Refusal("holds the state of a learning-rate schedule, not a net", _NAME_IT)
    if isinstance(content, Mapping) and {"python", "numpy", "cpu"} <= content.keys():
        return Refusal("holds the states of random generators, not a net", _NAME_IT)
    if isinstance(content, Record) and content.name.endswith(_SETTINGS):
        return Refusal(f"holds settings, a {printable(content.name, 120)}, and no net", _NAME_IT)
    if not isinstance(content, Mapping):
        return Refusal(f"holds a {kind_of(content)}, not a state dict", "save model.state_dict()")
    keys = ", ".join(printable(word(name), 60) for name in list(content)[:5]) or "nothing"
    return Refusal(f"no state dict in it; found {keys}", "save model.state_dict()")


def _nodes(content: Any, trees: _Trees) -> Iterator[tuple[str, Any]]:
    """Dicts and modules that may hold a net; what lies within an optimizer or a net is left out."""

    def closed(key: str, node: Any) -> bool:
        if _is_optimizer(node) or is_optax(key, node):
            return True
        if isinstance(node, Mapping):
            return len(node) > MOST_ENTRIES or bool(trees.of(node))
        return isinstance(node, Record) and is_module(node)

    for key, node in nodes(content, closed):
        if isinstance(node, Mapping) and len(node) > MOST_ENTRIES:
            if not key or any(map(_is_weight, islice(node.values(), _FIRST_FEW))):
                check_entries(node)
            continue
        if _is_optimizer(node) or is_optax(key, node):
            continue
        yield key, node


def _is_optimizer(node: Any) -> bool:
    """Whether it is the state of an optimizer, or an optimizer that was saved whole."""
    fields = node.attributes() if isinstance(node, Record) else node
    return isinstance(fields, Mapping) and "param_groups" in fields


def _is_weight(value: Any) -> bool:
    return isinstance(value, Tensor) and bool(value.shape) and value.dtype.floating


class _Trees:
    """Knows dicts within dicts, as JAX's libraries keep tensors.

    What it looks at is counted for a whole file, as one dict may be within many others.
    """

    def __init__(self) -> None:
        self._left = _MOST_LOOKS

    def of(self, node: Mapping[Any, Any]) -> dict[str, Tensor]:
        """The tensors of a tree by their names; {} if it is none."""
        found: dict[str, Tensor] = {}
        waiting: list[tuple[str, Mapping[Any, Any], int]] = [("", node, 0)]
        while waiting:
            prefix, inner, depth = waiting.pop()
            below: list[tuple[str, Mapping[Any, Any], int]] = []
            for name, value in inner.items():
                self._left -= 1
                if isinstance(value, Mapping):
                    below.append((f"{prefix}{word(name)}.", value, depth + 1))
                elif isinstance(value, Tensor) and depth and name in _LEAVES:
                    found[f"{prefix}{name}"] = value
                else:
                    return {}
            waiting += reversed(below)
            if depth > _DEEPEST or self._left < 0 or len(found) > MOST_ENTRIES:
                return {}
        return found


def _of_dict(key: str, content: Mapping[Any, Any]) -> StateDict:
    tensors: dict[str, Tensor] = {}
    beside: list[Note] = []
    for name, value in content.items():
        if not isinstance(value, Tensor):
            beside.append(note(name, value, "not a tensor"))
        elif value.kind:
            beside.append(note(name, value, _REASON))
        else:
            tensors[word(name)] = value
    attributes = content.attributes if isinstance(content, Ordered) else None
    return StateDict(key, tensors, tuple(beside), attributes or {})


def check_entries(found: Mapping[Any, Any]) -> None:
    """Refuse more entries than any net has, before a note is made for each."""
    if len(found) > MOST_ENTRIES:
        raise Refusal(
            f"refused; {len(found):,} entries are side by side in it, at most {MOST_ENTRIES:,} "
            "are read",
            "save model.state_dict() alone",
        )


def beside(content: Any, chosen: StateDict) -> list[Note]:
    """Notes of everything next to the chosen state dict, on the way from the outermost dict."""
    notes: list[Note] = []
    node, way = content, chosen.key.split("/") if chosen.key else []
    for key in way:
        if not isinstance(node, Mapping):
            break
        reason = f"not in the state dict, but under {key!r}"
        notes += [note(name, value, reason) for name, value in node.items() if word(name) != key]
        node = next((value for name, value in node.items() if word(name) == key), None)
    return notes


def note(name: Any, value: Any, reason: str) -> Note:
    """The note of something that is not used."""
    if isinstance(value, Tensor):
        return Note(word(name), value.shape, value.dtype_name, reason)
    return Note(word(name), (), kind_of(value), reason)


def kind_of(value: Any) -> str:
    """What a value is, in a word: the name of its class."""
    if isinstance(value, Record):
        return value.name
    if isinstance(value, DType):
        return "dtype"
    return "OrderedDict" if isinstance(value, Ordered) else type(value).__name__
