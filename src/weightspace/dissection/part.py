"""`Part`: the table that one analysis of a dissection finds, in memory and as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import polars as pl

from weightspace.disk import InnerPath
from weightspace.meta.evaluation import tables

SCORE: dict[str, Any] = {
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "n_nets": pl.Int64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "running_stats": pl.Boolean,
    "slice_length": pl.Int64,
}


@dataclass(frozen=True, eq=False)
class Part:
    """What one analysis found: a table of one row an accuracy, or whatever `COLUMNS` say.

    Parameters
    ----------
    table : DataFrame
        With the columns `COLUMNS`.
    """

    NAME: ClassVar[str]
    COLUMNS: ClassVar[tables.Columns]

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """The table."""
        return self.table

    @classmethod
    def files(cls) -> dict[str, tables.Columns]:
        """The file it is kept in, with the columns of the table."""
        return {f"{cls.NAME}.parquet": cls.COLUMNS}

    def to_bytes(self) -> dict[str, bytes]:
        """The table as Parquet, by the name of its file."""
        (file,) = self.files()
        return {file: tables.parquet(self.table)}

    @classmethod
    def read_in(cls, folder: InnerPath) -> Self:
        """What is kept in a folder; DataError names a file that is missing or damaged."""
        ((file, columns),) = cls.files().items()
        return cls(tables.read_table(folder / file, columns, REMEDY))


REMEDY = "save the dissection again, or name the folder that holds one"


def ranked(
    rows: list[dict[str, Any]], columns: tables.Columns, properties: Sequence[str]
) -> pl.DataFrame:
    """The rows, those of one property together, in the order of the properties."""
    rank = {name: i for i, name in enumerate(properties)}
    rows = sorted(rows, key=lambda row: rank[row["property"]])
    return pl.DataFrame(rows, schema=columns)
