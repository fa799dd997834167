"""`Evaluation`: how well each property is read from the weights, with intervals and controls."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from weightspace.disk import InnerPath, make_root
from weightspace.errors import UsageError
from weightspace.markup import summary
from weightspace.meta.evaluation import tables
from weightspace.meta.statistics.calibration import CALIBRATION_COLUMNS, RELIABILITY_COLUMNS
from weightspace.meta.statistics.pairs import among_living, compare

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
HIT_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "classifier": pl.String,
    "unit": pl.String,
    "net": pl.String,
    "level": pl.Int64,
    "group": pl.Int64,
    "dead": pl.Boolean,
    "hit": pl.Float64,
}
_TABLES = {
    "table": ("evaluation.parquet", COLUMNS),
    "confusions": ("confusions.parquet", CONFUSION_COLUMNS),
    "hits": ("hits.parquet", HIT_COLUMNS),
    "calibration": ("calibration.parquet", CALIBRATION_COLUMNS),
    "reliability": ("reliability.parquet", RELIABILITY_COLUMNS),
}
FILES: dict[str, tables.Columns] = dict(_TABLES.values())
"""The columns of each file of a saved evaluation."""
_LATER = ("group",)
"""Columns that release 0.1.0 did not write."""
_REMEDY = "evaluate again, or name the folder that holds an evaluation"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The outcome of `evaluate`.

    Parameters
    ----------
    table : DataFrame
        A row for each property, classifier and unit, with columns `COLUMNS`: accuracy, interval,
        chance, control (null where a classifier was not repeated with permuted labels), and which
        values were read.
    confusions : DataFrame or None
        Predictions by true level, counted over all seeds, with columns `CONFUSION_COLUMNS`. This
        and the following are None where only the table was kept.
    hits : DataFrame or None
        For each tested net its `level` (from 0), its `group` (nets of one seed share a number) and
        the share of right predictions over slices and seeds, with columns `HIT_COLUMNS`.
    calibration, reliability : DataFrame or None
        Calibration errors and reliability diagrams of the probabilities, with columns
        `CALIBRATION_COLUMNS` and `RELIABILITY_COLUMNS`.
    """

    table: pl.DataFrame
    confusions: pl.DataFrame | None = None
    hits: pl.DataFrame | None = None
    calibration: pl.DataFrame | None = None
    reliability: pl.DataFrame | None = None

    def frame(self) -> pl.DataFrame:
        """Return the table.

        Returns
        -------
        DataFrame
            A row for each property, classifier and unit.
        """
        return self.table

    def _repr_html_(self) -> str:
        kept = ("property", "classifier", "unit", "accuracy", "low", "high", "chance",
                "control_low", "control_high", "n_nets")  # fmt: skip
        return summary("Evaluation", headings=kept, rows=self.table.select(kept).rows())

    def confusion(self, property: str, classifier: str, unit: str = "slice") -> pl.DataFrame:
        """Return how often each level was predicted for each true level.

        Parameters
        ----------
        property, classifier : str
            Names of a property and of a classifier.
        unit : {"slice", "net"}
            Whether predictions of slices or of nets are counted.

        Returns
        -------
        DataFrame
            Columns `truth`, `answer` (the predicted level), `count`, and `share` of the true level.

        Raises
        ------
        UsageError
            If the evaluation does not hold these predictions.
        """
        if self.confusions is None:
            raise UsageError(
                "confusion", "only the table of this evaluation was kept", "evaluate anew"
            )
        asked = pl.struct("property", "classifier", "unit") == pl.struct(
            pl.lit(property).alias("property"),
            pl.lit(classifier).alias("classifier"),
            pl.lit(unit).alias("unit"),
        )
        found = self.confusions.filter(asked)
        if found.is_empty():
            raise UsageError(
                "confusion",
                f"nothing on {property}, {classifier}, {unit}",
                f"properties are {', '.join(self.table['property'].unique(maintain_order=True))}",
            )
        share = pl.col("count") / pl.col("count").sum().over("truth")
        return found.select("truth", "answer", "count", share.alias("share"))

    def compare(self, first: str, second: str, unit: str = "net") -> pl.DataFrame:
        """Compare two classifiers on the same nets.

        Parameters
        ----------
        first, second : str
            Names of the classifiers.
        unit : {"slice", "net"}
            Whether predictions of slices or of nets are compared.

        Returns
        -------
        DataFrame
            A row for each property: `first` and `second` (accuracies), `difference` (`first` minus
            `second`) with its 95 % interval `low`..`high`, paired over nets and widened for
            cross-fitting, and `n_nets`.

        Raises
        ------
        UsageError
            If the evaluation does not hold both classifiers for that unit.
        """
        return compare(self._hits(), first, second, unit)

    def among_living(self) -> pl.DataFrame:
        """Return the accuracies on nets that are not dead; classifiers were trained on all nets.

        Returns
        -------
        DataFrame
            A row for each property, classifier and unit: `accuracy`, `low`, `high`, `n_nets`, and
            `all`, the accuracy on all nets. Both accuracies are over levels that have a net that is
            not dead. A property with fewer than two such levels has no row.

        Raises
        ------
        UsageError
            If only the table was kept.
        """
        return among_living(self._hits())

    def _hits(self) -> pl.DataFrame:
        if self.hits is None:
            raise UsageError("hits", "only the table of this evaluation was kept", "evaluate anew")
        return self.hits

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            `rows`, `confusions` and `calibration`; the last two are empty if they were not kept.
        """
        plain = {
            "rows": self.table.to_dicts(),
            "confusions": [] if self.confusions is None else self.confusions.to_dicts(),
            "calibration": [] if self.calibration is None else self.calibration.to_dicts(),
        }
        json.dumps(plain, allow_nan=False)
        return plain

    def to_parquet(self, directory: str | Path) -> Path:
        """Write the tables into a folder.

        Tables of an older evaluation are replaced; if writing fails, all old ones are kept.

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
        found = {}
        for name, (file, columns) in _TABLES.items():
            table = getattr(self, name)
            found[file] = tables.parquet(pl.DataFrame(schema=columns) if table is None else table)
        return found

    @classmethod
    def read(cls, directory: str | Path) -> Evaluation:
        """Read what `to_parquet` wrote into a folder.

        Parameters
        ----------
        directory : str or Path
            The folder.

        Returns
        -------
        Evaluation

        Raises
        ------
        DataError
            With the name of the file that is missing or damaged.
        """
        return cls.read_in(InnerPath(Path(directory)))

    @classmethod
    def read_in(cls, folder: InnerPath) -> Evaluation:
        """As `read`, for a folder inside another one; the folder must not be a link."""
        table, *others = (
            tables.read_table(folder / file, columns, _REMEDY, later=_LATER)
            for file, columns in FILES.items()
        )
        return cls(table, *(None if other.is_empty() else other for other in others))
