"""What the parts of the reading hand to each other: tensors, notes and layers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

OUTPUT = ":0"  # the end of the names of TensorFlow's variables
_LONGEST_NAME = 200  # in a reason; a file may repeat a long name a thousand times


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor as the file describes it; `dtype` is torch's name, such as "bfloat16".

    `tied` is the name of another tensor that is the same one, and `kind` the class of its module,
    such as "Embedding"; both are empty if there is none or it is not known. `module` is the name
    without its last component; "/" separates components, too, as in TensorFlow. `leaf` is this
    component, without TensorFlow's ":0".
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    tied: str = ""
    kind: str = ""
    module: str = field(init=False, repr=False, compare=False)
    leaf: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # They are asked for many times.
        end = self._end_of_module
        object.__setattr__(self, "module", self.name[: max(end, 0)])
        object.__setattr__(self, "leaf", self.name[end + 1 :].removesuffix(OUTPUT))

    @property
    def size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    def sibling(self, leaf: str) -> str:
        """The name of another tensor of the same module."""
        end = OUTPUT if self.name.endswith(OUTPUT) else ""
        return f"{self.name[: self._end_of_module + 1]}{leaf}{end}"

    @property
    def _end_of_module(self) -> int:
        return max(self.name.rfind("."), self.name.rfind("/"))


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
class Widths:
    """What a kernel's axes are: its inputs, of one group, its outputs, the sides of its window.

    `axes` is the order in which they are stored: "out in", "in out" (both before the sides), or
    "last" (sides, in, out).
    """

    inputs: int
    outputs: int
    sides: tuple[int, ...]
    axes: str = "out in"


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor with its role and its place in the vector; a kernel also with its widths."""

    entry: Entry
    role: str
    part: str
    layer: int
    reason: str
    widths: Widths | None = None

    @property
    def note(self) -> Note:
        """The note of how it was used."""
        return skip(self.entry, self.reason)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """The tensors in the order of the vector, notes of the others, and what had to be guessed.

    `doubts` are sentences. They are empty if names and shapes leave no choice. `data` says that
    the tensors may be data and no net.
    """

    placed: list[Placed]
    skipped: list[Note]
    doubts: tuple[str, ...] = ()
    data: bool = False


@dataclass(slots=True)
class Norm:
    """The tensors of one norm by role.

    `before` says that its values are put before those of its layer's other norms, since it comes
    before its layer; `sure` says that names or widths show on which side of the layer it is.
    """

    module: str
    tensors: dict[str, Entry] = field(default_factory=dict)
    before: bool = False
    sure: bool = True

    @property
    def width(self) -> int:
        """The number of channels."""
        return next(iter(self.tensors.values())).size

    @property
    def side(self) -> str:
        """Where it is, in words: before or after its layer, or on a side that nothing shows."""
        if not self.sure:
            return "before or after"
        return "before" if self.before else "after"


@dataclass(slots=True)
class Layer:
    """A kernel with its bias and norms.

    `takes` are the widths of input that fit the kernel, and `gives` is the width of its output.
    `what` says what the kernel is, `swapped` that it is stored as [in, out, ...], and `last` that
    the outputs of a convolution are its last axis.
    """

    kernel: Entry
    bias: Entry | None = None
    norms: list[Norm] = field(default_factory=list)
    takes: tuple[int, ...] = ()
    gives: int = 0
    what: str = ""
    swapped: bool = False
    last: bool = False

    @property
    def dense(self) -> bool:
        """Whether it is a dense layer, not a convolution."""
        return len(self.kernel.shape) == 2

    @property
    def part(self) -> str:
        """The part of the layout."""
        return "fc" if self.dense else "conv"

    @property
    def widths(self) -> Widths:
        """What the axes of the kernel are."""
        shape = self.kernel.shape
        if self.last:
            return Widths(shape[-2], shape[-1], shape[:-2], "last")
        if self.swapped:
            return Widths(shape[0], shape[1], shape[2:], "in out")
        return Widths(shape[1], shape[0], shape[2:])


def short(name: str) -> str:
    """A name that is short enough to be repeated."""
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "..."


def skip(entry: Entry, reason: str) -> Note:
    """The note of a tensor with what it is, or why it is not used."""
    tie = f"; tied: one tensor with {short(entry.tied)}" if entry.tied else ""
    return Note(entry.name, entry.shape, entry.dtype, f"{reason}{tie}")
