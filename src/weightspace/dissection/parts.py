"""What each analysis of a dissection finds: a table, and what its rows and columns mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

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


SLICES_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "slice_length": pl.Int64,
    "slices": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}


WHAT_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "kind": pl.String,
    "name": pl.String,
    "features": pl.Int64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "drop": pl.Float64,
    "drop_low": pl.Float64,
    "drop_high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}
UNSEEN_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "without": pl.String,
    "level": pl.String,
    "unit": pl.String,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "known": pl.Float64,
    "drop": pl.Float64,
    "drop_low": pl.Float64,
    "drop_high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
}
MAP_COLUMNS: dict[str, Any] = {
    "net": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
    "method": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
}
TRANSFER_COLUMNS: dict[str, Any] = {
    "property": pl.String,
    "learned": pl.Int64,
    "tested": pl.Int64,
    "learned_fraction": pl.Float64,
    "tested_fraction": pl.Float64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "chance": pl.Float64,
    "control_low": pl.Float64,
    "control_high": pl.Float64,
    "n_nets": pl.Int64,
    "slice_length": pl.Int64,
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
class Slices:
    """Accuracy by the length of a slice and the number of slices of a net taken together."""

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x length x number of slices, columns `SLICES_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class Transfer:
    """Accuracy of what was learned at one snapshot when tested at another, on other nets."""

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x snapshot learned x snapshot tested, columns `TRANSFER_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class What:
    """What carries a property. `kind` is "slice" or "net" (`name` a group of features of slices or
    of whole nets; `accuracy` of a classifier that knows the group alone, `drop` the loss where the
    group is swapped between nets at the test) or "tampering" (`name` what was done to slices,
    `accuracy` after it, `drop` the loss). Bounds of losses are paired over nets.
    """

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x group or tampering, columns `WHAT_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class Unseen:
    """Accuracy on nets of a level that no teacher had.

    `without` is the property whose `level` was left out (null: each in turn, all nets together),
    `unit` "slice" or "net". `known` is the accuracy, on the same nets, of classifiers that learned
    from as many nets of all levels; `drop` the loss against it, with its paired interval.
    """

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a property x property left out x level x unit, columns `UNSEEN_COLUMNS`."""
        return self.table


@dataclass(frozen=True, eq=False)
class Map:
    """Nets at moments of their training as points in the plane, by "pca" and by "tsne".

    After `MAP_COLUMNS` follow the levels of the properties, as text.
    """

    table: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """One row a net x snapshot x method."""
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
