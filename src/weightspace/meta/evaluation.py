"""`Evaluation`: how well each property is read off the weights, with all it takes to trust it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from weightspace.errors import DataError, UsageError

COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "classifier": pl.String,
    "unit": pl.String,
    "levels": pl.Int64,
    "chance": pl.Float64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "control": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
    "n_slices": pl.Int64,
    "slice_length": pl.Int64,
    "part": pl.String,
    "running_stats": pl.Boolean,
    "snapshots": pl.String,
    "folds": pl.Int64,
    "seeds": pl.String,
    "permutations": pl.Int64,
    "split": pl.String,
    "n_dead": pl.Int64,
    "n_diverged": pl.Int64,
    "versions": pl.String,
}
CONFUSION_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "classifier": pl.String,
    "unit": pl.String,
    "truth": pl.String,
    "answer": pl.String,
    "count": pl.Int64,
}
_FILES = ("evaluation.parquet", "confusions.parquet")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcome of `evaluate`.

    `table` has one row a property x classifier x unit, columns `COLUMNS`: accuracy, interval,
    chance, control (null where a classifier was not repeated with permuted labels), and what was
    looked at. `confusions` counts answers by true level, over all seeds, columns
    `CONFUSION_COLUMNS`; None where only the table was kept.
    """

    table: pl.DataFrame
    confusions: pl.DataFrame | None = None

    def frame(self) -> pl.DataFrame:
        """One row a property x classifier x unit."""
        return self.table

    def confusion(self, property: str, classifier: str, unit: str = "slice") -> pl.DataFrame:
        """How often each true level (`truth`) was answered with each level: `count`, `share`.

        `share` is within the true level. UsageError where the evaluation holds no such thing.
        """
        if self.confusions is None:
            raise UsageError("confusion: only the table of this evaluation was kept; evaluate anew")
        asked = pl.struct("property", "classifier", "unit") == pl.struct(
            pl.lit(property).alias("property"),
            pl.lit(classifier).alias("classifier"),
            pl.lit(unit).alias("unit"),
        )
        found = self.confusions.filter(asked)
        if found.is_empty():
            raise UsageError(
                f"confusion: nothing on {property}, {classifier}, {unit}; "
                f"properties are {', '.join(self.table['property'].unique(maintain_order=True))}"
            )
        share = pl.col("count") / pl.col("count").sum().over("truth")
        return found.select("truth", "answer", "count", share.alias("share"))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: `rows` of the table, `confusions` (empty where not kept)."""
        confusions = [] if self.confusions is None else self.confusions.to_dicts()
        plain = {"rows": self.table.to_dicts(), "confusions": confusions}
        json.dumps(plain, allow_nan=False)
        return plain

    def to_parquet(self, directory: str | Path) -> Path:
        """Write the tables into a folder, made where it is missing; returns the folder."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        confusions = self.confusions
        if confusions is None:
            confusions = pl.DataFrame(schema=CONFUSION_COLUMNS)
        for name, table in zip(_FILES, (self.table, confusions), strict=True):
            table.write_parquet(directory / name)
        return directory

    @classmethod
    def read(cls, directory: str | Path) -> Evaluation:
        """The inverse of `to_parquet`; DataError names the file that is missing or damaged."""
        table, confusions = (
            read_table(Path(directory) / name, columns, _REMEDY)
            for name, columns in zip(_FILES, (COLUMNS, CONFUSION_COLUMNS), strict=True)
        )
        return cls(table, None if confusions.is_empty() else confusions)


# A panic of polars is no Exception.
_DAMAGE = (pa.ArrowException, pl.exceptions.PolarsError, pl.exceptions.PanicException)
_REMEDY = "evaluate again, or name the folder that holds an evaluation"


def read_table(path: Path, columns: dict[str, Any], remedy: str) -> pl.DataFrame:
    """The Parquet table at `path`; DataError, ending in `remedy`, where it lacks the `columns`."""
    if not path.is_file():
        raise DataError(f"{path}: no such table; {remedy}")
    try:
        # Not by polars: damaged bytes can make it panic, or ask for more memory than there is.
        with pq.ParquetFile(path) as file:
            read = file.read().replace_schema_metadata()
        read.validate(full=True)
        table = pl.DataFrame(read)
    except (*_DAMAGE, OSError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: not a readable Parquet table ({said}); {remedy}") from None
    for name, kind in columns.items():
        if table.schema.get(name) != kind:
            found = table.schema.get(name, "missing")
            raise DataError(f"{path}: column {name} is {found}, not {kind}; {remedy}")
    return table
