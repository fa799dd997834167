"""Files of results in a folder: written together, replacing only our own files, checked when read.

Only files that weightspace wrote are replaced or removed. A Parquet table is ours if it has the
columns that we write, or some of them (releases differ).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from weightspace.disk import (
    InnerPath,
    alone_in,
    explained,
    make_folder,
    open_file,
    read_bytes,
    remove,
    remove_empty,
    remove_leftovers,
    replace_all,
)
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.zoo.format.tables import decode

Columns = Mapping[str, Any]
"""Names of columns and their types in polars."""

MOST = 2**30
"""The most bytes of a table that is read."""

# A panic of polars does not derive from Exception.
_DAMAGE = (
    *(pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(OSError, ValueError, TypeError),
)
_KINDS: dict[Any, Any] = {
    pa.int64(): pl.Int64,
    pa.float64(): pl.Float64,
    pa.bool_(): pl.Boolean,
    pa.string(): pl.String,
    pa.large_string(): pl.String,
    pa.string_view(): pl.String,
}


def at(root: InnerPath, way: str) -> InnerPath:
    """The place of this name below a folder; slashes separate the names of folders."""
    return InnerPath(root.root, (*root.parts, *way.split("/")))


def parquet(table: pl.DataFrame) -> bytes:
    """The table as a Parquet file."""
    buffer = BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def read_table(
    place: InnerPath, columns: Columns, remedy: str, *, later: Sequence[str] = ()
) -> pl.DataFrame:
    """Read a Parquet table; DataError, which ends in `remedy`, if it lacks one of the `columns`.

    Other columns must have one of the types that our tables use. Columns of `later` may be missing,
    as in tables of earlier releases; they are null then.
    """
    try:
        data = read_bytes(place, MOST)
    except FileNotFoundError:
        raise DataError(place, "no such table", remedy) from None
    except OSError as error:
        raise DataError(place, f"cannot be read ({error.strerror})", remedy) from None

    def accept(file: pq.ParquetFile) -> None:
        # Check types before anything is read, because polars panics on some of them.
        found = set(file.schema_arrow.names)
        known = {k: v for k, v in columns.items() if k in found or k not in later}
        _require(place, file.schema_arrow, known, remedy)

    try:
        # polars does not read the file: damaged bytes can make it panic or exhaust the memory.
        read = pl.DataFrame(decode(data, place, accept, remedy).replace_schema_metadata())
    except _DAMAGE as error:
        said = printable(" ".join(str(error).split()), 200)
        raise DataError(place, f"not a readable Parquet table ({said})", remedy) from None
    missing = [name for name in later if name in columns and name not in read.columns]
    return read.with_columns(pl.lit(None, columns[name]).alias(name) for name in missing)


def _require(place: InnerPath, schema: pa.Schema, columns: Columns, remedy: str) -> None:
    found = {field.name: field.type for field in schema}
    for name, kind in columns.items():
        has = _KINDS.get(found[name], found[name]) if name in found else "missing"
        if has != kind:
            raise DataError(place, f"column {name} is {printable(has, 60)}, not {kind}", remedy)
    for name in found.keys() - columns.keys():
        if found[name] not in _KINDS:
            raise DataError(
                place,
                f"column {printable(name, 60)} is {printable(found[name], 60)}, a type that no "
                "column of such a table has",
                remedy,
            )


def refuse_foreign(root: InnerPath, tables: Mapping[str, Columns]) -> None:
    """Raise UsageError if one of the `tables` to write would replace a file that is not ours.

    `tables`: columns by name below the folder. The folder may be missing.
    """
    for way, columns in tables.items():
        place = at(root, way)
        try:
            with open_file(place, MOST) as file:
                found = set(pq.read_schema(file).names)
        except FileNotFoundError:
            continue
        except _DAMAGE:
            found = set()
        if not found or not (found <= columns.keys() or found >= columns.keys()):
            raise foreign(place, "not a table that weightspace wrote")


def foreign(place: InnerPath, what: str) -> UsageError:
    """The error for a file that is not ours where a result would be written."""
    return UsageError(
        place, f"is {what}, and is not overwritten", "remove it, or choose another folder"
    )


def replace(root: InnerPath, files: Mapping[str, bytes], known: Iterable[str] = ()) -> None:
    """Replace the results of an older run; files are given by their names below the folder.

    All of `files` are written under temporary names first, and then renamed in order. After that,
    files of `known` that are not among them are removed, and so are empty folders. Call
    `refuse_foreign` before.
    """
    old = [at(root, way) for way in known if way not in files]
    new = {at(root, way): data for way, data in files.items()}
    inner = {place.parent for place in (*old, *new)} - {root}
    with alone_in(root), explained(root):
        try:
            for place in new:
                make_folder(place.parent)
            for place in (*old, *new):
                remove_leftovers(place.parent, place.name.split(".", 1)[0])
            replace_all(new)
            for place in old:
                remove(place)
        finally:
            for folder in inner:
                remove_empty(folder)
