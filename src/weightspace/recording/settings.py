"""What an optimizer and a schedule say of themselves: kind, rates, momentum. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from weightspace.errors import UsageError
from weightspace.space.recipe import checked

Found = dict[str, Any]

_PLAIN = ("momentum", "dampening", "nesterov", "eps", "alpha", "centered", "amsgrad")
_KERAS = {
    "momentum": "momentum",
    "nesterov": "nesterov",
    "epsilon": "eps",
    "rho": "alpha",
    "centered": "centered",
    "amsgrad": "amsgrad",
    "beta_1": "beta1",
    "beta_2": "beta2",
}


def of_optimizer(optimizer: Any) -> Found:
    """The hyper-parameters that a torch or Keras optimizer states; {} for None.

    A setting in which its groups of parameters differ is left out.
    """
    if optimizer is None:
        return {}
    optimizer = unwrapped(optimizer)
    if isinstance(getattr(optimizer, "param_groups", None), list):
        return _possible(_torch(optimizer))
    if callable(getattr(optimizer, "get_config", None)):
        return _possible(_keras(type(optimizer).__name__, optimizer.get_config()))
    raise UsageError(
        "optimizer",
        f"a {type(optimizer).__name__} states no settings",
        "give an optimizer of torch or Keras, or leave it out",
    )


def of_scheduler(scheduler: Any) -> Found:
    """The kind of a schedule of learning rates; {} for None."""
    if scheduler is None:
        return {}
    inner = getattr(scheduler, "scheduler", scheduler)  # of accelerate
    name = type(inner).__name__
    if name == "LambdaLR":  # the function tells, and the class does not
        return {}
    return {"schedule": name}


def unwrapped(optimizer: Any) -> Any:
    """The optimizer within the wrappers of Lightning, accelerate and Keras."""
    for _ in range(4):
        inner = getattr(optimizer, "optimizer", None)
        if inner is None or not hasattr(inner, "param_groups"):
            break
        optimizer = inner
    return getattr(optimizer, "inner_optimizer", optimizer)


def _torch(optimizer: Any) -> Found:
    groups: list[Mapping[str, Any]] = optimizer.param_groups
    shared = {name: _plain(value) for name, value in groups[0].items() if name != "params"}
    for group in groups[1:]:
        shared = {k: v for k, v in shared.items() if k in group and _plain(group[k]) == v}
    found: Found = {}
    rate = "initial_lr" if any("initial_lr" in group for group in groups) else "lr"
    found["learning_rate"] = shared.get(rate)
    found["weight_decay"] = shared.get("weight_decay")
    found |= {name: shared.get(name) for name in _PLAIN}
    match shared.get("betas"):
        case (float(), float()) as betas:
            found["beta1"], found["beta2"] = betas
    found["optimizer"] = _kind(
        type(optimizer).__name__, shared, any(group.get("momentum") for group in groups)
    )
    return found


def _kind(name: str, shared: Mapping[str, Any], moving: bool) -> str | None:
    """The name of a hyper-parameter `optimizer`; SGD with momentum has a name of its own."""
    if name == "SGD" and moving:
        return "momentum" if shared.get("momentum") else None
    if name == "Adam" and shared.get("decoupled_weight_decay") is True:
        return "adamw"
    return name.lower()


def _keras(name: str, config: Mapping[str, Any]) -> Found:
    found: Found = {ours: config.get(theirs) for theirs, ours in _KERAS.items()}
    rate = config.get("learning_rate")
    if isinstance(rate, Mapping):  # a schedule
        found["schedule"] = rate.get("class_name")
        rate = rate.get("config", {}).get("initial_learning_rate")
    found["learning_rate"] = _written(_plain(rate))  # of a variable of float32
    decay = config.get("weight_decay")
    found["weight_decay"] = 0.0 if decay is None else _plain(decay)
    decoupled = {"decoupled_weight_decay": bool(decay)}  # as Keras decays with every optimizer
    found["optimizer"] = _kind(name, {**config, **decoupled}, bool(config.get("momentum")))
    return found


def _plain(value: Any) -> Any:
    """A number that torch keeps in a tensor as a plain one."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return _written(value.item()) if str(value.dtype).endswith("float32") else value.item()
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _written(value: Any) -> Any:
    """A number that was rounded to float32 as it is written: 0.01 for 0.009999999776."""
    if isinstance(value, float) and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value


def _possible(found: Found) -> Found:
    """The values that are known; a rate that no recipe can have, such as 0, is left out."""
    kept: Found = {}
    for name, value in found.items():
        if value is None or not isinstance(value, str | int | float | bool):
            continue
        if name in ("learning_rate", "weight_decay"):
            try:
                value = checked(name, value)
            except UsageError:
                continue
        kept[name] = value
    return kept
