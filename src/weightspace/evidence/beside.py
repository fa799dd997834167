"""What lies beside the weights as evidence: states of optimizers, and settings of the training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from weightspace.evidence.context import Context
from weightspace.evidence.counting import judge
from weightspace.evidence.lengths import contradiction, of_claims, of_fits, trainings
from weightspace.evidence.record import Estimate, Evidence, Hypothesis, Value, unable
from weightspace.evidence.spellings import claim_of, stated, values_of
from weightspace.evidence.subject import Subject

if TYPE_CHECKING:
    from weightspace.checkpoints import Inspection
    from weightspace.checkpoints.inspection.optimizers import OptimizerState, ScheduleState

STATES = "optimizer state"
SETTINGS = "settings in the file"
KNOWN = (
    "sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax",
    "nadam", "lion",
)  # fmt: skip
"""The optimizers of recipes, of which a state excludes those of another kind."""

_KINDS = {
    "Adam": ("adam",), "AdamW": ("adamw",), "Adam or AdamW": ("adam", "adamw"),
    "AMSGrad": ("adam", "adamw"), "a relative of Adam": ("adam", "adamw"),
    "RMSprop": ("rmsprop",), "Adagrad": ("adagrad",), "Lion": ("lion",),
    "Adadelta": ("adadelta",), "Adamax": ("adamax",), "NAdam": ("nadam",), "Nadam": ("nadam",),
    "Rprop": ("rprop",), "ASGD": ("asgd",), "Adafactor": ("adafactor",), "Ftrl": ("ftrl",),
    "LBFGS": ("lbfgs",), "RAdam": ("radam",),
}  # fmt: skip
_RELATIVES = {"adamax", "nadam"}
_LOOSE = {"adam", "adamw"}  # which a state or its author may call either way
_LEARNING_RATES = ("initial_lr", "lr", "max_lr", "base_lr", "learning_rate", "initial_lr")
_FIRST_RATES = ("initial_lr", "max_lr", "base_lr")
_OF_SCHEDULES = ("base_lrs", "base_lr", "max_lrs", "max_lr", "initial_learning_rate")
_PLAIN = {
    "weight_decay": ("weight_decay",),
    "beta1": ("beta_1",),
    "beta2": ("beta_2",),
    "epsilon": ("eps", "epsilon"),
    "momentum": ("momentum", "base_momentum", "max_momentum"),
}
_CLOSE = 1e-5  # relative: numbers that went through float32


def state_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence from the states of optimizers: kind, rates and steps."""
    found = context.inspection
    if found is None or not found.optimizers:
        yield unable(STATES, "optimizer", "the file holds no state of an optimizer")
        return
    used = tuple(state for state in found.optimizers if not _unused(state))
    if not used:
        why = "the optimizer in the file has not taken a step: it is not that of the weights"
        yield unable(STATES, "optimizer", why)
        return
    found = replace(found, optimizers=used)
    yield _kind(found)
    yield from _rates(found, context)
    for claim in _PLAIN:
        yield from _setting(claim, found, context)
    yield from _steps(subject, found, context)


def _unused(state: OptimizerState) -> bool:
    """Whether an optimizer that keeps something for each parameter keeps nothing yet."""
    return not state.parameters and bool(_possible(state)) and "sgd" not in _possible(state)


# -- the kind --------------------------------------------------------------------------------------


def _kind(found: Inspection) -> Evidence:
    states = found.optimizers
    possible = dict.fromkeys(name for state in states for name in _possible(state))
    allowed = {name for state in states for name in _allowed(state)}
    says = "; ".join(dict.fromkeys(_described(state) for state in states))
    hypotheses = [Hypothesis(tuple(possible), 1.0, " or ".join(possible))] if possible else []
    if not all("amsgrad" in group for state in states for group in state.groups):
        allowed |= _RELATIVES  # which look like Adam in programs of others
    others = tuple(name for name in KNOWN if name not in allowed)
    if others and all(_possible(state) for state in states):
        hypotheses.append(Hypothesis(others, 0.0, "another kind of optimizer"))
    return Evidence(
        STATES, "optimizer", f"the file holds the state of {says}", where=states[0].where,
        hypotheses=tuple(hypotheses),
    )  # fmt: skip


def _described(state: OptimizerState) -> str:
    steps = f", {state.steps[1]:,} steps" if state.steps else ""
    return f"{state.kind}{steps}"


def _possible(state: OptimizerState) -> tuple[str, ...]:
    """The optimizers whose state it is, as far as it tells; empty if it does not tell."""
    if state.kind.startswith("SGD"):
        if "Nesterov" in state.kind or any(group.get("nesterov") for group in state.groups):
            return ("nesterov",)
        momenta = [group.get("momentum") for group in state.groups]
        if not momenta or None in momenta:
            return ("sgd", "momentum", "nesterov")
        return ("momentum",) if any(momenta) else ("sgd",)
    return _KINDS.get(state.kind, ())


def _allowed(state: OptimizerState) -> set[str]:
    """The optimizers that no state of this kind contradicts: SGD with momentum is SGD, too."""
    possible = set(_possible(state))
    if "nesterov" in possible:
        return {"sgd", "momentum", "nesterov"}
    if "momentum" in possible:
        return {"sgd", "momentum"}
    return possible | _LOOSE if possible & _LOOSE else possible


# -- rates and other settings ----------------------------------------------------------------------


@dataclass
class _Numbers:
    """The values that states give for a claim, and whether they exclude all others."""

    values: dict[float, None] = field(default_factory=dict)
    certain: bool = False

    def add(self, values: Iterable[Any]) -> None:
        for value in values:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and math.isfinite(value):
                self.values[_written(float(value))] = None


def _rates(found: Inspection, context: Context) -> Iterator[Evidence]:
    """The first learning rate if it is kept, the last one, and those that schedules name."""
    numbers = _Numbers()
    for group in _groups(found):
        numbers.add(group.get(name) for name in _LEARNING_RATES)
        numbers.certain |= any(name in group for name in _FIRST_RATES)
    for schedule in found.schedules:
        rates = list(_of_schedule(schedule))
        numbers.add(rates)
        numbers.certain |= bool(rates)
    schedules = ", ".join(dict.fromkeys(one.kind for one in found.schedules))
    more = f", with a schedule ({schedules})" if schedules else (
        "" if numbers.certain else "; it may be the last of several"
    )  # fmt: skip
    yield from _numbered("learning_rate", numbers, context, more, found.optimizers[0].where)


def _of_schedule(schedule: ScheduleState) -> Iterator[Any]:
    for name in _OF_SCHEDULES:
        value = schedule.settings.get(name)
        yield from value if isinstance(value, list | tuple) else [] if value is None else [value]


def _setting(claim: str, found: Inspection, context: Context) -> Iterator[Evidence]:
    numbers = _Numbers(certain=True)
    for group in _groups(found):
        numbers.add(group.get(name) for name in _PLAIN[claim])
        betas = group.get("betas")
        if claim.startswith("beta") and isinstance(betas, list | tuple) and len(betas) == 2:
            numbers.add([betas[int(claim[-1]) - 1]])
    if claim == "weight_decay" and not any(numbers.values):
        numbers.certain = False  # the loss may have a term for it
    yield from _numbered(claim, numbers, context, "", found.optimizers[0].where)


def _groups(found: Inspection) -> Sequence[dict[str, Any]]:
    return [group for state in found.optimizers for group in state.groups]


def _numbered(
    claim: str, numbers: _Numbers, context: Context, more: str, where: str
) -> Iterator[Evidence]:
    if not numbers.values:
        return
    listed = ", ".join(f"{value:g}" for value in numbers.values)
    hypotheses = [Hypothesis(tuple(numbers.values), 1.0, listed)]
    claimed = context.claims.get(claim)
    if isinstance(claimed, int | float) and not isinstance(claimed, bool):
        if any(math.isclose(claimed, one, rel_tol=_CLOSE) for one in numbers.values):
            hypotheses = [Hypothesis((*numbers.values, claimed), 1.0, listed)]
        elif numbers.certain:
            hypotheses.append(Hypothesis((claimed,), 0.0))
    yield Evidence(
        STATES, claim, f"the optimizer's state says {claim} {listed}{more}", where=where,
        hypotheses=tuple(hypotheses),
    )  # fmt: skip


def _written(value: float) -> float:
    """A number that was rounded to float32 as it was written: 0.01 for 0.009999999776."""
    return (
        float(f"{value:.7g}") if math.isclose(value, float(f"{value:.7g}"), rel_tol=1e-7) else value
    )


def _steps(subject: Subject, found: Inspection, context: Context) -> Iterator[Evidence]:
    """The steps of the optimizer: the net has had as many, and more if it was made anew."""
    counts = [state.steps for state in found.optimizers if state.steps]
    if not counts:
        return
    least, most = min(low for low, _ in counts), max(high for _, high in counts)
    hypotheses = [Hypothesis(tuple(dict.fromkeys((least, most))), 1.0, f"{most:,}")]
    claimed = context.claims.get("steps")
    if isinstance(claimed, int) and not isinstance(claimed, bool) and claimed <= most:
        fewer = claimed if claimed < least else least - 1
        hypotheses.append(Hypothesis((fewer,), 0.0, "fewer"))
    yield Evidence(
        STATES, "steps", f"the optimizer has taken {most:,} steps", where=found.optimizers[0].where,
        statistic=float(most), hypotheses=tuple(hypotheses),
        estimate=Estimate("steps", most, least, math.inf),
    )  # fmt: skip
    if least == most > 0 and not subject.counters:
        yield from _of_length(most, context)


def _of_length(steps: int, context: Context) -> Iterator[Evidence]:
    """What the steps say of epochs, batch size and images, where no batch norm counts.

    A loop may take several steps for a batch, or more batches than images give, so that steps alone
    contradict none of these.
    """
    yield from of_fits(STATES, trainings(steps, context))
    claims = {name: value for name, value in context.claims.items() if name != "steps"}
    judged = judge(steps, claims, context, renewed=True)
    if judged.verdict == "contradicted":
        says = f"{contradiction(steps, judged, claims)}, if a loop takes one step for each batch"
        for name in judged.conflict:
            yield Evidence(STATES, name, says)
    else:
        yield from of_claims(STATES, steps, judged, claims)


# -- settings --------------------------------------------------------------------------------------


def settings_law(subject: Subject, context: Context) -> Iterator[Evidence]:
    """Evidence from what the trainer wrote into the file: statements, which contradict nothing."""
    found: dict[str, dict[Value, str]] = {}
    for claim, where, values in _statements(context.inspection):
        found.setdefault(claim, {}).update(dict.fromkeys(values, where))
    if not found:
        yield unable(SETTINGS, "settings", "the file states no setting of a training")
        return
    for claim, places in found.items():
        listed = ", ".join(f"{value}" for value in places)
        claimed = context.claims.get(claim)
        own = [claimed] if claimed is not None and _among(claimed, places) else []
        yield Evidence(
            SETTINGS, claim, f"the file states {claim} {listed}", where=next(iter(places.values())),
            hypotheses=(Hypothesis(tuple(dict.fromkeys((*places, *own))), 1.0, listed),),
        )  # fmt: skip


def _statements(found: Inspection | None) -> Iterator[tuple[str, str, tuple[Value, ...]]]:
    """Each claim of which the file states something, where, and the values."""
    for fact in found.facts if found is not None else ():
        if isinstance(fact.value, dict):
            told = [
                (claim, f"{fact.where}/{name}", value) for claim, name, value in stated(fact.value)
            ]
        elif fact.kind == "epoch":
            told = [("epochs", fact.where, one) for one in _epochs(fact.name, fact.value)]
        else:
            told = [(claim_of(fact.name), fact.where, fact.value)]
        for claim, where, value in told:
            if claim and (values := values_of(claim, value)):
                yield claim, where, values


def _epochs(name: str, value: Any) -> Iterator[Any]:
    """The epochs that a count means, which may begin at 0; that of the best one means none."""
    if "best" not in name.lower() and isinstance(value, int | float):
        yield from (value, value + 1)


def _among(claimed: Value, values: Iterable[Value]) -> bool:
    for value in values:
        numbers = isinstance(claimed, int | float) and isinstance(value, int | float)
        if claimed == value or (numbers and math.isclose(claimed, value, rel_tol=_CLOSE)):  # type: ignore[arg-type]
            return True
    return False
