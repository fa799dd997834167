"""The two Parquet tables of a zoo: their columns, how rows become files, and how files are read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.printable import printable
from weightspace.space.recipe import DEFAULTS, FIELDS, checked
from weightspace.zoo.files import parquet, places
from weightspace.zoo.files.places import REPAIR

Row = Mapping[str, Any]

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_TAKES: dict[pa.DataType, Any] = {
    pa.string(): str,
    pa.int64(): int,
    pa.float64(): (int, float),
    pa.bool_(): bool,
}
_METRICS = [f"{of}_{w}" for of in ("train", "validation", "test") for w in ("loss", "accuracy")]


def _field(name: str, kind: pa.DataType, required: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable=not required)


# Required in every zoo ever written: never add here; other columns come along by themselves.
NETS = pa.schema(
    [
        _field("net", pa.string()),
        _field("index", pa.int64()),
        _field("unit", pa.string()),
        _field("split", pa.string()),
        _field("layout", pa.string()),
        # An imported population may not know all of these.
        *(_field(name, _ARROW[kind], required=False) for name, kind in FIELDS.items()),
        _field("steps", pa.int64(), required=False),
        _field("diverged", pa.bool_()),
        _field("diverged_step", pa.int64(), required=False),
        _field("dead", pa.bool_(), required=False),
        _field("test_accuracy", pa.float64(), required=False),
    ]
)
SNAPSHOTS = pa.schema(
    [
        _field("net", pa.string()),
        _field("snapshot", pa.int64()),
        _field("step", pa.int64(), required=False),
        _field("epoch", pa.float64(), required=False),
        *(_field(name, pa.float64(), required=False) for name in _METRICS),
        _field("shard", pa.string()),
        _field("offset", pa.int64()),
        _field("length", pa.int64()),
        _field("checksum", pa.string()),
    ]
)
_MAY_BE_LEFT_OUT = {"diverged_step", "test_accuracy", *_METRICS}
_FACTS = b"weightspace"
_KNOWN = b"hyper-parameters"
MOST_ROWS = 10**6  # in one file; a row of snapshots describes a whole vector in a shard
_MOST_BYTES = 2**29  # in one file, decoded
_BATCH_BYTES = 2**26
_LONGEST_COLUMN = 200
_LONGEST_TEXT = 2**20  # bytes; the longest text is the history of a net of 10,000 epochs
_BATCH_COST = 1000  # bytes that a column of a batch takes in addition to its values
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]*")
_PATTERNS = {
    "net": places.NET_PATTERN,
    "unit": places.UNIT_PATTERN,
    "layout": places.LAYOUT_PATTERN,
    "shard": rf"{places.UNIT_PATTERN}\.safetensors",
}
"""Patterns of the text in these columns; text in other columns has no control characters."""
_RANGES = {
    "index": (0, places.MOST_NETS - 1),
    "snapshot": (1, 10**6),
    "step": (0, 2**53),
    "epoch": (0.0, float(2**53)),
    "steps": (0, 2**53),
    "diverged_step": (0, 2**53),
}
"""Ranges of numbers; offsets and lengths are compared with the shard when it is opened."""


@dataclass(frozen=True)
class ShardFacts:
    """What a table of nets states about its stack's shard, to notice a truncated shard at once."""

    shard: str
    bytes: int
    snapshots: int
    header: str


def compose(rows: Sequence[Row], schema: pa.Schema, facts: ShardFacts | None = None) -> bytes:
    """The Parquet file of these rows; columns that the schema lacks come last, sorted by name."""
    extra = sorted({name for row in rows for name in row} - set(schema.names))
    table = pa.Table.from_arrays([_column(rows, field) for field in schema], schema=schema)
    for name in extra:
        table = table.append_column(name, _extra(rows, name))
    return to_bytes(table, facts)


def to_bytes(table: pa.Table, facts: ShardFacts | None = None, group: int | None = None) -> bytes:
    """The Parquet file of a table, in row groups of `group` rows if that is given."""
    if facts:
        kept = {_FACTS: json.dumps(asdict(facts)), _KNOWN: json.dumps(list(FIELDS))}
        table = table.replace_schema_metadata(kept)
    sink = pa.BufferOutputStream()
    # Page checksums do not cover statistics, and a reader that skips rows would trust them.
    pq.write_table(
        table,
        sink,
        row_group_size=group,
        compression="zstd",
        write_page_checksum=True,
        write_statistics=False,
    )
    parquet: bytes = sink.getvalue().to_pybytes()
    return parquet


def marked(table: pa.Table) -> pa.Table:
    """The table with a note of the hyper-parameters that its writer knew."""
    return table.replace_schema_metadata({_KNOWN: json.dumps(list(FIELDS))})


def read(path: InnerPath | Path, schema: pa.Schema, most: int = MOST_ROWS) -> pa.Table:
    """The table in one file, checked as `parse` does."""
    return parse(content(path), path, schema, most)


def content(path: InnerPath | Path) -> bytes:
    """The bytes of one file; DataError if it is missing or too large."""
    try:
        return disk.read_bytes(path, _MOST_BYTES)
    except FileNotFoundError:
        raise DataError(path, "is missing", REPAIR) from None
    except OSError as error:
        raise DataError(path, f"cannot be read ({error.strerror})", REPAIR) from None


def parse(
    data: bytes, path: InnerPath | Path, schema: pa.Schema, most: int = MOST_ROWS
) -> pa.Table:
    """Parse the bytes of one table file; page checksums, columns and values are checked.

    Parquet stores repeated values in almost no bytes, so a small file could fill the memory. A
    table with more than `most` rows, or larger than any table of a zoo, is refused.
    """

    def accept(file: pq.ParquetFile) -> None:
        _check_size(path, file, min(most, MOST_ROWS))
        _check_columns(path, file.schema_arrow, schema)

    try:
        table = decode(data, path, accept)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or ["unreadable"])[0]
        raise DataError(path, f"is damaged ({reason})", REPAIR) from None
    for field in schema:
        at = table.schema.get_field_index(field.name)
        if at < 0 and field.name in DEFAULTS and _is_older(table, field.name):
            table, at = table.append_column(field, _filled(table, field)), table.num_columns
        if at < 0 or table.schema.field(at).type != field.type:
            raise DataError(path, f"has no column {field.name} of {field.type}", REPAIR)
        if not field.nullable and table.column(at).null_count:
            raise DataError(path, f"column {field.name} has missing values", REPAIR)
    _check_values(path, table)
    return table


def decode(
    data: bytes,
    path: InnerPath | Path,
    accept: Callable[[pq.ParquetFile], None],
    remedy: str = REPAIR,
) -> pa.Table:
    """Decode a Parquet file in bounded memory, after `accept` has looked at its metadata.

    Raises DataError, with `remedy`, if the table would be larger than any table of a zoo, and
    pyarrow's errors or ValueError if it is damaged.
    """
    pages = parquet.unpacked(data)
    if sum(pages) > _MOST_BYTES:
        raise _too_large(path, sum(pages), remedy)
    with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as file:
        accept(file)
        table = _decoded(path, file, max([1, *pages]), remedy)
    table.validate(full=True)
    return table


def _check_columns(path: InnerPath | Path, found: pa.Schema, known: pa.Schema) -> None:
    """Refuse columns that a reader cannot use, before they are decoded."""
    for field in found:
        if field.name in known.names:
            if field.type != (kind := known.field(field.name).type):
                raise DataError(path, f"has no column {field.name} of {kind}", REPAIR)
            continue
        shown = printable(field.name, 60)
        if not (_TEXT.fullmatch(field.name) and len(field.name) <= _LONGEST_COLUMN):
            raise DataError(path, f"{shown!r} is not a valid column name", REPAIR)
        if field.type not in _TAKES:
            kind = printable(field.type, 60)
            raise DataError(
                path,
                f"column {shown} is of {kind}, but a table holds text, whole numbers, numbers "
                "and booleans",
                REPAIR,
            )
    if len(set(found.names)) < len(found.names):
        raise DataError(path, "two columns have the same name", REPAIR)


def _check_values(path: InnerPath | Path, table: pa.Table) -> None:
    """Refuse names that could lead out of the zoo, and values that are not possible."""
    for field, values in zip(table.schema, table.columns, strict=True):
        if field.name in FIELDS:
            _check_settings(path, field.name, values)
        if field.type == pa.string():
            pattern = _PATTERNS.get(field.name, _TEXT.pattern)
            sound = pc.match_substring_regex(values, rf"\A(?:{pattern})\z")
        elif field.name in _RANGES:
            low, high = _RANGES[field.name]
            sound = pc.and_(pc.less_equal(low, values), pc.less_equal(values, high))
        else:
            continue
        if pc.all(sound, min_count=0).as_py() is False:
            raise _impossible(path, table, field.name, pc.index(sound, False).as_py())


def _filled(table: pa.Table, field: pa.Field) -> pa.Array:
    """The default of a new hyper-parameter, for rows in which all older ones are known.

    Of nets that were trained elsewhere, not all is known, and so the new one is not.
    """
    known = np.ones(table.num_rows, bool)
    for name in set(FIELDS) & set(table.column_names):
        known &= table[name].is_valid().to_numpy()
    default = pa.scalar(DEFAULTS[field.name], field.type)
    return pa.array([default.as_py() if one else None for one in known], field.type)


def _is_older(table: pa.Table, name: str) -> bool:
    """Whether the file was written before a hyper-parameter existed, which then has its default.

    A file lists the hyper-parameters that its writer knew. So a damaged column name is not mistaken
    for an older file.
    """
    known = (table.schema.metadata or {}).get(_KNOWN)
    return known is not None and name not in json.loads(known)


def _impossible(path: InnerPath | Path, table: pa.Table, name: str, row: int) -> DataError:
    """The error for an impossible value, with the net of its row if that is known."""
    net = table["net"][row].as_py() if name != "net" and "net" in table.column_names else None
    who = f"net {printable(net, 64)}: " if isinstance(net, str) else ""
    wrong = printable(repr(table[name][row].as_py()), 60)
    what = f"{who}{printable(name, 60)} is {wrong}, which is not possible"
    return DataError(path, what, REPAIR)


def _check_settings(path: InnerPath | Path, name: str, values: pa.ChunkedArray) -> None:
    """Refuse a value of a hyper-parameter that no recipe can have."""
    for value in pc.unique(values).to_pylist():
        try:
            if value is not None:
                checked(name, value)
        except UsageError as error:
            raise DataError(path, f"column {printable(error, 200)}", REPAIR) from None


def _check_size(path: InnerPath | Path, file: pq.ParquetFile, most: int) -> None:
    """Refuse a file with too many rows before any page is read."""
    # The metadata of columns is not read here: pyarrow aborts the process if it is damaged.
    groups = _groups(file)
    rows = max(file.metadata.num_rows, sum(abs(group.num_rows) for group in groups))
    if rows > most:
        raise DataError(path, f"has {rows:,} rows, at most {most:,} are allowed", REPAIR)


def _decoded(path: InnerPath | Path, file: pq.ParquetFile, largest: int, remedy: str) -> pa.Table:
    """Decode the rows in short batches, so that a text repeated in each row cannot fill memory."""
    rows = min(max(_BATCH_BYTES // largest, 1), 2**16)
    batches, size = [], 0
    for batch in file.iter_batches(rows, use_threads=False):
        batches.append(batch)
        size += batch.nbytes + _BATCH_COST * batch.num_columns
        if size > _MOST_BYTES:
            raise _too_large(path, size, remedy)
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            if pa.types.is_string(values.type) and _longest(values) > _LONGEST_TEXT:
                shown = printable(name, 60)
                raise DataError(path, f"column {shown} holds a text that is too long", remedy)
    table = pa.Table.from_batches(batches, file.schema_arrow)
    if table.num_rows != file.metadata.num_rows:
        raise ValueError(f"{table.num_rows:,} rows of {file.metadata.num_rows:,}")
    # Metadata of columns, such as names of extension types, is dropped: other tools act on it.
    plain = [pa.field(field.name, field.type, field.nullable) for field in table.schema]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(plain, table.schema.metadata))


def _groups(file: pq.ParquetFile) -> list[pq.RowGroupMetaData]:
    return [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]


def _longest(texts: pa.Array) -> int:
    return pc.max(pc.binary_length(texts)).as_py() or 0


def _too_large(path: InnerPath | Path, size: int, remedy: str) -> DataError:
    return DataError(
        path, f"takes {size:,} bytes or more, at most {_MOST_BYTES:,} are allowed", remedy
    )


def facts(path: InnerPath | Path, table: pa.Table) -> ShardFacts:
    """What the table of nets at `path`, already read as `table`, states about its shard."""
    try:
        found = json.loads((table.schema.metadata or {})[_FACTS])
        result = ShardFacts(**found)
        sound = all(type(v) is int for v in (result.bytes, result.snapshots))
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise DataError(path, "does not describe its shard", REPAIR)
    return result


def join(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """All tables of one kind as one; a column that a table lacks has missing values there."""
    if not tables:
        return schema.empty_table()
    plain = [table.replace_schema_metadata(None) for table in tables]
    try:
        return pa.concat_tables(plain, promote_options="permissive")
    except pa.ArrowException as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            "the zoo", f"its stacks disagree about a column ({reason})", REPAIR
        ) from None


def _column(rows: Sequence[Row], field: pa.Field) -> pa.Array:
    name = field.name
    for row in rows:
        if name not in row and name not in _MAY_BE_LEFT_OUT:
            raise UsageError(f"net {row.get('net')}", f"its row lacks {name!r}", "add it")
        if row.get(name) is None and not field.nullable:
            raise UsageError(f"net {row.get('net')}", f"{name} is None", "give its value")
    return _array([row.get(name) for row in rows], name, field.type)


def _extra(rows: Sequence[Row], name: str) -> pa.Array:
    values = [_plain(row.get(name)) for row in rows]
    kinds = {type(value) for value in values if value is not None}
    kind = float if kinds == {int, float} else kinds.pop() if len(kinds) == 1 else str
    if kind not in _ARROW:
        raise UsageError(
            f"column {name}", f"holds a {kind.__name__}", "give text, numbers or booleans"
        )
    return _array(values, name, _ARROW[kind])


def _array(values: list[Any], name: str, kind: pa.DataType) -> pa.Array:
    takes = _TAKES[kind]
    for value in map(_plain, values):
        # In Python a boolean is an int, and pyarrow would truncate 0.5 steps to 0.
        if value is not None and (
            not isinstance(value, takes) or (isinstance(value, bool) and takes is not bool)
        ):
            raise UsageError(f"column {name}", f"is of {kind}, {value!r} is not")
    try:
        # from_pandas: NaN means "not measured" and is stored as null.
        return pa.array([_plain(v) for v in values], kind, from_pandas=kind == pa.float64())
    except (pa.ArrowException, OverflowError) as error:  # a whole number beyond 64 bits
        raise UsageError(f"column {name}", f"is of {kind} ({str(error).splitlines()[0]})") from None


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
