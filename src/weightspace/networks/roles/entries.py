"""What the parts of the reading hand to each other: tensors, notes and layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

_LONGEST_NAME = 200  # in a reason; a file may repeat a long name a thousand times


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor as the file describes it; `dtype` is torch's name, such as "bfloat16"."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    @property
    def module(self) -> str:
        """The name without its last component."""
        return self.name.rpartition(".")[0]

    @property
    def leaf(self) -> str:
        """The last component of the name."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Note:
    """How one tensor of a checkpoint was used, and why.

    Attributes
    ----------
    name : str
        The name in the file.
    shape : tuple of int
        The shape.
    dtype : str
        Torch's name of the type, such as "bfloat16".
    reason : str
        What it is, or why it was skipped.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor with its role and its place in the vector."""

    entry: Entry
    role: str
    part: str
    layer: int
    reason: str

    @property
    def note(self) -> Note:
        """The note of how it was used."""
        return Note(self.entry.name, self.entry.shape, self.entry.dtype, self.reason)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The tensors in the order of the vector, notes of the others, and what had to be guessed.

    `doubts` are sentences. They are empty if names and shapes leave no choice.
    """

    placed: list[Placed]
    skipped: list[Note]
    doubts: tuple[str, ...] = ()


@dataclass(slots=True)
class Norm:
    """The tensors of one norm by role; `before` says that it comes before its layer."""

    module: str
    tensors: dict[str, Entry] = field(default_factory=dict)
    before: bool = False

    @property
    def width(self) -> int:
        """The number of channels."""
        return next(iter(self.tensors.values())).size


@dataclass(slots=True)
class Layer:
    """A kernel with its bias and norms.

    `takes` are the widths of input that fit the kernel, and `gives` is the width of its output.
    `what` says what the kernel is.
    """

    kernel: Entry
    bias: Entry | None = None
    norms: list[Norm] = field(default_factory=list)
    takes: tuple[int, ...] = ()
    gives: int = 0
    what: str = ""
    swapped: bool = False

    @property
    def dense(self) -> bool:
        """Whether it is a dense layer, not a convolution."""
        return len(self.kernel.shape) == 2

    @property
    def part(self) -> str:
        """The part of the layout."""
        return "fc" if self.dense else "conv"


def short(name: str) -> str:
    """A name that is short enough to be repeated."""
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."


def skip(entry: Entry, reason: str) -> Note:
    """The note of a tensor that is not used."""
    return Note(entry.name, entry.shape, entry.dtype, reason)
