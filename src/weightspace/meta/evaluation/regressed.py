"""`Regression`: how well numbers are read from the weights, with every prediction."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from weightspace.disk import InnerPath, make_root, remove
from weightspace.markup import summary
from weightspace.meta.evaluation import tables

COLUMNS: dict[str, Any] = {
    "target": pl.String,
    "scale": pl.String,
    "classifier": pl.String,
    "unit": pl.String,
    "r2": pl.Float64,
    "r2_low": pl.Float64,
    "r2_high": pl.Float64,
    "r2_control_low": pl.Float64,
    "r2_control_high": pl.Float64,
    "tau": pl.Float64,
    "tau_low": pl.Float64,
    "tau_high": pl.Float64,
    "tau_control_low": pl.Float64,
    "tau_control_high": pl.Float64,
    "n_nets": pl.Int64,
    "n_rows": pl.Int64,
    "slice_length": pl.Int64,
    "part": pl.String,
    "running_stats": pl.Boolean,
    "snapshots": pl.String,
    "folds": pl.Int64,
    "seeds": pl.String,
    "permutations": pl.Int64,
    "versions": pl.String,
}
GUESS_COLUMNS: dict[str, Any] = {
    "target": pl.String,
    "classifier": pl.String,
    "net": pl.String,
    "snapshot": pl.Int64,
    "truth": pl.Float64,
    "guess": pl.Float64,
}
_TABLES = {
    "table": ("numbers.parquet", COLUMNS),
    "guesses": ("guesses.parquet", GUESS_COLUMNS),
}
FILES: dict[str, tables.Columns] = dict(_TABLES.values())
"""The columns of each file of a saved regression."""


@dataclass(frozen=True, eq=False)
class Regression:
    """The outcome of `regress`.

    Parameters
    ----------
    table : DataFrame
        A row for each target, classifier and unit, with columns `COLUMNS`; the column `snapshots`
        says which snapshots were read.
    guesses : DataFrame
        A row for each net and snapshot that was tested, with columns `GUESS_COLUMNS`: the true
        number and the prediction (the mean over slices and seeds), on the target's scale. The
        column `snapshot` is null where several snapshots of a net were read together.
    """

    table: pl.DataFrame
    guesses: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """Return the table.

        Returns
        -------
        DataFrame
            A row for each target, classifier and unit.
        """
        return self.table

    def _repr_html_(self) -> str:
        kept = list(COLUMNS)[: list(COLUMNS).index("n_rows")]
        return summary("Regression", headings=kept, rows=self.table.select(kept).rows())

    def to_parquet(self, directory: str | Path) -> Path:
        """Write both tables into a folder.

        Tables of an older regression are replaced; if writing fails, both old ones are kept.

        Parameters
        ----------
        directory : str or Path
            The folder. It is made when it is missing.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        UsageError
            If weightspace did not write a file that would be replaced.
        """
        root = make_root(Path(directory))
        tables.refuse_foreign(root, FILES)
        tables.replace(root, self.to_bytes())
        return Path(directory)

    @classmethod
    def files(cls) -> dict[str, tables.Columns]:
        """Return the columns of each file by the file's name."""
        return FILES

    def to_bytes(self) -> dict[str, bytes]:
        """Return the content of each file, as Parquet, by the file's name."""
        return {file: tables.parquet(getattr(self, name)) for name, (file, _) in _TABLES.items()}

    @classmethod
    def read(cls, directory: str | Path) -> Regression:
        """Read what `to_parquet` wrote into a folder.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Returns
        -------
        Regression

        Raises
        ------
        DataError
            With the name of the file that is missing or damaged.
        """
        return cls.read_in(InnerPath(Path(directory)))

    @classmethod
    def read_in(cls, folder: InnerPath) -> Regression:
        """As `read`, for a folder inside another one; the folder must not be a link."""
        return cls(
            *(
                tables.read_table(folder / file, columns, "evaluate again")
                for file, columns in FILES.items()
            )
        )

    @staticmethod
    def remove(directory: str | Path) -> None:
        """Remove the files that `to_parquet` wrote into a folder, if they are there.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Raises
        ------
        UsageError
            If weightspace did not write a file of that name.
        """
        root = InnerPath(Path(directory))
        tables.refuse_foreign(root, FILES)
        for file in FILES:
            remove(root / file)
