"""Optimizers and schedules of JAX as facts, from what optax keeps: it stores no name of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightspace.checkpoints.inspection.optimizers import OptimizerState, ScheduleState, number
from weightspace.checkpoints.pickling.records import word
from weightspace.checkpoints.selection.optax import MOMENTS, transforms
from weightspace.checkpoints.tensors import Tensor, Values

# What a transform keeps names the family of its optimizer; the first that fits.
_BY_STATE = (
    ({"mu", "nu", "nu_max"}, "AMSGrad"),
    ({"mu", "nu", "count"}, "a relative of Adam"),
    ({"mu", "nu"}, "RMSprop"),
    ({"mu"}, "Lion"),
    ({"nu"}, "RMSprop"),
    ({"trace"}, "SGD"),
    ({"sum_of_squares"}, "Adagrad"),
    ({"e_g", "e_x"}, "Adadelta"),
    ({"v_row", "v_col"}, "Adafactor"),
)
_STATELESS = "one without a state, such as SGD without momentum"
_MOST = 20_000


def of_optax(
    where: str, node: Mapping[Any, Any], values: Values
) -> tuple[OptimizerState, list[ScheduleState]]:
    """The optimizer that a state of optax is, and the schedules in it, which are counts alone."""
    kinds: dict[str, None] = {}
    groups: list[dict[str, Any]] = []
    schedules: list[ScheduleState] = []
    counts: list[int] = []
    parameters = 0
    for key, inner in [("", node), *transforms(node)]:
        kept = {name for name in inner if name in MOMENTS} | ({"count"} & set(inner))
        if isinstance(settings := inner.get("hyperparams"), Mapping):
            groups.append({word(name): number(one, values) for name, one in settings.items()})
        elif kept == {"count"} and len(inner) == 1:
            place = f"{where}/{key}" if key else where
            schedules.append(
                ScheduleState(place, "unknown", {"count": number(inner["count"], values)})
            )
        elif kind := next((kind for names, kind in _BY_STATE if names <= kept), ""):
            kinds[kind] = None
            parameters += max(_tensors(inner[name]) for name in kept if name != "count")
            count = number(inner.get("count"), values)
            counts += [count] if isinstance(count, int) and 0 <= count < 2**53 else []
    counts = counts or [n for one in schedules if isinstance(n := one.settings["count"], int)]
    steps = (min(counts), max(counts)) if counts else None
    kind = " and ".join(kinds) or _STATELESS
    return OptimizerState(where, kind, tuple(groups), parameters, steps), schedules


def _tensors(tree: Any) -> int:
    """How many tensors a tree of moments has; a parameter that an optimizer leaves has none."""
    waiting, found = [tree], 0
    for node in waiting:
        found += isinstance(node, Tensor)
        if isinstance(node, Mapping) and len(waiting) < _MOST:
            waiting += node.values()
    return found
