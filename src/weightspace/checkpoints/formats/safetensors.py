"""Safetensors files: a header that says where the values of each tensor lie."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, BinaryIO

from weightspace.checkpoints.contents import Contents, Form, Opened
from weightspace.checkpoints.dtypes import DTYPES, UINT8
from weightspace.checkpoints.messages import Refusal, one_line
from weightspace.checkpoints.selection.states import check_entries
from weightspace.checkpoints.tensors import Storage, Tensor, Values, contiguous, size_of
from weightspace.networks.roles import Note
from weightspace.printable import printable

FORMAT_LIMIT = 100_000_000  # the most bytes of a header in the format
LIMIT = 2**23  # the most bytes that we read; a thousand tensors take about 100,000
_OTHERS = (b"version https://git-lfs", b"<", b"PK", b"\x80")
_MOST_DIMENSIONS, _LONGEST = 32, 2**48  # of one tensor
_BITS_AND_NAMES = {
    "BOOL": (8, "bool"),
    "F4": (4, ""),
    "F6_E2M3": (6, ""),
    "F6_E3M2": (6, ""),
    "U8": (8, "uint8"),
    "I8": (8, "int8"),
    "F8_E5M2": (8, "float8_e5m2"),
    "F8_E4M3": (8, "float8_e4m3fn"),
    "F8_E8M0": (8, "float8_e8m0fnu"),
    "F8_E4M3FNUZ": (8, "float8_e4m3fnuz"),
    "F8_E5M2FNUZ": (8, "float8_e5m2fnuz"),
    "I16": (16, "int16"),
    "U16": (16, "uint16"),
    "F16": (16, "float16"),
    "BF16": (16, "bfloat16"),
    "I32": (32, "int32"),
    "U32": (32, "uint32"),
    "F32": (32, "float32"),
    "C64": (64, "complex64"),
    "F64": (64, "float64"),
    "I64": (64, "int64"),
    "U64": (64, "uint64"),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A tensor of the header; `start` and `end` count bytes from the end of the header."""

    name: str
    dtype: Any
    shape: tuple[int, ...]
    start: int
    end: int
    count: int


def _fits(opened: Opened) -> bool:
    head = opened.head
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= FORMAT_LIMIT:
        return True
    # Damaged; the check of the header says how.
    return opened.place.suffix == ".safetensors" and not head.lstrip().startswith(_OTHERS)


def _read(opened: Opened) -> Contents:
    tensors, values, metadata = safetensors(opened.file)
    check_entries(tensors)
    notes = tuple(
        Note(name, tensor.shape, tensor.kind, "of a dtype that torch does not have")
        for name, tensor in tensors.items()
        if tensor.kind
    )
    named = {name: tensor for name, tensor in tensors.items() if not tensor.kind}
    facts = {"metadata": metadata} if metadata else {}
    return Contents("safetensors", named, values, ordered=False, notes=notes, facts=facts)


FORM = Form("safetensors", (".safetensors",), _fits, _read)


def safetensors(file: BinaryIO) -> tuple[dict[str, Tensor], Values, dict[str, str]]:
    """The tensors of a file in the order of its header, where their values are, and metadata.

    A tensor whose dtype torch does not have is listed without values. Raises Refusal if the header
    is not valid, or if its tensors do not fill the rest of the file with exactly the bytes of their
    values.
    """
    size = size_of(file)
    file.seek(0)
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, FORMAT_LIMIT):
        raise Refusal(
            f"cut short; its header takes {length:,} bytes, the file has {size:,}", "fetch it again"
        )
    if length > LIMIT:
        raise Refusal(
            f"refused; its header has {length:,} bytes, at most {LIMIT:,} are read",
            "save the tensors without the metadata",
        )
    rows, metadata = _rows(file.read(length))
    _check(rows, size - 8 - length)
    return {row.name: _tensor(row, 8 + length) for row in rows}, Values(file), metadata


def _rows(raw: bytes) -> tuple[list[_Row], dict[str, str]]:
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_once)
        metadata = header.pop("__metadata__", {})
        _check_metadata(metadata)
        return [_row(name, said) for name, said in header.items()], metadata
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as e:
        raise Refusal(f"damaged; no safetensors header ({one_line(e)})", "fetch it again") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of the header; ValueError if a name is repeated or is not text."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is in it twice")
    for name in found:
        if not name.isascii():
            name.encode()
    return found


def _check_metadata(found: Any) -> None:
    if type(found) is not dict or not all(type(value) is str for value in found.values()):
        raise ValueError("its metadata are not text")


def _row(name: str, said: Any) -> _Row:
    shape, (start, end) = said["shape"], said["data_offsets"]
    if type(start) is not int or type(end) is not int:
        raise ValueError("an offset is not a whole number")
    return _Row(name, said["dtype"], tuple(shape), start, end, _count(shape))


def _count(shape: Any) -> int:
    """The number of values of a shape, which is checked before anything is multiplied."""
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a shape is not a list of at most {_MOST_DIMENSIONS} numbers")
    if not all(type(side) is int and 0 <= side <= _LONGEST for side in shape):
        raise ValueError(f"a shape does not consist of whole numbers from 0 to {_LONGEST:,}")
    return math.prod(shape)


def _check(rows: list[_Row], held: int) -> None:
    """Refuse tensors that overlap, leave gaps, or do not fit their number of values."""
    for row in rows:
        if row.end > held or row.count > max(held, 0) * 8:
            values, last = (f"{min(n, 10**18):,}" for n in (row.count, row.end))
            raise Refusal(
                f"cut short; {printable(row.name)} has {values} values up to byte {last}, the "
                f"file holds {held:,} bytes of values",
                "fetch it again",
            )
    at = 0
    for row in sorted(rows, key=lambda row: (row.start, row.end)):
        if not isinstance(row.dtype, str) or row.dtype not in _BITS_AND_NAMES:
            raise _damaged(row, f"has an unknown dtype, {printable(repr(row.dtype), 60)}")
        bits = row.count * _BITS_AND_NAMES[row.dtype][0]
        if row.start != at or row.end < at:
            raise _damaged(row, f"is at bytes {row.start:,} to {row.end:,} instead of {at:,}")
        if (row.end - row.start) * 8 != bits:
            raise _damaged(
                row, f"has {row.count:,} values of {row.dtype} in {row.end - row.start:,} bytes"
            )
        at = row.end
    if at != held:
        raise Refusal(f"damaged ({held - at:,} bytes follow its last tensor)", "fetch it again")


def _damaged(row: _Row, what: str) -> Refusal:
    return Refusal(f"damaged ({printable(row.name)} {what})", "fetch it again")


def _tensor(row: _Row, begin: int) -> Tensor:
    dtype = DTYPES.get(_BITS_AND_NAMES[row.dtype][1])
    if dtype is None:
        return Tensor(UINT8, row.shape, kind=row.dtype)
    storage = Storage(dtype, row.end - row.start, begin + row.start)
    return Tensor(dtype, row.shape, contiguous(row.shape), 0, storage)
