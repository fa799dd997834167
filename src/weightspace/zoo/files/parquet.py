"""How large a Parquet file is when unpacked, read from its page headers before unpacking.

The footer of a file states the sizes of its columns, but it may lie; a reader allocates what the
header of each page states. Headers are Thrift structs in the compact protocol: Apache Parquet's
`parquet.thrift` defines the fields, Thrift's `thrift-compact-protocol.md` the encoding. A file is
refused if another reader could understand it differently from this module. So nested columns,
repeated fields, encodings that grow when unpacked, and bytes between pages are refused. No table of
a zoo has any of them.
"""

from __future__ import annotations

from typing import Any

_MAGIC = b"PAR1"
_DEEPEST = 16
_I16, _I32, _I64, _BINARY, _LIST, _STRUCT = 4, 5, 6, 8, 9, 12
_SIZES = {1: 0, 2: 0, 3: 1, 7: 8}  # two booleans, whose value is the type itself; a byte; a double
_LAST_FIELD = 2**15 - 1
_SCHEMA, _ROW_GROUPS, _COLUMNS, _FILE, _META = 2, 4, 1, 1, 3
_CHILDREN = 5
_META_DEPTH = 3
"""Depth of a column's metadata: in a chunk, in a row group, in the footer."""
_VALUES, _COMPRESSED, _DATA, _DICTIONARY = 5, 7, 9, 11
_PAGE_UNPACKED, _PAGE_PACKED = 2, 3
_PAGE_KINDS = {5: 2, 7: 2, 8: 4}  # header of each of three page types: the field of its encoding
_ENCODINGS = (0, 2, 3, 8)  # plain, dictionary, runs, dictionary: encodings that do not grow
_OLD = b"parquet-mr"  # after its columns some readers look for more data
_MOST_VALUES = 2**24  # in one page


def unpacked(data: bytes) -> list[int]:
    """Bytes of the pages of each row group when unpacked; ValueError if they cannot be known.

    Column chunks that share pages are counted once each, because a reader unpacks the pages each
    time.
    """
    length = int.from_bytes(data[-8:-4], "little")
    end = len(data) - 8 - length
    if data[:4] != _MAGIC or data[-4:] != _MAGIC or end < 4:
        raise ValueError("it does not end like a Parquet file")
    if _OLD in data[end:].lower():
        raise ValueError("it was written by parquet-mr, and no table of a zoo is")
    try:
        footer, _ = _struct(data, end, len(data) - 8, 0)
        if any(column.get(-_CHILDREN, 0) for column in footer.get(_SCHEMA, [])[1:]):
            raise ValueError("it has a nested column")
        return [_group(data, end, group) for group in footer.get(_ROW_GROUPS, [])]
    except IndexError:
        raise ValueError("its footer is cut short") from None
    except (TypeError, AttributeError, KeyError):
        raise ValueError("its footer has invalid content") from None


def _group(data: bytes, end: int, group: dict[int, Any]) -> int:
    total = 0
    for chunk in group.get(_COLUMNS, []):
        meta = chunk.get(_META)
        if not isinstance(meta, dict) or _FILE in chunk:
            raise ValueError("one of its columns has no place in the file")
        start, size = meta.get(_DATA, -1), meta.get(_COMPRESSED, -1)
        if meta.get(_VALUES) == 0:
            continue  # the table has no rows, so no page is read
        if 0 < meta.get(_DICTIONARY, 0) < start:
            start = meta[_DICTIONARY]
        if not (start >= 4 and size >= 0 and start + size <= end):
            raise ValueError("one of its columns lies outside the file")
        total += _pages(data, start, start + size, end)
    return total


def _pages(data: bytes, at: int, stop: int, end: int) -> int:
    total = 0
    while at < stop:
        header, at = _struct(data, at, end, 0)
        packed, size = header[-_PAGE_PACKED], header[-_PAGE_UNPACKED]
        if packed < 0 or size < 0:
            raise ValueError("one of its pages has no size")
        ((kind, about),) = ((kind, header[kind]) for kind in _PAGE_KINDS if kind in header)
        if about[-_PAGE_KINDS[kind]] not in _ENCODINGS:
            raise ValueError("one of its pages has an encoding that zoos do not use")
        if not 0 <= about[-1] <= _MOST_VALUES:
            raise ValueError("one of its pages has more values than a table of a zoo may have")
        # A page that is not compressed is used as it is, whatever size its header states.
        total, at = total + max(size, packed), at + packed
    if at != stop:
        raise ValueError("the last page of a column does not end where the column ends")
    return total


# A zoo has thousands of tables, so the functions below are written for speed.
def _struct(data: bytes, at: int, stop: int, depth: int) -> tuple[dict[int, Any], int]:
    """Read a struct: its integers, structs and lists of structs by field number, and where it ends.

    A 64-bit integer is stored under its field number, a 32-bit one under the negative number,
    because a reader ignores a field of another type than it expects. All other fields are skipped.
    Raises IndexError if the bytes end before the struct does.
    """
    if depth > _DEEPEST:
        raise ValueError("its footer is nested too deeply")
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
            raise ValueError("a field of its footer is repeated or has an invalid number")
        seen.add(field)
        if _I16 <= kind <= _I64:
            value, at = _number(data, at)
            if kind == _I64:
                found[field] = value
            elif not -(2**31) <= value < 2**31:  # a reader would keep only the lower bits
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
        else:  # a set, a map or an unknown type, none of which these structs have
            raise ValueError("its footer has invalid content")
        if at >= stop:
            raise ValueError("its footer is cut short")
    return found, at + 1


def _list(data: bytes, at: int, stop: int, depth: int, field: int) -> tuple[list[Any], int]:
    """Read a list: its structs, and where it ends; elements of other types are skipped.

    A reader assumes the element type of the specification, whatever type the list states. It would
    then continue at a wrong position, so a list that states another type is refused.
    """
    kind, count = data[at] & 15, data[at] >> 4
    at += 1
    numbers = _I16 <= kind <= _I64
    if depth == _META_DEPTH:  # numbers of encodings, a path of names, key-value metadata
        sound = numbers if field == 2 else kind == (_BINARY if field == 3 else _STRUCT)
    else:  # above: schema, row groups and columns; below: counts
        sound = kind == _STRUCT if depth < _META_DEPTH else numbers
    if not sound:
        raise ValueError("its footer has invalid content")
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
            raise ValueError("its footer is cut short")
    return found, at


def _length(data: bytes, at: int, stop: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    if value > stop - at:
        raise ValueError("an entry of its footer is longer than the file")
    return value, at


def _number(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 128:  # the usual case
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
            raise ValueError("one of its numbers does not end")
    if value >> 64:  # a reader would keep only the lower bits
        raise ValueError("a number of it is too large")
    return value, at
