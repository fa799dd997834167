"""From the tensors of a file to layers: what roles are told of them, and whether they are data."""

from __future__ import annotations

from dataclasses import replace

from weightspace.checkpoints.files import Stored
from weightspace.checkpoints.tensors import tied
from weightspace.networks.roles import Arrangement, Entry, arrange, data

_KNOWN = ("ONNX", "GGUF", "Keras", "flax")  # forms that hold nets, and no data


def entries_of(stored: Stored) -> list[Entry]:
    """What roles are told of the tensors of a net: names, shapes, types, ties, classes."""
    ties, classes = tied(stored.tensors), stored.classes
    found = []
    for name, tensor in stored.tensors.items():
        entry = Entry(name, tensor.shape, tensor.dtype_name, ties.get(name, ""))
        kind = classes.get(entry.module, "")
        found.append(replace(entry, kind=kind) if kind else entry)
    return found


def arranged(stored: Stored) -> Arrangement:
    """The tensors of a net with their roles, layers and order, and what had to be guessed."""
    entries = entries_of(stored)
    found = arrange(entries, ordered=stored.ordered)
    told = "" if stored.form in _KNOWN else data.doubt(entries)
    return replace(found, doubts=(told, *found.doubts), data=True) if told else found
