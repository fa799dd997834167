"""The header of one NumPy array, and NumPy's files of one array (.npy)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.dtypes import DTYPES, UINT8, DType
from weightspace.checkpoints.formats.cursor import broken, cut_short
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.pickling.machine import LIMIT, Ends
from weightspace.checkpoints.pickling.opcodes import pickles
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous
from weightspace.printable import printable

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 2**14  # bytes; NumPy refuses headers of more than 10,000
_MOST_DIMENSIONS, _LONGEST = 32, 2**48
_KINDS = {
    "f8": "float64", "f4": "float32", "f2": "float16", "b1": "bool", "i8": "int64", "i4": "int32",
    "i2": "int16", "i1": "int8", "u8": "uint64", "u4": "uint32", "u2": "uint16", "u1": "uint8",
    "c16": "complex128", "c8": "complex64",
}  # fmt: skip
_CODE = re.compile(r"'([<>|=])([a-zA-Z]\d*)'")
_DESCR = re.compile(r"'descr': *('[^']{1,40}'|\[)")
_FORTRAN = re.compile(r"'fortran_order': *(True|False)")
_SHAPE = re.compile(r"'shape': *\(([\d, L]*)\)")
_SIDE = re.compile(r" *(\d{1,18})L? *")
_OF_NUMBERS = "holds {what}, not numbers"


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of an array says.

    Attributes
    ----------
    dtype : DType or None
        The type of values; None for text, objects and structures, which `code` names.
    code : str
        NumPy's code of the type.
    order : str
        The order of bytes: "little" or "big".
    shape : tuple of int
        The shape.
    fortran : bool
        Whether the first axis is the one whose values are consecutive.
    length : int
        The bytes of the header.
    """

    dtype: DType | None
    code: str
    order: str
    shape: tuple[int, ...]
    fortran: bool
    length: int

    @property
    def nbytes(self) -> int:
        """The bytes of all values."""
        return math.prod(self.shape) * (self.dtype.itemsize if self.dtype else 0)

    @property
    def stride(self) -> tuple[int, ...]:
        """The strides of the axes, counted in values."""
        shape = self.shape
        return contiguous(shape[::-1])[::-1] if self.fortran else contiguous(shape)

    def tensor(self, position: int) -> Tensor:
        """The tensor whose values are at a position of the file."""
        if self.dtype is None:
            return Tensor(UINT8, self.shape, kind=self.what)
        storage = Storage(self.dtype, self.nbytes, position, order=self.order)
        return Tensor(self.dtype, self.shape, self.stride, 0, storage)

    @property
    def what(self) -> str:
        """What values that are no numbers are."""
        return "Python objects" if self.code.startswith("O") else f"NumPy's {self.code}"


def header(head: bytes) -> Header:
    """What the first bytes of an array say; Refusal if they are no header."""
    if head[:6] != MAGIC or len(head) < 12:
        raise broken("not a NumPy array")
    wide = 4 if head[6] >= 2 else 2
    start = 8 + wide
    length = int.from_bytes(head[8:start], "little")
    if head[6] not in (1, 2, 3) or length > LONGEST_HEADER - start:
        raise broken("no header of a NumPy array")
    if start + length > len(head):
        raise cut_short()
    text = head[start : start + length].decode("latin1")
    sides, fortran, code = _SHAPE.search(text), _FORTRAN.search(text), _DESCR.search(text)
    if not sides or not fortran or not code:
        raise broken("no header of a NumPy array")
    said = sides[1].removesuffix(" ").removesuffix(",").split(",") if sides[1].strip() else []
    matches = [_SIDE.fullmatch(side) for side in said[: _MOST_DIMENSIONS + 1]]
    shape = tuple(int(match[1]) for match in matches if match)
    if (
        len(shape) < len(matches)
        or len(shape) > _MOST_DIMENSIONS
        or max(shape, default=0) > _LONGEST
    ):
        raise broken("the shape of an array is none")
    order, kind = "little", "a structure"
    if match := _CODE.fullmatch(code[1]):
        order = "big" if match[1] == ">" else "little"
        kind = match[2]
    name = _KINDS.get(kind)
    dtype = DTYPES[name] if name else None
    return Header(dtype, kind, order, shape, fortran[1] == "True", start + length)


def _read(opened: Opened) -> Contents:
    said = header(opened.head[:LONGEST_HEADER])
    if said.code.startswith("O"):
        return _unpickled(opened, said)
    if said.dtype is None:
        raise Refusal(_OF_NUMBERS.format(what=printable(said.what, 60)), "name the weights")
    if said.length + said.nbytes != opened.size:
        raise broken(
            f"an array of {min(said.nbytes, 10**18):,} bytes, of which the file has "
            f"{opened.size - said.length:,}"
        )
    content = {"array": said.tensor(said.length)}
    return Contents("npy", content, Values(opened.file), facts={"shape": list(said.shape)})


def _unpickled(opened: Opened, said: Header) -> Contents:
    """What an array of Python objects describes, such as the dict that `np.save` was given."""
    opened.file.seek(said.length)
    machine = pickles(opened.file.read(min(opened.size, LIMIT)))
    try:
        found = machine.load()
    except Ends:
        if opened.size <= LIMIT:
            raise
        raise Refusal(
            f"a pickle of more than {LIMIT:,} bytes, which are the most that are read",
            "save the arrays with np.savez",
        ) from None
    if not isinstance(found, Tensor) or found.objects is None:
        raise broken("the pickle in it is no array of objects")
    content = found.objects[0] if not found.shape and found.objects else found.objects
    facts = {"pickled": "a dict or list that np.save pickled; read as data"}
    return Contents("npy", content, Values(opened.file), foreign=machine.foreign, facts=facts)


FORM = Form("NumPy array", (".npy",), lambda opened: opened.head.startswith(MAGIC), _read)
