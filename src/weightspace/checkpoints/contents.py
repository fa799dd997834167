"""What a file holds, before anything is chosen from it, and what a form of files must say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from weightspace.checkpoints.remote import Place
from weightspace.checkpoints.tensors import Values
from weightspace.networks.roles import Note


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes
    ----------
    form : str
        The form of the file, such as "safetensors".
    content : object
        A dict of names and tensors, or containers, text, numbers, tensors and records in each
        other, as in a pickle.
    values : Values
        Reads the tensors.
    ordered : bool
        Whether names are in the order in which the net registered them.
    notes : tuple of Note
        What is in the file and cannot be used, with the reason.
    foreign : dict of str to int
        Names of code in the file, and the bytes where each is first named.
    facts : dict of str to object
        What the form says about the whole file: metadata, versions, the name when it was saved.
    companions : dict of str to Contents
        What other files of the folder hold, such as that of the optimizer, by their names.
    nbytes : int
        The bytes of all values, where they are not those of the file: unpacked, or in other files.
    """

    form: str
    content: Any
    values: Values
    ordered: bool = True
    notes: tuple[Note, ...] = ()
    foreign: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    nbytes: int = 0
    companions: Mapping[str, Contents] = field(default_factory=dict)


@dataclass(frozen=True)
class Opened:
    """An open file that a form reads: its name, size, first bytes, and what to close at the end."""

    file: BinaryIO
    place: Place
    size: int
    head: bytes
    closing: ExitStack


@dataclass(frozen=True)
class Form:
    """A form of files.

    Attributes
    ----------
    name : str
        As messages call it.
    suffixes : tuple of str
        The usual ends of names, in lower case; `add` looks for them. The content decides.
    fits : callable
        Whether an `Opened` is of this form, by its content.
    read : callable
        What it holds, as `Contents`. Raises Refusal.
    """

    name: str
    suffixes: tuple[str, ...]
    fits: Callable[[Opened], bool]
    read: Callable[[Opened], Contents]
