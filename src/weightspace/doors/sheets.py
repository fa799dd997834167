"""CSV files from outside: rows as text, with the line to name when one is wrong."""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.space.recipe import FIELDS, checked

NOTHING = {"", "na", "n/a", "nan", "none", "null", "unknown"}
"""What stands, in any case, in a cell of which nothing is known."""

_SWITCH = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}
_LARGEST = 2**31  # characters of a table


def rows(
    path: Path, required: Collection[str], optional: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file as (place, {column: text}); the place is `file:line`.

    A file whose name ends in .gz is unpacked on the way. Raises DataError, in one line, for a
    column that is unknown, missing or there twice, and for a row longer or shorter than the first.
    """
    try:
        with _opened(path) as file:
            reader = csv.reader(_limited(path, file), strict=True)
            header = next(reader, None)
            if header is None:
                raise DataError(f"{path}: is empty; write a line with the names of the columns")
            _check_header(path, header, required, optional)
            for row in reader:
                place = f"{path}:{reader.line_num}"
                if len(row) != len(header):
                    raise DataError(
                        f"{place}: has {len(row)} cells where the first line names {len(header)} "
                        "columns; the file may be cut short, fetch it again"
                    )
                yield place, dict(zip(header, row, strict=True))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; correct the path, or fetch it") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({printable(reason)}); fetch it again") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no CSV file in UTF-8 ({printable(error)})") from None


def value(name: str, text: str, place: str) -> Any:
    """The value of a hyper-parameter from a cell; None where the cell says that it is unknown."""
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    try:
        return checked(name, _parsed(FIELDS[name], text))
    except UsageError as error:
        raise DataError(f"{place}: {error}; correct the cell, or empty it") from None


def number(name: str, text: str, place: str, *, whole: bool = False) -> Any:
    """A number from 0 (of steps, of epochs, a metric) from a cell; None where it is unknown."""
    text = text.strip()
    if text.lower() in NOTHING:
        return None
    found = _parsed(int if whole else float, text)
    if isinstance(found, str) or found < 0:
        kind = "whole number" if whole else "number"
        raise DataError(f"{place}: {name}: {printable(text, 60)!r} is no {kind} from 0; correct it")
    return found


def switch(name: str, text: str, place: str) -> bool | None:
    """True or false from a cell; None where it is unknown."""
    text = text.strip().lower()
    if text in NOTHING:
        return None
    if text not in _SWITCH:
        raise DataError(
            f"{place}: {name}: {printable(text, 60)!r} is neither true nor false; correct it"
        )
    return _SWITCH[text]


def agree(here: Mapping[str, Any], before: Mapping[str, Any], who: str, place: str) -> None:
    """Refuse what is said of a net `here`, at `place`, where it differs from what was `before`."""
    for name, value in here.items():
        other = before.get(name)
        if value is not None and other is not None and value != other:
            raise DataError(
                f"{place}: {who}: {name} is {printable(value, 60)} here and "
                f"{printable(other, 60)} elsewhere; correct one of them"
            )


def _parsed(kind: type, text: str) -> Any:
    """The text as a value of a kind, or the text itself where it is none."""
    try:
        if kind is bool:
            return _SWITCH[text.lower()]
        if kind is int:
            # A table with gaps writes whole numbers as 32.0.
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
    path: Path, header: list[str], required: Collection[str], optional: Collection[str]
) -> None:
    twice = [name for i, name in enumerate(header) if name in header[:i]]
    if twice:
        raise DataError(f"{path}: column {printable(twice[0], 60)!r} is there twice; remove one")
    for name in header:
        if name not in required and name not in optional:
            known = ", ".join([*required, *optional])
            raise DataError(
                f"{path}: column {printable(name, 60)!r} is unknown; remove it, known are {known}"
            )
    for name in required:
        if name not in header:
            raise DataError(f"{path}: has no column {name!r}; add it")


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _limited(path: Path, lines: TextIO) -> Iterator[str]:
    """The lines of a file, read no further than a table of this kind can be long."""
    left = _LARGEST
    while line := lines.readline(2**20):
        left -= len(line)
        if left < 0:
            raise DataError(f"{path}: is longer than {_LARGEST:,} characters, which no table is")
        yield line
