"""`Part`: the result of one analysis of a dissection, a table in memory and as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import polars as pl

from weightspace.disk import InnerPath
from weightspace.markup import summary
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
    """The result of one analysis: a table with a row for each accuracy, or as `COLUMNS` say.

    Parameters
    ----------
    table : DataFrame
        With the columns `COLUMNS`.
    """

    NAME: ClassVar[str]
    COLUMNS: ClassVar[tables.Columns]

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """Return the table.

        Returns
        -------
        DataFrame
            With the columns `COLUMNS`.
        """
        return self.table

    def _repr_html_(self) -> str:
        title = f"{type(self).__name__}: {self.table.height:,} rows"
        return summary(title, headings=self.table.columns, rows=self.table.rows())

    @classmethod
    def files(cls) -> dict[str, tables.Columns]:
        """Return the columns of the file by the file's name."""
        return {f"{cls.NAME}.parquet": cls.COLUMNS}

    def to_bytes(self) -> dict[str, bytes]:
        """Return the content of the file, as Parquet, by the file's name."""
        (file,) = self.files()
        return {file: tables.parquet(self.table)}

    @classmethod
    def read_in(cls, folder: InnerPath) -> Self:
        """Read the table from a folder; DataError names a file that is missing or damaged."""
        ((file, columns),) = cls.files().items()
        return cls(tables.read_table(folder / file, columns, REMEDY))


REMEDY = "save the dissection again, or name the folder that holds one"


def ranked(
    rows: list[dict[str, Any]], columns: tables.Columns, properties: Sequence[str]
) -> pl.DataFrame:
    """A table of the rows, sorted by property in the order of `properties`."""
    rank = {name: i for i, name in enumerate(properties)}
    rows = sorted(rows, key=lambda row: rank[row["property"]])
    return pl.DataFrame(rows, schema=columns)
