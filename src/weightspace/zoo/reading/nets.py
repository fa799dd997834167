"""The table of nets, read by whoever needs it and validated as a whole."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from weightspace.zoo.files import places
from weightspace.zoo.format import tables
from weightspace.zoo.reading.damage import two_units
from weightspace.zoo.reading.source import Source


def read_table(source: Source, table: str, units: list[str], schema: pa.Schema) -> pl.DataFrame:
    """The parts of a table that these units have, as one frame."""
    frame = pl.from_arrow(tables.join(source.tables(table, units), schema))
    assert isinstance(frame, pl.DataFrame)
    return frame


def read_nets(source: Source, units: list[str]) -> pl.DataFrame:
    """The nets of these units, one row each, in the order of the draw.

    Raises
    ------
    DataError
        Where a part is damaged, or a net stands in two units.
    """
    nets = read_table(source, places.NETS, units, tables.NETS).sort("index", "net")
    if nets["net"].n_unique() < len(nets):
        raise two_units(source.name, nets)
    return nets
