"""How much a Parquet file unpacks to, told from its page headers before anything is unpacked.

The footer of a file says how large its columns are, and may lie; a reader allocates what the header
of each page says. Headers are Thrift structs in the compact protocol: Apache Parquet's
`parquet.thrift` gives the fields, Thrift's `thrift-compact-protocol.md` the encoding. Where a
reader could take something for another thing than this walk does, the file is refused: no part of
a zoo has nested columns, a field that stands twice, encodings that grow when they are unpacked, or
bytes between pages.
"""

from __future__ import annotations

from typing import Any

_MAGIC = b"PAR1"
_DEEPEST = 16
_I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 4, 5, 6, 8, 9, 12
_SIZES = {1: 0, 2: 0, 3: 1, 7: 8}  # truth values, which are in their kind; a byte; a double
_LAST_FIELD = 2**15 - 1
_SCHEMA, _ROW_GROUPS, _COLUMNS, _FILE, _META = 2, 4, 1, 1, 3
_CHILDREN = 5
_META_DEPTH = 3
"""Depth of what is said of a column: in a chunk, in a row group, in the footer."""
_VALUES, _COMPRESSED, _DATA, _DICTIONARY = 5, 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3
_PAGE_KINDS = {5: 2, 7: 2, 8: 4}  # headers of pages of three kinds, and where each has its encoding
_ENCODINGS = (0, 2, 3, 8)  # plain, dictionary, runs, dictionary: a page holds what it unpacks to
_OLD = b"parquet-mr"  # behind whose columns readers look for more
_MOST_VALUES = 2**24  # of a page


def unpacked(data: bytes) -> list[int]:
    """Bytes of the pages of each row group when unpacked; ValueError where they cannot be told.

    Chunks that share their pages count each for itself, as a reader unpacks them.
    """
    length = int.from_bytes(data[-8:-4], "little")
    end = len(data) - 8 - length
    if data[:4] != _MAGIC or data[-4:] != _MAGIC or end < 4:
        raise ValueError("its end is none of a Parquet file")
    if _OLD in data[end:].lower():
        raise ValueError("it was written by parquet-mr, which no part is")
    try:
        footer, _ = _struct(data, end, len(data) - 8, 0)
        if any(column.get(-_CHILDREN, 0) for column in footer.get(_SCHEMA, [])[1:]):
            raise ValueError("a column of it holds others")
        return [_group(data, end, group) for group in footer.get(_ROW_GROUPS, [])]
    except IndexError:
        raise ValueError("its end is cut short") from None
    except (TypeError, AttributeError, KeyError):
        raise ValueError("its end holds what no such file does") from None


def _group(data: bytes, end: int, group: dict[int, Any]) -> int:
    total = 0
    for chunk in group.get(_COLUMNS, []):
        meta = chunk.get(_META)
        if not isinstance(meta, dict) or _FILE in chunk:
            raise ValueError("a column of it lies nowhere")
        start, size = meta.get(_DATA, -1), meta.get(_COMPRESSED, -1)
        if meta.get(_VALUES) == 0:
            continue  # of a table without rows, and no page of it is read
        if 0 < meta.get(_DICTIONARY, 0) < start:
            start = meta[_DICTIONARY]
        if not (start >= 4 and size >= 0 and start + size <= end):
            raise ValueError("a column of it lies outside the file")
        total += _pages(data, start, start + size, end)
    return total


def _pages(data: bytes, at: int, stop: int, end: int) -> int:
    total = 0
    while at < stop:
        header, at = _struct(data, at, end, 0)
        packed, size = header[-_PAGE_PACKED], header[-_PAGE_UNPACKED]
        if packed < 0 or size < 0:
            raise ValueError("a page of it has no size")
        ((kind, about),) = ((kind, header[kind]) for kind in _PAGE_KINDS if kind in header)
        if about[-_PAGE_KINDS[kind]] not in _ENCODINGS:
            raise ValueError("a page of it is of an encoding that no part has")
        if not 0 <= about[-1] <= _MOST_VALUES:
            raise ValueError("a page of it has more values than any part")
        # What is not packed is taken as it is, whatever its header says; values may be all one.
        total, at = total + max(size, packed), at + packed
    if at != stop:
        raise ValueError("a page of it ends elsewhere than its column")
    return total


# A zoo has thousands of parts, so what follows is written for speed: one function, plain names.
def _struct(data: bytes, at: int, stop: int, depth: int) -> tuple[dict[int, Any], int]:
    """A struct's whole numbers, structs and lists of structs by field, and where it ends.

    Whole numbers of 64 bits stand under their field, those of 32 under its negative: a reader takes
    no notice of a field of another kind than its own. Everything else is stepped over. IndexError
    where the bytes end before it does.
    """
    if depth > _DEEPEST:
        raise ValueError("its end is too deep")
    found: dict[int, Any] = {}
    seen: set[int] = set()
    field = 0
    while kind := data[at]:
        at += 1
        if kind > 15:
            field += kind >> 4
        else:
            field, at = _number(data, at)
        kind &= 15
        if field in seen or not 1 <= field <= _LAST_FIELD:
            raise ValueError("a field of it stands twice, or is none")
        seen.add(field)
        if _I16 <= kind <= _I64:
            value, at = _number(data, at)
            if kind == _I64:
                found[field] = value
            elif not -(2**31) <= value < 2**31:  # of which a reader would take the lower bits
                raise ValueError("a number of it is too large")
            elif kind == _I32:
                found[-field] = value
        elif kind == _BINARY:
            value, at = _length(data, at, stop)
            at += value
        elif kind == _STRUCT:
            found[field], at = _struct(data, at, stop, depth + 1)
        elif kind == _LIST:
            found[field], at = _list(data, at, stop, depth, field)
        elif kind in _SIZES:
            at += _SIZES[kind]
        else:  # a set, a map or no kind at all: none of these structs has one
            raise ValueError("its end holds what no such file does")
        if at >= stop:
            raise ValueError("its end is cut short")
    return found, at + 1


def _list(data: bytes, at: int, stop: int, depth: int, field: int) -> tuple[list[Any], int]:
    """The structs of a list, and where it ends; of other elements none.

    A reader takes the elements for what they should be, whatever the list says that they are, and
    so would read on at another place: a list that says anything else is refused.
    """
    kind, count = data[at] & 15, data[at] >> 4
    at += 1
    numbers = _I16 <= kind <= _I64
    if depth == _META_DEPTH:  # the numbers of encodings, a path of names, notes
        sound = numbers if field == 2 else kind == (_BINARY if field == 3 else _STRUCT)
    else:  # above are the schema, row groups and columns, below counts
        sound = kind == _STRUCT if depth < _META_DEPTH else numbers
    if not sound:
        raise ValueError("its end holds what no such file does")
    if count == 15:
        count, at = _length(data, at, stop)
    found = []
    for _ in range(count):
        if kind == _STRUCT:
            one, at = _struct(data, at, stop, depth + 1)
            found.append(one)
        else:
            value, at = _length(data, at, stop) if kind == _BINARY else (0, _number(data, at)[1])
            at += value
        if at >= stop:
            raise ValueError("its end is cut short")
    return found, at


def _length(data: bytes, at: int, stop: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    if value > stop - at:
        raise ValueError("a part of its end is longer than the file")
    return value, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 128:  # nearly all of them
        return value, at + 1
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 63:
            raise ValueError("a number of it has no end")
    if value >> 64:  # of which a reader would take the lower bits
        raise ValueError("a number of it is too large")
    return value, at
