"""The state dict in a torch file, and notes of everything next to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.roles import Note
from weightspace.checkpoints.tensors import Tensor
from weightspace.printable import printable

_NESTED = ("state_dict", "model_state_dict", "model", "module")
MOST_ENTRIES = 2**15  # in a state dict; the largest nets have some 20,000 tensors in a file
_DEEPEST = 8  # nested state dicts; a dict may contain itself


def state_dict(content: Any) -> tuple[dict[str, Tensor], tuple[Note, ...]]:
    """The tensors of the state dict, wherever it lies, and notes of everything next to it."""
    if not isinstance(content, Mapping):
        raise Refusal(
            f"holds a {type(content).__name__}, not a state dict; save model.state_dict()"
        )
    check_entries(content)
    beside: list[Note] = []
    depth = 0
    while key := next((k for k in _NESTED if isinstance(content.get(k), Mapping)), None):
        depth += 1
        if depth > _DEEPEST:
            raise Refusal(
                f"state dicts are nested more than {_DEEPEST} deep; save model.state_dict()"
            )
        reason = f"not in the state dict, but under {key!r}"
        beside += [_note(name, value, reason) for name, value in content.items() if name != key]
        content = content[key]
        check_entries(content)
    if not any(isinstance(value, Tensor) for value in content.values()):
        keys = ", ".join(printable(name, 60) for name in list(content)[:5]) or "nothing"
        raise Refusal(
            f"no state dict in it, nor under {', '.join(_NESTED)}; "
            f"found {keys}; save model.state_dict()"
        )
    tensors: dict[str, Tensor] = {}
    for name, value in content.items():
        if not isinstance(value, Tensor):
            beside.append(_note(name, value, "not a tensor"))
        elif value.kind:
            beside.append(_note(name, value, "a sparse, quantised or empty kind of tensor"))
        else:
            tensors[str(name)] = value
    return tensors, tuple(beside)


def check_entries(found: Mapping[Any, Any]) -> None:
    """Refuse more entries than any net has, before a note is made for each."""
    if len(found) > MOST_ENTRIES:
        raise Refusal(
            f"refused; {len(found):,} entries are side by side in it, at most {MOST_ENTRIES:,} are "
            "read; save model.state_dict() alone"
        )


def _note(name: Any, value: Any, reason: str) -> Note:
    if isinstance(value, Tensor):
        return Note(str(name), value.shape, value.dtype_name, reason)
    return Note(str(name), (), type(value).__name__, reason)


def without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names in the net, without the prefixes of wrappers for training."""
    short = {
        re.sub(r"^(module\.)+", "", name.replace("_orig_mod.", "")): tensor
        for name, tensor in tensors.items()
    }
    return short if len(short) == len(tensors) else tensors
