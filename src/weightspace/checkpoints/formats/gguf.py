"""GGUF files (llama.cpp): metadata, and tensors, of which quantised ones are de-quantised.

After the description of the format in ggml's docs (gguf.md), versions 2 and 3.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.dtypes import DTYPES, FLOAT32
from weightspace.checkpoints.formats.cursor import Cursor, broken, cut_short
from weightspace.checkpoints.formats.quants import QUANTS, Quantised
from weightspace.checkpoints.messages import Refusal
from weightspace.checkpoints.selection.states import MOST_ENTRIES
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous
from weightspace.networks.roles import Note
from weightspace.printable import printable

_MAGIC = b"GGUF"
_NUMBERS = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_TEXT, _ARRAY = 8, 9
_PLAIN = {
    0: "float32", 1: "float16", 24: "int8", 25: "int16", 26: "int32", 27: "int64", 28: "float64",
    30: "bfloat16",
}  # fmt: skip
_NOT_READ = {
    9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S",
    22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4",
}  # fmt: skip
_MOST_KEYS = 2**16
_MOST_ITEMS = 2**22  # of all arrays; a vocabulary has some hundred thousand words
_LONGEST_TEXT = 2**20
_LONGEST_NAME = 2**12
_MOST_DIMENSIONS, _LONGEST = 8, 2**48
_ALIGNMENTS = [2**n for n in range(3, 21)]
_MOST_TYPES = 255  # there are some 40
_SHOWN = 16  # items of an array
_CHUNK = 2**10  # blocks that are de-quantised at once


def _read(opened: Opened) -> Contents:
    reader = _Reader(opened)
    tensors, notes = reader.tensors()
    if reader.quantised:
        said = ", ".join(f"{count} {name}" for name, count in sorted(reader.quantised.items()))
        reader.facts["quantised"] = f"{said}; de-quantised to float32"
    values = Values(opened.file, reader.order)
    return Contents("GGUF", tensors, values, notes=tuple(notes), facts=reader.facts)


class _Reader:
    """Reads the header, and says where each tensor is."""

    def __init__(self, opened: Opened) -> None:
        self._file, self._size = opened.file, opened.size
        self._cursor = Cursor(opened.file, len(_MAGIC), opened.size)
        version = self._cursor.take(4)
        self.order = "big" if version[0] == 0 else "little"
        self._mark = ">" if self.order == "big" else "<"
        number = int.from_bytes(version, "big" if self.order == "big" else "little")
        if number not in (2, 3):
            raise Refusal(f"GGUF version {number}, not 2 or 3", "convert it with a newer llama.cpp")
        self._count, keys = self._numbers("QQ")
        if self._count > MOST_ENTRIES or keys > _MOST_KEYS:
            raise broken(f"{self._count:,} tensors and {keys:,} facts")
        self._items = _MOST_ITEMS
        self.quantised: Counter[str] = Counter()
        self.facts: dict[str, Any] = {"version": number, "byteorder": self.order}
        for _ in range(keys):
            name = self._text(_LONGEST_NAME)
            self.facts[printable(name, 120)] = self._value(self._number("I"))

    def _numbers(self, form: str) -> tuple[Any, ...]:
        return self._cursor.numbers(f"{self._mark}{form}")

    def _number(self, form: str) -> Any:
        return self._numbers(form)[0]

    def _text(self, most: int) -> str:
        length = self._number("Q")
        if length > most:
            raise broken(f"a text of {length:,} bytes")
        return self._cursor.take(length).decode("utf-8", "replace")

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind in _NUMBERS:
            found = self._number(_NUMBERS[kind])
            return found if not isinstance(found, float) or math.isfinite(found) else str(found)
        if kind == _TEXT:
            return printable(self._text(_LONGEST_TEXT), 2000)
        if kind != _ARRAY or depth > 2:
            raise broken(f"a fact of the unknown type {kind}")
        inner, length = self._numbers("IQ")
        if inner in _NUMBERS:
            form = _NUMBERS[inner]
            width = len(np.zeros(1, form).tobytes())
            shown = [self._number(form) for _ in range(min(length, _SHOWN))]
            self._cursor.skip((length - len(shown)) * width)
        else:
            self._items -= length
            if self._items < 0:
                raise broken(f"facts of more than {_MOST_ITEMS:,} entries")
            shown = []
            for place in range(length):
                if inner == _TEXT and place >= _SHOWN:
                    self._cursor.skip(self._number("Q"))
                else:
                    item = self._value(inner, depth + 1)
                    shown += [item] if place < _SHOWN else []
        return shown if length <= _SHOWN else f"{length:,} entries, the first {shown}"

    def tensors(self) -> tuple[dict[str, Tensor], list[Note]]:
        """The tensors, and notes of those that are not read."""
        rows = [self._row() for _ in range(self._count)]
        alignment = self.facts.get("general.alignment", 32)
        if type(alignment) is not int or alignment not in _ALIGNMENTS:
            raise broken("no alignment")
        begin = -(-self._cursor.at // alignment) * alignment
        found: dict[str, Tensor] = {}
        notes: list[Note] = []
        at: int | None = 0  # where the next values begin; None after a type of unknown width
        end = 0  # of the last values
        for name, shape, kind, offset in rows:
            if name in found:
                raise broken(f"{printable(name, 60)} is in it twice")
            # A value that lies elsewhere would be one of another tensor; llama.cpp refuses it, too.
            if offset % alignment or (at is not None and offset != at):
                raise broken(f"{printable(name, 60)} is at byte {offset:,} of the values, not {at}")
            at = None
            if kind not in _PLAIN and kind not in QUANTS:
                what = _NOT_READ.get(kind, f"type {kind}")
                notes.append(Note(name, shape, what, "quantised in a way that is not read"))
                continue
            found[name], length = self._tensor(name, shape, kind, begin + offset)
            end = offset + length
            at = -(-end // alignment) * alignment
        if at is not None and self._size not in (begin + end, begin + at):
            raise broken(f"{self._size - begin - end:,} bytes follow its last tensor")
        return found, notes

    def _row(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text(_LONGEST_NAME)
        dimensions = self._number("I")
        if dimensions > _MOST_DIMENSIONS:
            raise broken(f"{printable(name, 60)} has {dimensions:,} dimensions")
        shape = self._numbers(f"{dimensions}Q")[::-1]  # the first one varies fastest
        if not all(side <= _LONGEST for side in shape):
            raise broken(f"the shape of {printable(name, 60)} is none")
        kind, offset = self._numbers("IQ")
        if kind > _MOST_TYPES:
            raise broken(f"{printable(name, 60)} is of the unknown type {kind:,}")
        return name, shape, kind, offset

    def _tensor(
        self, name: str, shape: tuple[int, ...], kind: int, position: int
    ) -> tuple[Tensor, int]:
        """The tensor, and the bytes of its values."""
        count = math.prod(shape)
        quant = QUANTS.get(kind)
        dtype = FLOAT32 if quant else DTYPES[_PLAIN[kind]]
        if quant and shape and shape[-1] % quant.values:
            raise broken(f"{printable(name, 60)} is no whole number of blocks of {quant.name}")
        length = count // quant.values * quant.nbytes if quant else count * dtype.itemsize
        if position + length > self._size:
            raise Refusal(
                f"cut short; {printable(name, 60)} has {min(length, 10**18):,} bytes from byte "
                f"{min(position, 10**18):,} of {self._size:,}",
                "fetch it again",
            )
        steps = contiguous(shape)
        if quant is None:
            return Tensor(dtype, shape, steps, 0, Storage(dtype, length, position)), length
        if self.order == "big":
            raise Refusal("quantised values in big-endian order", "convert it to little-endian")
        self.quantised[quant.name] += 1
        compute = _dequantised(self._file, position, shape, quant)
        return Tensor(dtype, shape, steps, compute=compute), length


def _dequantised(
    file: BinaryIO, position: int, shape: tuple[int, ...], quant: Quantised
) -> Callable[[], np.ndarray]:
    def values() -> np.ndarray:
        out = np.empty(math.prod(shape), np.float32)
        blocks = out.size // quant.values
        for first in range(0, blocks, _CHUNK):
            some = min(_CHUNK, blocks - first)
            file.seek(position + first * quant.nbytes)
            raw = file.read(some * quant.nbytes)
            if len(raw) < some * quant.nbytes:
                raise cut_short()
            codes = np.frombuffer(raw, np.uint8).reshape(some, quant.nbytes)
            with np.errstate(over="ignore", invalid="ignore"):
                made = quant.decode(codes)
            out[first * quant.values : (first + some) * quant.values] = made.reshape(-1)
        return out.reshape(shape)

    return values


FORM = Form("GGUF", (".gguf",), lambda opened: opened.head.startswith(_MAGIC), _read)
