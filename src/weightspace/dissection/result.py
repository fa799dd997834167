"""`Dissection`: how much, where and when as tidy tables, in memory and in a folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from weightspace.errors import DataError
from weightspace.meta import Evaluation
from weightspace.meta.evaluation import read_table

_SCORE: dict[str, Any] = {
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
WHERE_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "axis": pl.String,
    "place": pl.String,
    "start": pl.Float64,
    "stop": pl.Float64,
} | _SCORE
WHEN_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
} | _SCORE
TRAINING_COLUMNS: dict[str, Any] = {
    "dataset": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_nets": pl.Int64,
}


@dataclass(frozen=True, eq=False)
class Where:
    """Accuracy by place in the net.

    `axis` is "position" (windows at equal relative positions along the vector), "part" (conv or
    fc, with and without batch norm's running statistics) or "depth" (first, middle, last layer of
    a part). `start` and `stop` are the mean relative range of the vector that was looked at,
    `slice_length` the number of values that were read there, the same for every net.
    """

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x place, columns as in `WHERE_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class When:
    """Accuracy by snapshot, learned and tested within that snapshot."""

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x snapshot, columns as in `WHEN_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class Training:
    """The nets' own test accuracy while they trained, by data set.

    `accuracy` is the median over nets, `low` and `high` hold the middle 80 % of the nets: the
    spread of the population, not an interval of an estimate.
    """

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a data set x snapshot, columns as in `TRAINING_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class Dissection:
    """How much, where and when each hyper-parameter can be read off a population's weights.

    `facts` holds what is needed to trust and to repeat it: nets, dead, diverged, snapshots,
    vectors, values, datasets, properties, boundaries, seeds, versions, seconds, command.
    """

    much: Evaluation
    where: Where
    when: When
    training: Training
    facts: dict[str, Any]

    def save(self, directory: str | Path) -> Path:
        """Write the tables as Parquet, one a file, and `facts.json`; returns the folder.

        `evaluation`, `confusions`, `where`, `when` and `training`. The folder is made when it is
        missing; files of an older dissection are replaced.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        self.much.to_parquet(directory)
        for name in _COLUMNS:
            getattr(self, name).frame().write_parquet(directory / f"{name}.parquet")
        text = json.dumps(self.facts, indent=2, ensure_ascii=False)
        (directory / "facts.json").write_text(text + "\n", encoding="utf-8")
        return directory

    @classmethod
    def load(cls, directory: str | Path) -> Dissection:
        """Read what `save` wrote; DataError names the file that is missing or damaged."""
        directory = Path(directory)
        parts = {
            name: read_table(directory / f"{name}.parquet", columns, _REMEDY)
            for name, columns in _COLUMNS.items()
        }
        return cls(
            Evaluation.read(directory),
            Where(parts["where"]),
            When(parts["when"]),
            Training(parts["training"]),
            _read_facts(directory / "facts.json"),
        )


_COLUMNS = {"where": WHERE_COLUMNS, "when": WHEN_COLUMNS, "training": TRAINING_COLUMNS}
_REMEDY = "save the dissection again, or name the folder that holds one"


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; {_REMEDY}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not readable as JSON ({error}); {_REMEDY}") from None
    if not isinstance(facts, dict):
        raise DataError(f"{path}: holds no mapping of facts; {_REMEDY}")
    return facts
