"""All classifiers of an evaluation side by side: finding, chart, figure and table."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from weightspace.meta import BASELINE, CLASSIFIERS, Evaluation
from weightspace.report.claims.findings import comparisons, corrected
from weightspace.report.claims.words import label, listing
from weightspace.report.drawing.section import Section
from weightspace.report.sections import cells

READING = (
    "Each line: a classifier and its input: one slice of a net, all slices of a net together, or a "
    "whole net. Large numbers: accuracy in percent. Small numbers: percentage points, before "
    "rounding, behind the classifier that has the best mean over properties on the same input, "
    "where significant. Colour: from chance (dark) to always right (bright). The title compares "
    "the best classifier with the next best on the same nets."
)
_FEW = 3
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


def finding(frame: pl.DataFrame) -> str:
    """The properties that the best classifier of slices (else of nets) reads better."""
    seen = frame["seen"][0]
    own = frame.filter(seen=seen)
    names = own["classifier"].unique(maintain_order=True).to_list()
    if len(names) < 2:
        return f"Only {names[0]} reads {_thing(seen)}"
    best, second = names[:2]
    tries = comparisons(own) * (len(names) - 1)
    rows = own.filter(classifier=second).drop_nulls("drop").to_dicts()
    ahead = [r["property"] for r in rows if corrected(r["drop"], r["drop_low"], tries) > 0]
    behind = [r["property"] for r in rows if corrected(r["drop"], r["drop_high"], tries) < 0]
    if not ahead:
        return f"No classifier reads {_thing(seen)} significantly better than the next best"
    text = listing([label(name) for name in ahead])
    if len(ahead) > _FEW:
        text = f"{len(ahead)} of {len(rows)} properties"
    text = f"From {_thing(seen)}, {best} reads {text} significantly better than {second}"
    if len(names) > 2:
        text += ", the next best"
    if behind:
        text += f", and {listing([label(name) for name in behind])} worse"
    return text


def _thing(seen: str) -> str:
    return {"slice": "slices", "net's slices": "slices of a net", "whole net": "whole nets"}[seen]


def figure(frame: pl.DataFrame, order: list[str]) -> Figure:
    """A cell for each classifier and property, with the accuracy in percent."""
    return cells.figure(frame, finding(frame), READING, order)


def section(frame: pl.DataFrame, order: list[str]) -> Section:
    """The page's section."""
    return Section(
        "classifiers",
        "How much",
        "How much, by classifier",
        "by classifier",
        finding(frame),
        READING,
        cells.chart(frame, order, "behind"),
        cells.page_rows(frame, "behind"),
        frame.drop("name").rename(
            {"drop": "behind", "drop_low": "behind_low", "drop_high": "behind_high"}
        ),
        key=cells.key("accuracy, and points behind the best"),
        broad=True,
        draw=lambda: figure(frame, order),
    )
