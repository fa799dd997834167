"""Optimizers and schedules of Keras as facts, from what its files say of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from weightspace.checkpoints.inspection.optimizers import OptimizerState, ScheduleState
from weightspace.checkpoints.pickling.records import plain

# How many tensors an optimizer keeps for each parameter.
_KEPT = {
    "Adadelta": 2, "Adagrad": 1, "Adam": 2, "AdamW": 2, "Adamax": 2, "Ftrl": 2, "Lamb": 2,
    "Lion": 1, "Nadam": 2, "RMSprop": 1,
}  # fmt: skip


def of_keras(said: Mapping[str, Any]) -> tuple[OptimizerState, list[ScheduleState]]:
    """The optimizer of the fact that the form of the file gives, and the schedule of its rate."""
    kind, where = said["class_name"].rpartition(">")[2], said["where"]  # "Custom>Adam"
    settings = {str(key): plain(value) for key, value in said["config"].items()}
    steps = said.get("iteration")
    gathers = settings.get("gradient_accumulation_steps")  # then batches are counted, not steps
    count = steps if not gathers and isinstance(steps, int) and 0 <= steps < 2**53 else None
    schedules: list[ScheduleState] = []
    rate = settings.get("learning_rate")
    if isinstance(rate, dict) and isinstance(rate.get("config"), dict):
        own = {**rate["config"], **({} if count is None else {"last_step": count})}
        name = rate.get("class_name")
        place = f"{where}/config/learning_rate"
        schedules.append(ScheduleState(place, name if isinstance(name, str) else "unknown", own))
        settings["learning_rate"] = f"of {schedules[0].kind}"
    if "learning_rate" in said:
        settings["learning_rate"] = said["learning_rate"]
    parameters = said["variables"] // _kept(kind, settings)
    if kind == "SGD" and settings.get("nesterov") is True:
        kind = "SGD with Nesterov momentum"
    group = {key: value for key, value in settings.items() if value is not None and key != "name"}
    state = OptimizerState(
        where,
        kind,
        (group,) if group else (),
        parameters,
        None if count is None else (count, count),
    )
    return state, schedules


def _kept(kind: str, settings: Mapping[str, Any]) -> int:
    kept = _KEPT.get(kind, 1)
    kept += settings.get("amsgrad") is True
    kept += settings.get("use_ema") is True
    if kind == "RMSprop":
        kept += bool(settings.get("momentum")) + (settings.get("centered") is True)
    return kept
