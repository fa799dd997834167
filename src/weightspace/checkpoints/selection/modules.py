"""Whole modules in a pickle, as records: their tensors by the names of a state dict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.pickling.records import Record, word
from weightspace.checkpoints.tensors import Tensor
from weightspace.networks.roles import Note

_SCRIPTED = "__torch__."
_DEEPEST = 64
_MOST_MODULES = 2**15


def is_module(record: Record) -> bool:
    """Whether a record is a module of torch or of TorchScript."""
    return record.name.startswith(_SCRIPTED) or "_parameters" in record.attributes()


def of_module(record: Record) -> tuple[dict[str, Tensor], tuple[Note, ...]]:
    """The tensors of a module and of the modules in it, and notes of tensors without values."""
    tensors: dict[str, Tensor] = {}
    notes: list[Note] = []
    for name, value in _tensors(record):
        if value.kind:
            reason = "a sparse, quantised or empty kind of tensor"
            notes.append(Note(name, value.shape, value.dtype_name, reason))
        else:
            tensors[name] = value
    return tensors, tuple(notes)


def classes(record: Record) -> Iterator[tuple[str, str]]:
    """Name and class of each module, such as ("layer1.0.conv1", "torch.nn.modules.conv.Conv2d")."""
    for prefix, module in _modules(record):
        yield prefix.rstrip("."), module.name


def described(record: Record) -> dict[str, dict[str, object]]:
    """Class and settings of each module, such as {"class": "...Conv2d", "stride": (1, 1)}."""
    return {
        prefix.rstrip("."): {
            "class": module.name,
            **{
                str(name): value
                for name, value in module.attributes().items()
                if isinstance(value, int | float | str | tuple) and not str(name).startswith("_")
            },
        }
        for prefix, module in _modules(record)
    }


def _modules(record: Record) -> Iterator[tuple[str, Record]]:
    waiting = [("", record, 0)]
    count = 0
    while waiting:
        prefix, module, depth = waiting.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST_MODULES:
            raise Refusal("refused; its modules are nested without end", "save model.state_dict()")
        yield prefix, module
        inner = [
            (f"{prefix}{word(name)}.", value, depth + 1)
            for name, value in _inner(module)
            if isinstance(value, Record)
        ]
        waiting += reversed(inner)


def _inner(module: Record) -> list[tuple[Any, Any]]:
    attributes = module.attributes()
    if module.name.startswith(_SCRIPTED):
        return list(attributes.items())
    return list(_mapping(attributes.get("_modules")).items())


def _tensors(record: Record) -> Iterator[tuple[str, Tensor]]:
    for prefix, module in _modules(record):
        attributes = module.attributes()
        if module.name.startswith(_SCRIPTED):
            own = attributes
        else:
            passing = attributes.get("_non_persistent_buffers_set") or ()
            buffers = _mapping(attributes.get("_buffers"))
            own = _mapping(attributes.get("_parameters")) | {
                name: value for name, value in buffers.items() if name not in passing
            }
        for name, value in own.items():
            if isinstance(value, Tensor):
                yield f"{prefix}{word(name)}", value


def _mapping(found: Any) -> dict[Any, Any]:
    return dict(found) if isinstance(found, Mapping) else {}
