"""Files of results in a folder: written together, in place of our own alone, read with suspicion.

What is replaced or removed in a folder must be ours: a Parquet table there is if it has the columns
that we write, or some of them (releases differ), and nothing but such a table may have its name.
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
"""Bytes of a table that is read."""

# A panic of polars is no Exception.
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
    """What has this name below a folder; names of folders end in slashes."""
    return InnerPath(root.root, (*root.parts, *way.split("/")))


def parquet(table: pl.DataFrame) -> bytes:
    """The table as a Parquet file."""
    buffer = BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def read_table(
    place: InnerPath, columns: Columns, remedy: str, *, later: Sequence[str] = ()
) -> pl.DataFrame:
    """The Parquet table there; DataError, ending in `remedy`, where it lacks the `columns`.

    Other columns must be of the types that tables of ours have, too. Columns of `later` may be
    missing, as in tables of earlier releases, and are then null.
    """
    try:
        data = read_bytes(place, MOST)
    except FileNotFoundError:
        raise DataError(f"{place}: no such table; {remedy}") from None
    except OSError as error:
        raise DataError(f"{place}: cannot be read ({error.strerror}); {remedy}") from None

    def accept(file: pq.ParquetFile) -> None:
        # Before anything is read: of some types a panic is all that comes of it.
        found = set(file.schema_arrow.names)
        known = {k: v for k, v in columns.items() if k in found or k not in later}
        _require(place, file.schema_arrow, known, remedy)

    try:
        # Not by polars: damaged bytes can make it panic, or ask for more memory than there is.
        read = pl.DataFrame(decode(data, place, accept, remedy).replace_schema_metadata())
    except _DAMAGE as error:
        said = printable(" ".join(str(error).split()), 200)
        raise DataError(f"{place}: not a readable Parquet table ({said}); {remedy}") from None
    missing = [name for name in later if name in columns and name not in read.columns]
    return read.with_columns(pl.lit(None, columns[name]).alias(name) for name in missing)


def _require(place: InnerPath, schema: pa.Schema, columns: Columns, remedy: str) -> None:
    found = {field.name: field.type for field in schema}
    for name, kind in columns.items():
        has = _KINDS.get(found[name], found[name]) if name in found else "missing"
        if has != kind:
            raise DataError(f"{place}: column {name} is {printable(has, 60)}, not {kind}; {remedy}")
    for name in found.keys() - columns.keys():
        if found[name] not in _KINDS:
            raise DataError(
                f"{place}: column {printable(name, 60)} is {printable(found[name], 60)}, which "
                f"no column of such a table is; {remedy}"
            )


def refuse_foreign(root: InnerPath, tables: Mapping[str, Columns]) -> None:
    """UsageError where one of the `tables` to be written would take a foreign file's place.

    `tables`: columns by name below the folder. Nothing needs to be there yet.
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
            raise foreign(place, "no such table that weightspace wrote")


def foreign(place: InnerPath, what: str) -> UsageError:
    """Something that is not ours has a name that results would get."""
    return UsageError(
        f"{place}: is {what}, and is not overwritten; remove it, or choose another folder"
    )


def replace(root: InnerPath, files: Mapping[str, bytes], known: Iterable[str] = ()) -> None:
    """Put results in place of an older run's; both by their names below the folder.

    All of `files` lie on the disk before the first gets its name, in order; then those of `known`
    that are not among them are removed, and folders that nothing is left in. Refuse what is foreign
    before.
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
