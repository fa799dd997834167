"""The table of nets, read by whoever needs it and validated as a whole."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from weightspace.zoo.files import places
from weightspace.zoo.format import tables
from weightspace.zoo.reading.damage import two_units
from weightspace.zoo.reading.frames import framed
from weightspace.zoo.reading.source import Source


def read_table(source: Source, table: str, units: list[str], schema: pa.Schema) -> pa.Table:
    """The parts of a table that these units have, as one table."""
    return tables.join(source.tables(table, units), schema)


def read_nets(source: Source, units: list[str]) -> pl.DataFrame:
    """The nets of these units, one row each, in the order of the draw.

    Raises
    ------
    DataError
        Where a part is damaged, or a net stands in two units.
    """
    table = read_table(source, places.NETS, units, tables.NETS)
    names, draw = table["net"].to_pylist(), table["index"].to_pylist()
    if len(set(names)) < len(names):
        raise two_units(source.name, table)
    order = sorted(range(len(names)), key=lambda row: (draw[row], names[row]))
    return framed(table.combine_chunks().take(pa.array(order, pa.int64())))
