"""Weights files from other people, in the form of the nets of a zoo.

In: the path of a checkpoint of any known form. Out: a `Checkpoint` (one flat vector with its
`Layout`, and a reason for every tensor, used or skipped), or an `Inspection` (all that the file
says about itself). Promises: nothing in a file is ever executed: pickles are read as data, and what
they name becomes an inert record; every value comes from the bytes that the tensor refers to; time
and memory are bounded for every file; a file that cannot be read gives one line with its name and
the remedy; the result is never empty. The
roles of tensors follow from names and shapes as torch writes them. No torch is loaded.
"""

from importlib import import_module
from typing import Any

from weightspace.checkpoints.checkpoint import Checkpoint, read_checkpoint
from weightspace.checkpoints.findings import Finding
from weightspace.checkpoints.inspection.inspect import Inspection, inspect
from weightspace.networks.roles import Note

__all__ = [
    "Checkpoint",
    "Finding",
    "Inspection",
    "Note",
    "Prediction",
    "inspect",
    "predict",
    "read_checkpoint",
]


def __getattr__(name: str) -> Any:
    """`predict` needs a model, and so lies in a room above this one; it keeps its name here."""
    if name in ("Prediction", "predict"):
        return getattr(import_module("weightspace.audit.readings"), name)
    raise AttributeError(f"module 'weightspace.checkpoints' has no attribute {name!r}")
