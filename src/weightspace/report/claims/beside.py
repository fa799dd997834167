"""The classifiers of an evaluation side by side, as a table."""

from __future__ import annotations

import polars as pl

from weightspace.meta import BASELINE, CLASSIFIERS, Evaluation

_KEYS = ("property", "classifier", "unit")
SEEN = ("slice", "net's slices", "whole net")
"""The input of a classifier, in words."""


def side_by_side(evaluation: Evaluation) -> pl.DataFrame:
    """A row for each property, classifier and unit, grouped by input, the best classifier first.

    The baseline stands last of its group; it is the best only where it is alone.

    Columns beside the accuracy: `seen`, the input (one of `SEEN`); `drop`, `drop_low` and
    `drop_high`, by how much the group's best classifier (by mean skill over properties) is ahead
    on the same nets. These are null for the best classifier itself, and where hits of single nets
    were not kept.
    """
    frame = evaluation.frame().select(*_KEYS, "accuracy", "low", "high", "chance")
    frame = frame.with_columns(
        pl.struct("classifier", "unit").map_elements(_seen, pl.String).alias("seen")
    )
    skill = (pl.col("accuracy") - pl.col("chance")) / (1 - pl.col("chance"))
    ranking = frame.group_by("seen", "classifier", "unit").agg(skill.mean().alias("skill"))
    parts = []
    for seen in SEEN:
        ranked = ranking.filter(seen=seen).with_columns(rival=pl.col("classifier") != BASELINE)
        ranked = ranked.sort("rival", "skill", "classifier", descending=True)
        for classifier, unit in ranked.select("classifier", "unit").iter_rows():
            own = frame.filter(classifier=classifier, unit=unit)
            best = ranked["classifier"][0]
            parts.append(_behind(evaluation, own, best, classifier, unit))
    named = pl.concat(parts)
    return named.with_columns(pl.format("{}: {}", "classifier", "seen").alias("name"))


def _seen(row: dict[str, str]) -> str:
    if row["unit"] == "slice":
        return SEEN[0]
    kind = CLASSIFIERS.get(row["classifier"])
    return SEEN[2] if kind and kind.whole else SEEN[1]


def _behind(
    evaluation: Evaluation, own: pl.DataFrame, best: str, classifier: str, unit: str
) -> pl.DataFrame:
    """The rows of one classifier, with its distance to the best."""
    if classifier == best or evaluation.hits is None:
        none = pl.lit(None, pl.Float64)
        return own.with_columns(drop=none, drop_low=none, drop_high=none)
    pairs = evaluation.compare(best, classifier, unit)
    pairs = pairs.select("property", drop="difference", drop_low="low", drop_high="high")
    return own.join(pairs, on="property", how="left", maintain_order="left")
