"""CSV files of unknown origin: rows as text, with the line to name in errors."""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.space.recipe import FIELDS, checked

LARGEST = 2**28
"""Bytes of an unpacked table: the Small CNN Zoo's, of 270,000 snapshots, has some 100 MB."""
LARGEST_OF_ONE = 2**20
"""Bytes of a table about one net or layout; a typical one has some hundred."""
_LONGEST_ROW = 2**16  # characters; a row of a few dozen cells has some hundred
_MOST_ROWS = 2**20
_LONGEST_TEXT = 200  # characters of a hyper-parameter
_LARGEST_WHOLE = 2**53  # the largest integer in any table

NOTHING = {"", "na", "n/a", "nan", "none", "null", "unknown"}
"""The texts, in lower case, of cells with unknown values."""

_SWITCH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def rows(
    path: InnerPath | Path,
    required: Collection[str],
    optional: Collection[str] = (),
    most: int | None = None,
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file as (place, {column: text}); the place is `file:line`.

    A file whose name ends in .gz is unpacked; it may have `most` bytes before and after. Raises
    DataError, in one line, for a column that is unknown, missing or repeated, for a row that is
    longer or shorter than the first, and for a cell with control characters.
    """
    try:
        lines = _Lines(path, _text(path, LARGEST if most is None else most))
        reader = csv.reader(lines, strict=True)
        header = next(reader, None)
        if header is None:
            raise DataError(path, "is empty", "write a line with the names of the columns")
        _check_header(path, header, required, optional)
        lines.next_row()
        for row in reader:
            place = f"{path}:{reader.line_num}"
            _check_row(place, header, row)
            yield place, dict(zip(header, row, strict=True))
            lines.next_row()
    except FileNotFoundError:
        raise DataError(path, "no such file", "correct the path, or fetch it") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(path, f"cannot be read ({printable(reason)})", "fetch it again") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(path, f"is not a CSV file in UTF-8 ({printable(error)})") from None


def text(rows: Iterable[Iterable[str]]) -> bytes:
    """A CSV file with these rows."""
    file = io.StringIO(newline="")
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def value(name: str, text: str, place: str) -> Any:
    """The value of a hyper-parameter in a cell; None if it is unknown."""
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    if len(text) > _LONGEST_TEXT:
        raise DataError(
            place,
            f"{name}: has {len(text):,} characters, at most {_LONGEST_TEXT} are allowed",
            "correct the cell, or empty it",
        )
    try:
        return checked(name, _parsed(FIELDS[name], text))
    except UsageError as error:
        raise DataError(place, error, "correct the cell, or empty it") from None


def number(name: str, text: str, place: str, *, whole: bool = False) -> Any:
    """A number from 0 (steps, epochs, a metric) in a cell; None if it is unknown."""
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    found = _parsed(int if whole else float, text)
    if isinstance(found, str) or found < 0 or (whole and found > _LARGEST_WHOLE):
        kind = "whole number" if whole else "number"
        raise DataError(
            place, f"{name}: {printable(text, 60)!r} is not a {kind} from 0", "correct it"
        )
    return found


def switch(name: str, text: str, place: str) -> bool | None:
    """True or false in a cell; None if it is unknown."""
    text = text.strip().lower()
    if text in NOTHING:
        return None
    if text not in _SWITCH:
        raise DataError(
            place, f"{name}: {printable(text, 60)!r} is neither true nor false", "correct it"
        )
    return _SWITCH[text]


def agree(here: Mapping[str, Any], before: Mapping[str, Any], who: str, place: str) -> None:
    """Refuse values of a net at `place` that differ from earlier ones, `before`."""
    for name, value in here.items():
        other = before.get(name)
        if value is not None and other is not None and value != other:
            raise DataError(
                place,
                f"{who}: {name} is {printable(value, 60)} here and {printable(other, 60)} "
                "elsewhere",
                "correct one of them",
            )


def _parsed(kind: type, text: str) -> Any:
    """The text as a value of a type, or the text itself if it is not one."""
    try:
        if kind is bool:
            return _SWITCH[text.lower()]
        if kind is int:
            # In a table with gaps, integers may be written as 32.0.
            return int(text) if "." not in text else _integral(float(text))
        if kind is float and math.isfinite(found := float(text)):
            return found
    except (ValueError, KeyError):
        pass
    return text


def _integral(found: float) -> int:
    if not found.is_integer():
        raise ValueError(found)
    return int(found)


def _check_header(
    path: InnerPath | Path, header: list[str], required: Collection[str], optional: Collection[str]
) -> None:
    seen: set[str] = set()
    for name in header:
        if name in seen:
            raise DataError(path, f"column {printable(name, 60)!r} is given twice", "remove one")
        seen.add(name)
    for name in header:
        if name not in required and name not in optional:
            known = ", ".join([*required, *optional])
            raise DataError(
                path, f"column {printable(name, 60)!r} is unknown", f"remove it, known are {known}"
            )
    for name in required:
        if name not in seen:
            raise DataError(path, f"has no column {name!r}", "add it")


def _check_row(place: str, header: list[str], row: list[str]) -> None:
    if len(row) != len(header):
        raise DataError(
            place,
            f"has {len(row)} cells, but the first line has {len(header)} columns",
            "the file may be cut short, fetch it again",
        )
    if "".join(row).isprintable():
        return
    for column, cell in zip(header, row, strict=True):
        if not cell.strip().isprintable():
            raise DataError(
                place,
                f"{column}: {printable(cell, 60)!r} holds characters that cannot be shown",
                "correct the cell",
            )


def _text(path: InnerPath | Path, most: int) -> TextIO:
    data = disk.read_bytes(path, most, within=True)
    if path.suffix == ".gz":
        data = _unpacked(path, data, most)
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline="")


def _unpacked(path: InnerPath | Path, data: bytes, most: int) -> bytes:
    """Unpack with zlib only: Python's gzip is slow for an endless name and for empty members."""
    packed = zlib.decompressobj(wbits=31)
    found = packed.decompress(data, most + 1)
    if len(found) > most:
        raise DataError(path, f"has more than {most:,} bytes when unpacked, too many for a table")
    if not packed.eof:
        raise EOFError("Compressed file ended before the end of what is packed in it")
    if packed.unused_data.strip(b"\0"):
        raise DataError(
            path, "has more than one packed member", "unpack it (`gunzip`) and read that"
        )
    return found


class _Lines:
    """The lines of a table, with limits to the number and the length of rows."""

    def __init__(self, path: InnerPath | Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._rows, self._left = 0, _LONGEST_ROW

    def next_row(self) -> None:
        """Begin another row."""
        self._rows, self._left = self._rows + 1, _LONGEST_ROW
        if self._rows > _MOST_ROWS + 1:  # the first row is the header
            raise DataError(self._path, f"has more than {_MOST_ROWS:,} rows", "divide it")

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise DataError(
                self._path,
                f"row {self._rows + 1} is longer than {_LONGEST_ROW:,} characters, too long for "
                "a row",
                "fetch it again",
            )
        if not line:
            raise StopIteration
        return line
