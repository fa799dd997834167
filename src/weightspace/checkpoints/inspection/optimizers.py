"""States of optimizers and of learning-rate schedules in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from weightspace.checkpoints.pickling.records import Record, plain, word
from weightspace.checkpoints.tensors import Tensor, Values

_MOST_STATES = 20_000
# What an optimizer keeps for each parameter names its family; the first that fits.
_BY_STATE = (
    ({"exp_avg", "exp_avg_sq"}, "Adam or AdamW"),
    ({"exp_avg", "exp_inf"}, "Adamax"),
    ({"exp_avg"}, "Lion"),
    ({"momentum_buffer", "square_avg"}, "RMSprop"),
    ({"square_avg", "acc_delta"}, "Adadelta"),
    ({"square_avg"}, "RMSprop"),
    ({"sum"}, "Adagrad"),
    ({"prev", "step_size"}, "Rprop"),
    ({"momentum_buffer"}, "SGD"),
)
_BY_SETTING = (
    ({"dampening", "nesterov"}, "SGD"),
    ({"momentum_decay"}, "NAdam"),
    ({"amsgrad", "betas"}, "Adam or AdamW"),
    ({"lr_decay", "initial_accumulator_value"}, "Adagrad"),
    ({"alpha", "centered"}, "RMSprop"),
    ({"rho"}, "Adadelta"),
    ({"lambd", "t0"}, "ASGD"),
    ({"etas", "step_sizes"}, "Rprop"),
    ({"tolerance_change", "history_size"}, "LBFGS"),
    ({"betas"}, "a relative of Adam"),
    ({"momentum"}, "SGD"),
)
_SCHEDULES = (
    ({"milestones", "gamma"}, "MultiStepLR"),
    ({"step_size", "gamma"}, "StepLR"),
    ({"T_0", "T_mult"}, "CosineAnnealingWarmRestarts"),
    ({"T_max"}, "CosineAnnealingLR"),
    ({"total_steps"}, "OneCycleLR"),
    ({"lr_lambdas"}, "LambdaLR"),
    ({"_anneal_strategy", "anneal_epochs"}, "SWALR"),
    ({"patience", "factor"}, "ReduceLROnPlateau"),
    ({"total_iters", "power"}, "PolynomialLR"),
    ({"start_factor", "end_factor"}, "LinearLR"),
    ({"_schedulers"}, "SequentialLR"),
    ({"gamma"}, "ExponentialLR"),
)


@dataclass(frozen=True)
class OptimizerState:
    """The state of an optimizer.

    Attributes
    ----------
    where : str
        Its keys in the file, joined by "/".
    kind : str
        The optimizer, as far as its state and settings tell: torch and optax name it nowhere.
    groups : tuple of dict
        The settings of each group of parameters: lr, momentum, betas, eps, weight_decay ...
    parameters : int
        How many parameters have a state.
    steps : tuple of int, optional
        The least and the greatest number of steps of a parameter; None if none is stored.
    """

    where: str
    kind: str
    groups: tuple[dict[str, Any], ...]
    parameters: int
    steps: tuple[int, int] | None


@dataclass(frozen=True)
class ScheduleState:
    """The state of a learning-rate schedule.

    Attributes
    ----------
    where : str
        Its keys in the file, joined by "/".
    kind : str
        The schedule, as far as its settings tell.
    settings : dict
        All that it stores: last_epoch, base_lrs, gamma ...
    """

    where: str
    kind: str
    settings: dict[str, Any]


def is_optimizer(node: Any) -> bool:
    """Whether a dict or record is the state of an optimizer."""
    found = _fields(node)
    return isinstance(found.get("param_groups"), list) and "state" in found


def is_schedule(node: Any) -> bool:
    """Whether a dict or record is the state of a learning-rate schedule."""
    found = _fields(node)
    return "last_epoch" in found and bool(
        {"base_lrs", "_step_count", "_last_lr", "num_bad_epochs"} & set(found)
    )


def _fields(node: Any) -> Mapping[Any, Any]:
    return (
        node if isinstance(node, Mapping) else node.attributes() if isinstance(node, Record) else {}
    )


def optimizer(where: str, node: Any, values: Values) -> OptimizerState:
    """The state of the optimizer that a node is."""
    found = _fields(node)
    states = [dict(state) for state in _some(found.get("state")) if isinstance(state, Mapping)]
    groups = tuple(
        _settings(group, values) for group in found["param_groups"] if isinstance(group, Mapping)
    )
    kept: set[str] = set().union(*(map(word, state) for state in states))
    name = node.name if isinstance(node, Record) and node.name.startswith("torch.optim") else ""
    kind = name.rpartition(".")[2] or _kind(kept, groups)
    return OptimizerState(where, kind, groups, len(states), _steps(states, groups, values))


def _some(states: Any) -> Iterator[Any]:
    if isinstance(states, Mapping):
        for _, state in zip(range(_MOST_STATES), states.values(), strict=False):
            yield state


def _kind(kept: set[str], groups: tuple[dict[str, Any], ...]) -> str:
    settings: set[str] = set().union(*groups)
    found = next((kind for keys, kind in _BY_STATE if keys <= kept), "")
    found = found or next((kind for keys, kind in _BY_SETTING if keys <= settings), "unknown")
    if "mu_product" in kept:
        return "NAdam"
    if found == "SGD" and any(group.get("nesterov") for group in groups):
        return "SGD with Nesterov momentum"
    decoupled = {group.get("decoupled_weight_decay") for group in groups}
    if found == "Adam or AdamW" and decoupled in ({True}, {False}):
        return "AdamW" if True in decoupled else "Adam"
    return found


def _settings(group: Mapping[Any, Any], values: Values) -> dict[str, Any]:
    """The settings of a group, without its list of parameters."""
    return {
        word(name): number(value, values)
        for name, value in group.items()
        if name not in ("params", "param_names")
    }


def number(value: Any, values: Values) -> Any:
    """A plain value; tensors of one value become numbers."""
    if isinstance(value, Tensor):
        one = value.size == 1 and not value.kind and not value.dtype.complex
        return values.read(value).reshape(-1)[0].item() if one else f"tensor {list(value.shape)}"
    return plain(value)


def _steps(
    states: list[dict[Any, Any]], groups: tuple[dict[str, Any], ...], values: Values
) -> tuple[int, int] | None:
    kept = [state["step"] for state in states if "step" in state]
    found = [number(one, values) for one in kept if not _rounded(one)]
    found += [group["step"] for group in groups if "step" in group]
    counts = [int(n) for n in found if isinstance(n, int | float) and 0 <= n < 2**53]
    return (min(counts), max(counts)) if counts else None


def _rounded(value: Any) -> bool:
    """Whether a number is kept in 16 bits, which round large counts."""
    return isinstance(value, Tensor) and value.dtype.floating and value.dtype.itemsize < 4


def schedule(where: str, node: Any, values: Values) -> ScheduleState:
    """The state of the schedule that a node is."""
    found = _fields(node)
    settings = {word(name): number(value, values) for name, value in found.items()}
    name = node.name if isinstance(node, Record) else ""
    kind = next((kind for keys, kind in _SCHEDULES if keys <= set(settings)), "unknown")
    return ScheduleState(where, name.rpartition(".")[2] or kind, settings)
