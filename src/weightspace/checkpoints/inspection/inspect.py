"""`inspect`: all that a file says about itself, without executing anything in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.checkpoints.checkpoint import reading_without_pauses
from weightspace.checkpoints.contents import Contents
from weightspace.checkpoints.files import Stored, net_in, read_contents
from weightspace.checkpoints.findings import Finding, doubts, of_names
from weightspace.checkpoints.inspection import architecture, numbers
from weightspace.checkpoints.inspection.architecture import Architecture
from weightspace.checkpoints.inspection.facts import Fact, is_settings, settings
from weightspace.checkpoints.inspection.facts import numbers as plain_facts
from weightspace.checkpoints.inspection.keras import of_keras
from weightspace.checkpoints.inspection.numbers import Grid
from weightspace.checkpoints.inspection.optax import of_optax
from weightspace.checkpoints.inspection.optimizers import (
    OptimizerState,
    ScheduleState,
    is_optimizer,
    is_schedule,
    optimizer,
    schedule,
)
from weightspace.checkpoints.pickling.records import Record, plain, word
from weightspace.checkpoints.plans.chains import Plans, plans_of
from weightspace.checkpoints.reading import arranged
from weightspace.checkpoints.selection.modules import classes, described, is_module
from weightspace.checkpoints.selection.optax import is_optax
from weightspace.checkpoints.selection.walk import nodes
from weightspace.checkpoints.tensors import Tensor, Values, tied
from weightspace.disk import InnerPath
from weightspace.markup import summary
from weightspace.networks.roles import Arrangement, Note

_MOST_FACTS = 1000


_SHOWN = 20  # facts


@dataclass(frozen=True)
class Inspection:
    """What a file says about itself.

    Attributes
    ----------
    path : Path
        The file.
    form : str
        Its form, such as "torch".
    bytes : int
        Its size.
    sha256 : str
        The SHA-256 of the whole file; "" if it was not asked for, or for a checkpoint in several
        files.
    key : str
        Where the net's state dict is: keys joined by "/", "" for the whole content.
    others : tuple of str
        Where the other state dicts are.
    architecture : Architecture
        Kind, layers, parameters by part.
    plans : Plans
        The layers in order with all their settings, if the net is a plain chain of convolutions and
        dense layers: the likeliest plan first, then others that fit.
    used : tuple of Note
        Every tensor of the net with its role.
    left_out : tuple of Note
        Everything else, with the reason.
    optimizers : tuple of OptimizerState
        States of optimizers.
    schedules : tuple of ScheduleState
        States of learning-rate schedules.
    facts : tuple of Fact
        Epochs, steps, settings, metadata and other text and numbers.
    modules : dict of str to str
        The class of each module, where the file holds whole modules.
    versions : dict of str to int
        The version of each module, as torch keeps it with a state dict.
    batches : dict of str to int
        How many batches each batch norm has seen in training.
    dtypes : dict of str to int
        The number of values of each type.
    grid : Grid or None
        The coarsest type that holds all values that were looked at.
    shared : tuple of tuple of str
        Groups of names of one tensor.
    duplicates : tuple of tuple of str
        Groups of names of different tensors with equal values.
    devices : dict of str to int
        Where the values were when they were saved, by the number of storages.
    findings : tuple of Finding
        What else a reader should know: names of code, hostile names.
    """

    path: Path
    form: str
    bytes: int
    sha256: str
    key: str
    others: tuple[str, ...]
    architecture: Architecture
    plans: Plans
    used: tuple[Note, ...]
    left_out: tuple[Note, ...]
    optimizers: tuple[OptimizerState, ...]
    schedules: tuple[ScheduleState, ...]
    facts: tuple[Fact, ...]
    modules: Mapping[str, str]
    versions: Mapping[str, int]
    batches: Mapping[str, int]
    dtypes: Mapping[str, int]
    grid: Grid | None
    shared: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, ...], ...]
    devices: Mapping[str, int]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """The inspection as plain values for JSON.

        Returns
        -------
        dict
            A key for each attribute.
        """
        found = dataclasses.asdict(dataclasses.replace(self, plans=Plans((), "")))
        return found | {"path": str(self.path), "plans": self.plans.to_dict()}

    def _repr_html_(self) -> str:
        facts: list[tuple[str, object]] = [
            ("form", self.form),
            ("bytes", self.bytes),
            ("architecture", self.architecture.kind),
            *((f"values, {part}", count) for part, count in self.architecture.parameters.items()),
            *(("optimizer", one.kind) for one in self.optimizers),
            *((one.where, str(one.value)) for one in self.facts[:_SHOWN]),
            *((one.kind, str(one)) for one in self.findings),
        ]
        rows = [
            (note.name, "x".join(map(str, note.shape)), note.dtype, note.reason)
            for note in (*self.used, *self.left_out)
        ]
        headings = ("name", "shape", "dtype", "role or reason")
        return summary(f"Inspection of {self.path}", facts, headings, rows)


def inspect(
    path: str | Path | InnerPath, *, key: str | None = None, hashed: bool = True
) -> Inspection:
    """Say what a checkpoint file holds; nothing in it is executed.

    Parameters
    ----------
    path : str, Path or InnerPath
        A file of any form that `read_checkpoint` reads.
    key : str, optional
        Which of several state dicts is the net. By default the rule of `read_checkpoint`.
    hashed : bool
        Whether to work out the SHA-256 of the file, which reads all of it.

    Returns
    -------
    Inspection

    Raises
    ------
    DataError
        If the file is missing, damaged, or of no known form. The message is one line.

    Notes
    -----
    Values are read a tensor at a time, so that memory does not grow with the file.

    Examples
    --------
    >>> import tempfile, torch
    >>> net = torch.nn.Linear(3, 2)
    >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> content = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 7}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(content, f"{folder}/net.pt")
    ...     found = inspect(f"{folder}/net.pt")
    >>> found.key, found.optimizers[0].kind, found.optimizers[0].groups[0]["lr"]
    ('net', 'SGD', 0.1)
    >>> [(fact.kind, fact.value) for fact in found.facts if fact.name == "epoch"]
    [('epoch', 7)]
    """
    place = path if isinstance(path, InnerPath) else Path(path)
    with reading_without_pauses(), read_contents(place, beside=True) as (contents, size):
        stored = net_in(contents, size, key)
        return inspection_of(place, stored, arranged(stored), size, hashed)


def inspection_of(
    place: Path | InnerPath, stored: Stored, arrangement: Arrangement, size: int, hashed: bool
) -> Inspection:
    """What an open file of `size` bytes says about itself."""
    contents, values = stored.contents, stored.values
    placed, skipped = arrangement.placed, arrangement.skipped
    beside = _Beside(contents, stored)
    versions = _versions(stored.chosen.attributes)
    everything = stored.chosen.tensors
    net = architecture.of(arrangement, beside.modules, tied(stored.tensors))
    return Inspection(
        path=place.path if isinstance(place, InnerPath) else place,
        form=stored.form,
        bytes=size,
        sha256=numbers.sha256(values.file) if hashed and not _in_parts(everything) else "",
        key=stored.chosen.key,
        others=tuple(one.key for one in stored.others),
        architecture=net,
        plans=_plans(net, arrangement, beside.described or {name: {} for name in versions}),
        used=tuple(p.note for p in placed),
        left_out=(*skipped, *stored.beside),
        optimizers=tuple(beside.optimizers),
        schedules=tuple(beside.schedules),
        facts=tuple(beside.facts[:_MOST_FACTS]),
        modules=beside.modules,
        versions=versions,
        batches=numbers.counters(everything, values),
        dtypes=numbers.dtypes(everything),
        grid=numbers.grid(everything, values),
        shared=numbers.shared(everything),
        duplicates=numbers.duplicates(everything, values),
        devices=_devices(everything),
        findings=(
            *of_names(contents.foreign),
            *_of_companions(contents),
            *doubts(arrangement.doubts, contents.facts),
        ),
    )


def _plans(
    net: Architecture, arrangement: Arrangement, modules: Mapping[str, Mapping[str, object]]
) -> Plans:
    """The plans that fit a net; residual nets, transformers and data have none."""
    if net.kind not in ("CNN", "MLP"):
        unknown = net.kind == "unknown"
        return Plans((), net.evidence if unknown else f"{net.kind}, as {net.evidence} shows")
    return plans_of(arrangement.placed, arrangement.skipped, modules)


def _of_companions(contents: Contents) -> Iterator[Finding]:
    """Findings about the names of code in the files beside the weights."""
    for name, beside in contents.companions.items():
        for finding in of_names(beside.foreign):
            where = f"{finding.where} in {name}" if finding.where else f"in {name}"
            yield dataclasses.replace(finding, where=where)


class _Beside:
    """Everything in a file that is not the net."""

    def __init__(self, contents: Contents, stored: Stored) -> None:
        self.optimizers: list[OptimizerState] = []
        self.schedules: list[ScheduleState] = []
        self.modules: dict[str, str] = {}
        self.described: dict[str, dict[str, object]] = {}
        told = {name: value for name, value in contents.facts.items() if name != "form"}
        if contents.form == "Keras" and (said := told.pop("optimizer", None)):
            state, inner = of_keras(said)
            self.optimizers.append(state)
            self.schedules += inner
        self.facts = [Fact("metadata", name, plain(value), name) for name, value in told.items()]
        keys = {stored.chosen.key, *(one.key for one in stored.others)}
        flat = contents.form == "safetensors"
        for where, node in nodes(contents.content, _closed):
            if self._trained(where, node, stored.values):
                continue
            if isinstance(node, Record) and is_module(node):
                if where == stored.chosen.key:
                    self.modules = dict(classes(node))
                    self.described = described(node)
            elif is_settings(where, node):
                self.facts.append(settings(where, node))
            elif where not in keys or not flat:
                self.facts += plain_facts(where, node, stored.values)
        for name, beside in contents.companions.items():
            self._companion(name, beside)

    def _trained(self, where: str, node: Any, values: Values) -> bool:
        """Whether a node is the state of an optimizer or a schedule, which is kept."""
        if is_optimizer(node):
            self.optimizers.append(optimizer(where, node, values))
        elif is_optax(where, node):
            state, inner = of_optax(where, node, values)
            self.optimizers.append(state)
            self.schedules += inner
        elif is_schedule(node):
            self.schedules.append(schedule(where, node, values))
        else:
            return False
        return True

    def _companion(self, name: str, beside: Contents) -> None:
        """What a file beside the weights says; the counts of a training, or all its settings."""
        content = beside.content
        if self._trained(name, content, beside.values):
            return
        if name == "trainer_state.json":
            self.facts += plain_facts(name, content, beside.values)
        elif isinstance(content, Mapping | Record):
            self.facts.append(settings(name, content))


def _closed(where: str, node: Any) -> bool:
    if is_optimizer(node) or is_optax(where, node) or is_schedule(node) or is_settings(where, node):
        return True
    return isinstance(node, Record) and is_module(node)


def _versions(attributes: Mapping[Any, Any]) -> dict[str, int]:
    """The versions of modules in the `_metadata` of a state dict."""
    found = attributes.get("_metadata")
    if not isinstance(found, Mapping):
        return {}
    return {
        word(name): version
        for name, one in found.items()
        if isinstance(one, Mapping) and isinstance(version := one.get("version"), int)
    }


def _in_parts(tensors: Mapping[str, Tensor]) -> bool:
    """Whether values lie in other files than the one that was named."""
    return any(t.storage is not None and t.storage.file is not None for t in tensors.values())


def _devices(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    storages = {id(t.storage): t.storage for t in tensors.values() if t.storage is not None}
    names, counts = np.unique([s.device for s in storages.values() if s.device], return_counts=True)
    return {str(name): int(count) for name, count in zip(names, counts, strict=True)}
