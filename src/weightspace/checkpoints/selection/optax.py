"""Which dicts are the state of an optimizer of optax: trees without names, under `opt_state`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from weightspace.checkpoints.pickling.records import word

_KEY = re.compile(r"^opt(imi[sz]er)?_?states?$")
_DEEPEST = 8  # a dict may contain itself
_MOST = 1024
MOMENTS = (
    "mu", "nu", "nu_max", "trace", "sum_of_squares", "e_g", "e_x", "v_row", "v_col", "v",
)  # fmt: skip


def is_optax(key: str, node: Any) -> bool:
    """Whether a dict is the state of an optimizer of optax: by its key, and what it holds."""
    if not _KEY.match(key.rpartition("/")[2]) or not isinstance(node, Mapping):
        return False
    if "param_groups" in node:
        return False
    return any(
        not inner or "count" in inner or any(word in inner for word in MOMENTS)
        for _, inner in transforms(node)
    )


def transforms(node: Mapping[Any, Any]) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """The dicts in such a state, with their keys joined by "/"; the moments are not looked into."""
    waiting: list[tuple[str, Mapping[Any, Any], int]] = [("", node, 0)]
    for key, inner, depth in waiting:
        if depth:
            yield key, inner
        if depth >= _DEEPEST or len(waiting) > _MOST:
            continue
        waiting += [
            (f"{key}/{word(name)}" if key else word(name), value, depth + 1)
            for name, value in inner.items()
            if isinstance(value, Mapping) and name not in (*MOMENTS, "ema", "acc_grads")
        ]
