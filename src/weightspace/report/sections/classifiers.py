"""All classifiers of an evaluation side by side: finding, chart, figure and table."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from weightspace.meta import BASELINE, CLASSIFIERS, Evaluation
from weightspace.report.claims.findings import comparisons, widened
from weightspace.report.claims.words import label, listing
from weightspace.report.drawing.section import Section
from weightspace.report.sections import cells

READING = (
    "Each line: a classifier, and what it answers for: one slice of a net, all its slices "
    "together, or a whole net. Large: its accuracy in percent. Small: the points it is behind the "
    "one that is best over all properties among those that see the same, before rounding, where "
    "clear. Colour: from chance (dark) to always right (bright). The title compares the best with "
    "the next best on the same nets."
)
_FEW = 3
_KEYS = ("property", "classifier", "unit")
SEEN = ("slice", "net's slices", "whole net")
"""What a classifier answers for, in words."""


def side_by_side(evaluation: Evaluation) -> pl.DataFrame:
    """A row a property, classifier and unit, those that see the same thing together, best first.

    The baseline stands last, and is the best only where it is alone.

    Beside the accuracy: `seen` (one of `SEEN`), and by how much the best of those that see the
    same, by mean skill over properties, is ahead on the same nets: `drop`, `drop_low`,
    `drop_high`, null for the best itself and where hits of single nets were not kept.
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
    """The rows of one classifier, with how far it is behind the best."""
    if classifier == best or evaluation.hits is None:
        none = pl.lit(None, pl.Float64)
        return own.with_columns(drop=none, drop_low=none, drop_high=none)
    pairs = evaluation.compare(best, classifier, unit)
    pairs = pairs.select("property", drop="difference", drop_low="low", drop_high="high")
    return own.join(pairs, on="property", how="left", maintain_order="left")


def finding(frame: pl.DataFrame) -> str:
    """How many properties the best of slices (of nets, where none reads slices) reads better."""
    seen = frame["seen"][0]
    own = frame.filter(seen=seen)
    names = own["classifier"].unique(maintain_order=True).to_list()
    if len(names) < 2:
        return f"Only {names[0]} reads {_thing(seen)}"
    best, second = names[:2]
    tries = comparisons(own) * (len(names) - 1)
    rows = own.filter(classifier=second).drop_nulls("drop").to_dicts()
    ahead = [r["property"] for r in rows if widened(r["drop"], r["drop_low"], tries) > 0]
    behind = [r["property"] for r in rows if widened(r["drop"], r["drop_high"], tries) < 0]
    if not ahead:
        return f"No classifier is clearly the best reader of {_thing(seen)}"
    text = listing([label(name) for name in ahead])
    if len(ahead) > _FEW:
        text = f"{len(ahead)} of {len(rows)} properties"
    text = f"Off {_thing(seen)}, {best} reads {text} clearly better than {second}"
    if len(names) > 2:
        text += ", the next best"
    if behind:
        text += f", and {listing([label(name) for name in behind])} worse"
    return text


def _thing(seen: str) -> str:
    return {"slice": "slices", "net's slices": "slices of a net", "whole net": "whole nets"}[seen]


def figure(frame: pl.DataFrame, order: list[str]) -> Figure:
    """A cell a classifier and property, with the accuracy in percent."""
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
