"""All classifiers of an evaluation side by side: finding, chart, figure and table."""

from __future__ import annotations

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims.findings import comparisons, corrected
from weightspace.report.claims.words import label, listing
from weightspace.report.drawing.section import Section
from weightspace.report.sections import cells

READING = (
    "Each row: a classifier and its input, which is one slice of a net, all slices of a net "
    "together, or a whole net. Large numbers: accuracy in percent. Small numbers: by how many "
    "percentage points (computed before rounding) the classifier is behind the best one with the "
    "same input, if significant; the best one has the highest mean over properties. Colour: from "
    "chance (dark) to always right (bright). The title compares the best classifier with the next "
    "best on the same nets."
)
_FEW = 3


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
        return (
            f"From {_thing(seen)}, no classifier predicts significantly better than the next best"
        )
    text = listing([label(name) for name in ahead])
    if len(ahead) > _FEW:
        text = f"{len(ahead)} of {len(rows)} properties"
    text = f"From {_thing(seen)}, {best} predicts {text} significantly better than {second}"
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
        cells.page_rows(frame, "behind"),
        frame.drop("name").rename(
            {"drop": "behind", "drop_low": "behind_low", "drop_high": "behind_high"}
        ),
        key=cells.key("accuracy, and points behind the best"),
        broad=True,
        chart=lambda: cells.chart(frame, order, "behind"),
        draw=lambda: figure(frame, order),
    )
