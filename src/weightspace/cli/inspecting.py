"""The command `inspect`, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from weightspace.cli.arguments import Key
from weightspace.cli.output import Debug, answer
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.checkpoints import Inspection

_SHOWN = 12
_HIDDEN = ("params", "foreach", "capturable", "differentiable", "fused", "maximize", "initial_lr")


def inspect(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint in any supported format.")
    ],
    key: Key = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    hashed: Annotated[
        bool, typer.Option("--hash/--no-hash", help="Work out the SHA-256, which reads all bytes.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
    debug: Debug = False,
) -> None:
    """List what a checkpoint holds, without executing anything in it.

    The list has the layers, what else the file stores (optimizer, schedule, epochs, settings), and
    every class or function that the file names.
    """
    from weightspace.checkpoints import inspect as look

    found = look(file, key=key, hashed=hashed)
    answer(as_json, found.to_dict(), lambda: _show(found, tensors))


def _show(found: Inspection, tensors: bool) -> None:
    for name, text in _lines(found):
        print(f"{name:<14}{printable(text, 4096)}".rstrip())
    if tensors:
        for note in (*found.used, *found.left_out):
            shape = "x".join(map(str, note.shape)) or "1"
            line = f"{printable(note.name, 120)}  {note.dtype} {shape}: {printable(note.reason)}"
            print(f"  {line}")


def _lines(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "file", str(found.path)
    yield "format", f"{found.form}, {found.bytes:,} bytes"
    if found.sha256:
        yield "sha256", found.sha256
    for finding in found.findings:
        yield finding.kind, str(finding)
    if found.key or found.others:
        yield "state dict", found.key or "the whole content"
    if found.others:
        yield "others", f"{', '.join(found.others)}; choose one with --key"
    yield from _net(found)
    yield from _plans(found)
    for optimizer in found.optimizers:
        yield "optimizer", _optimizer(optimizer)
    for schedule in found.schedules:
        yield "schedule", f"{schedule.kind} ({_pairs(schedule.settings)})"
    yield from _facts(found)
    yield from _numbers(found)
    if found.left_out:
        count = len(found.left_out)
        yield "left out", f"{count:,} {'entry' if count == 1 else 'entries'}; --tensors lists them"


def _net(found: Inspection) -> Iterator[tuple[str, str]]:
    net = found.architecture
    total = sum(net.parameters.values())
    parts = ", ".join(
        f"{count:,} {'of no known layer' if part == 'not placed' else part}"
        for part, count in net.parameters.items()
    )
    layers = f" of {_counted(len(net.layers), 'layer')}" if net.layers else ""
    parts = f" ({parts})" if parts else ""
    yield "net", f"{net.kind}{layers}, {_counted(total, 'parameter')}{parts}"
    for layer in net.layers[:_SHOWN]:
        sides = "x".join(map(str, layer.kernel))
        kind = f"{sides} convolution" if sides else "dense"
        what = "channels" if sides else "units"
        norms = f", {_counted(layer.norms, 'norm layer')}" if layer.norms else ""
        bias = "" if layer.bias else ", no bias"
        tied = f", tied to {layer.tied}" if layer.tied else ""
        sizes = f"{layer.inputs} to {layer.outputs} {what}"
        yield "", f"{layer.name}: {kind}, {sizes}{bias}{norms}{tied}"
    if len(net.layers) > _SHOWN:
        yield "", f"and {_counted(len(net.layers) - _SHOWN, 'more layer')}"


def _plans(found: Inspection) -> Iterator[tuple[str, str]]:
    if found.architecture.kind not in ("CNN", "MLP"):
        return
    plans = found.plans.plans
    if not plans:
        yield "plan", f"unknown: {found.plans.reason}"
    for number, plan in enumerate(plans[:3]):
        yield "or" if number else "plan", str(plan)
        yield "  for inputs", "x".join(map(str, plan.input))
    if len(plans) > 3:
        yield "", f"{len(plans) - 3} more fit; --json has them"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _optimizer(state: Any) -> str:
    shown = [{k: v for k, v in group.items() if k not in _HIDDEN} for group in state.groups]
    groups = "; ".join(map(_pairs, shown))
    steps = ""
    if state.steps:
        low, high = state.steps
        steps = f", {_counted(high, 'step')}" if low == high else f", {low:,} to {high:,} steps"
    groups = f" ({groups})" if groups else ""
    return f"{state.kind}{steps}{groups}, stored as {state.where or 'the whole content'}"


def _pairs(settings: dict[str, Any]) -> str:
    shown = {name: value for name, value in settings.items() if not name.startswith("_")}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _facts(found: Inspection) -> Iterator[tuple[str, str]]:
    for fact in found.facts[:40]:
        value = _pairs(fact.value) if isinstance(fact.value, dict) else fact.value
        yield "stored" if fact.kind == "other" else fact.kind, f"{fact.where}: {value}"
    if len(found.facts) > 40:
        yield "stored", f"{len(found.facts) - 40} more; --json has all"


def _numbers(found: Inspection) -> Iterator[tuple[str, str]]:
    yield "values", ", ".join(f"{count:,} {name}" for name, count in found.dtypes.items())
    if found.grid and found.grid.dtype not in found.dtypes:
        yield (
            "precision",
            f"{found.grid.dtype} holds all {found.grid.values:,} checked values exactly",
        )
    if counts := sorted(set(found.batches.values())):
        text = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        yield "batches", f"{text} seen by {_counted(len(found.batches), 'batch norm layer')}"
    for names in found.shared[:_SHOWN]:
        yield "shared", f"one tensor: {', '.join(names)}"
    for names in found.duplicates[:_SHOWN]:
        yield "equal", f"the same values: {', '.join(names)}"
    if found.devices:
        yield "saved on", ", ".join(found.devices)
