"""The nets' own test accuracy during training, by data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from weightspace.dissection.facts import fractions
from weightspace.dissection.part import Part

if TYPE_CHECKING:
    from weightspace.meta import Labels
    from weightspace.zoo import Zoo

TRAINING_COLUMNS: dict[str, Any] = {
    "dataset": pl.String,
    "snapshot": pl.Int64,
    "fraction": pl.Float64,
    "accuracy": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n_nets": pl.Int64,
}


class Training(Part):
    """The nets' own test accuracy during training, by data set.

    Parameters
    ----------
    table : DataFrame
        A row for each data set and snapshot, with columns `TRAINING_COLUMNS`. `accuracy` is the
        median over nets. `low`..`high` holds the middle 80 % of the nets: it is the spread of the
        population, not a confidence interval.
    """

    NAME = "training"
    COLUMNS = TRAINING_COLUMNS


def training(zoo: Zoo, labels: Labels) -> Training:
    """The nets' own test accuracy by data set and snapshot: median and middle 80 % of the nets."""
    kept = zoo.nets.filter(pl.col("net").is_in(list(labels.nets))).select(
        "net", pl.col("dataset").fill_null("unknown")
    )
    shares = fractions(zoo, labels.nets)
    rows = zoo.snapshots.join(kept, on="net").filter(
        pl.col("snapshot").is_in(list(shares)) & pl.col("test_accuracy").is_finite()
    )
    accuracy = pl.col("test_accuracy").cast(pl.Float64)
    table = rows.group_by("dataset", "snapshot").agg(
        accuracy.median().alias("accuracy"),
        accuracy.quantile(0.1, "linear").alias("low"),
        accuracy.quantile(0.9, "linear").alias("high"),
        pl.col("net").n_unique().cast(pl.Int64).alias("n_nets"),
    )
    fraction = pl.col("snapshot").replace_strict(shares, default=None, return_dtype=pl.Float64)
    return Training(
        table.with_columns(fraction.alias("fraction"), pl.col("snapshot").cast(pl.Int64))
        .sort("dataset", "snapshot")
        .select(*TRAINING_COLUMNS)
    )
