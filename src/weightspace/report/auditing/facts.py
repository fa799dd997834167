"""What a file states, as names and text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weightspace.checkpoints import Inspection
from weightspace.printable import printable
from weightspace.report.claims.words import count

_LONGEST = 500  # characters of a fact
_MOST = 40  # facts of a kind
_LAYERS = 200
_HIDDEN = ("params", "param_names")


def fact_rows(found: Inspection) -> list[tuple[str, str]]:
    """The facts as names and text, each short enough for a page."""
    return [(printable(name, 80), printable(text, _LONGEST)) for name, text in _rows(found)]


def layer_rows(found: Inspection) -> list[tuple[str, str, str, str]]:
    """The layers: name, kind, sizes, what else they have."""
    return [
        (printable(one.name, 160), one.kind, f"{one.inputs:,} to {one.outputs:,}", _extras(one))
        for one in found.architecture.layers[:_LAYERS]
    ]


def _extras(layer: Any) -> str:
    sides = "x".join(map(str, layer.kernel))
    norms = count(layer.norms, "norm") if layer.norms else ""
    tied = f"tied to {printable(layer.tied, 80)}" if layer.tied else ""
    bias = "" if layer.bias else "no bias"
    return ", ".join(filter(None, (sides and f"kernel {sides}", bias, norms, tied)))


def _rows(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "file", str(found.path)
    yield "format", f"{found.form}, {found.bytes:,} bytes"
    if found.sha256:
        yield "SHA-256", found.sha256
    if found.key or found.others:
        yield "state dict", found.key or "the whole content"
    if found.others:
        yield "other state dicts", ", ".join(found.others[:_MOST])
    net = found.architecture
    parts = ", ".join(f"{number:,} {part}" for part, number in net.parameters.items())
    total = sum(net.parameters.values())
    layers = f" of {count(len(net.layers), 'layer')}" if net.layers else ""
    yield "net", f"{net.kind}{layers}, {count(total, 'parameter')} ({parts})"
    for plan in found.plans.plans[:2]:
        yield "plan", str(plan)
        yield "for inputs", "x".join(map(str, plan.input))
    for state in found.optimizers[:_MOST]:
        yield "optimizer", _optimizer(state)
    for schedule in found.schedules[:_MOST]:
        yield "schedule", f"{schedule.kind} ({_pairs(schedule.settings)})"
    yield from _counted(found)
    for fact in found.facts[:_MOST]:
        value = _pairs(fact.value) if isinstance(fact.value, dict) else fact.value
        yield "stored" if fact.kind == "other" else fact.kind, f"{fact.where}: {value}"
    if len(found.facts) > _MOST:
        yield "stored", f"{len(found.facts) - _MOST:,} more, in the JSON"


def _counted(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "values", ", ".join(f"{number:,} {name}" for name, number in found.dtypes.items())
    if found.grid and found.grid.dtype not in found.dtypes:
        yield "precision", f"{found.grid.dtype} holds all {found.grid.values:,} checked values"
    if numbers := sorted(set(found.batches.values())):
        text = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
        yield "batches", f"{text} seen by {count(len(found.batches), 'batch norm')}"
    for names in found.shared[:_MOST]:
        yield "one tensor", ", ".join(names)
    for names in found.duplicates[:_MOST]:
        yield "equal values", ", ".join(names)
    if found.devices:
        yield "saved on", ", ".join(found.devices)


def _optimizer(state: Any) -> str:
    groups = "; ".join(
        _pairs({k: v for k, v in group.items() if k not in _HIDDEN}) for group in state.groups
    )
    steps = ""
    if state.steps:
        low, high = state.steps
        steps = f", {count(high, 'step')}" if low == high else f", {low:,} to {high:,} steps"
    groups = f" ({groups})" if groups else ""
    return f"{state.kind}{steps}{groups}, stored as {state.where or 'the whole content'}"


def _pairs(settings: Mapping[str, Any]) -> str:
    shown = {name: value for name, value in settings.items() if not str(name).startswith("_")}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
