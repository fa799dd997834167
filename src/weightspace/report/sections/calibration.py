"""Whether predicted probabilities match observed frequencies: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
from matplotlib.figure import Figure

from weightspace.meta import Evaluation
from weightspace.report.claims.headline import headline
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BLUE, MUTED, Grid, Sheet
from weightspace.report.drawing.section import Section, panels

FEW = 30
"""A dot that stands for fewer predictions is drawn hollow."""


def figures_of(evaluation: Evaluation) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Calibration and reliability of the best classifier of nets; None where not kept."""
    if evaluation.calibration is None or evaluation.reliability is None:
        return None
    known = evaluation.calibration["classifier"].unique(maintain_order=True).to_list()
    best = headline(evaluation.frame(), "net").classifier
    chosen = best if best in known else known[0]
    return (
        evaluation.calibration.filter(classifier=chosen),
        evaluation.reliability.filter(classifier=chosen),
    )


def finding(table: pl.DataFrame) -> str:
    """The calibration error: on average over properties, and of the worst property."""
    worst = table.sort("ece", descending=True).to_dicts()[0]
    mean, raw = float(table["ece"].mean()), float(table["ece_raw"].mean())  # type: ignore[arg-type]
    text = (
        f"Predicted probabilities and observed frequencies differ by {_points(mean)} percentage "
        "points on average"
    )
    if _points(mean) != _points(raw):
        text += f" ({_points(raw)} without temperature scaling)"
    if table.height == 1:
        return text
    return f"{text}, and most for {label(worst['property'])}: by {_points(worst['ece'])}"


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def reading(table: pl.DataFrame) -> str:
    """How to read the figure."""
    return (
        f"For each net the classifier “{table['classifier'][0]}” predicts a level of each "
        "property, with a probability. Horizontal: this probability, in ten bins; vertical: the "
        "share of the predictions in a bin that are right. The larger a dot, the more predictions; "
        f"hollow dots: fewer than {FEW} over all seeds. Dashed: both are equal; below the diagonal "
        "predictions are overconfident, above it underconfident. ECE (expected calibration "
        f"error): the mean distance from the diagonal, over {int(table['n_nets'][0]):,} nets. "
        "Probabilities are scaled with one temperature for each property, fitted on other nets to "
        "reduce the log loss; this can increase the ECE."
    )


def details(table: pl.DataFrame) -> dict[str, str]:
    """Property -> its expected calibration error, with and without scaling."""
    return {
        row["property"]: f"ECE {_share(row['ece'])}, without scaling {_share(row['ece_raw'])}"
        for row in table.to_dicts()
    }


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def chart() -> dict[str, Any]:
    """The page's panel: a dot for each bin, and the diagonal."""
    scale = alt.Scale(domain=[0, 1], nice=False)
    # Panels can be narrow: only the other axis labels its middle.
    ends_only = f"datum.value == 0.5 ? '' : {charts.AS_PERCENT}"
    across = alt.Axis(labelExpr=ends_only, values=[0, 0.5, 1], labelFlush=True)
    x = alt.X("confidence:Q", scale=scale, axis=across).title("predicted →")
    y = alt.Y("accuracy:Q", scale=scale, axis=charts.COARSE.copy()).title("observed →")
    ends = alt.Data(values=[{"confidence": end, "accuracy": end} for end in (0, 1)])
    size = alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[20, 420]), legend=None)
    fill = alt.condition("datum.few", alt.value(charts.PAPER), alt.value(charts.BLUE))
    base = alt.Chart(charts.ROWS).encode(x=x, y=y)
    layers = [
        alt.Chart(ends).mark_line(color=charts.MUTED, strokeDash=charts.DASH).encode(x=x, y=y),
        base.mark_point(stroke=charts.BLUE, opacity=0.9).encode(
            size=size, fill=fill, tooltip=charts.tips("predicted", "observed", "predictions")
        ),
    ]
    return charts.plain(alt.layer(*layers).properties(width="container", height=170))


def page_rows(bins: pl.DataFrame) -> list[rows.Row]:
    """A row for each property and bin."""
    return [
        {name: rows.number(row[name]) for name in ("confidence", "accuracy", "share")}
        | {"few": row["count"] < FEW, "property": row["property"]}
        | {"tip_observed": percent(row["accuracy"])}
        | {"tip_predicted": f"{percent(row['confidence'])} ({interval(row['low'], row['high'])})"}
        | {"tip_predictions": f"{row['count']:,}, {percent(row['share'])} of the weight"}
        for row in bins.sort("low", maintain_order=True).to_dicts()
    ]


def figure(table: pl.DataFrame, bins: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: observed frequency against predicted probability."""
    names = panels(table, order)
    grid = Grid(len(names), 4, 2.02, left=0.6)
    sheet = Sheet(finding(table), reading(table), grid.body + 0.14)
    errors = {row["property"]: row for row in table.to_dicts()}
    for index, name in enumerate(names):
        axes = grid.panel(sheet, index, name)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        canvas.percent_ticks(axes, "x", (0, 0.5, 1), labelled=grid.last_in_column(index))
        canvas.percent_ticks(axes, "y", (0, 0.5, 1), labelled=grid.first_in_row(index))
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        own = bins.filter(property=name).sort("low")
        sizes = [6 + 90 * share for share in own["share"]]
        fills = ["white" if number < FEW else BLUE for number in own["count"]]
        axes.scatter(
            own["confidence"], own["accuracy"], sizes, c=fills, edgecolors=BLUE, linewidths=0.8,
            clip_on=False,
        )  # fmt: skip
        row = errors[name]
        text = f"ECE {_share(row['ece'])}\nwithout scaling {_share(row['ece_raw'])}"
        # Below the diagonal, where there are fewer dots.
        axes.text(0.97, 0.03, text, fontsize=7, color=MUTED, ha="right", va="bottom")
        if grid.last_in_column(index):
            axes.set_xlabel("predicted", fontsize=8, color=MUTED, labelpad=1)
        if grid.first_in_row(index):
            axes.set_ylabel("observed", fontsize=8, color=MUTED, labelpad=1)
    return sheet.finish()


def section(table: pl.DataFrame, bins: pl.DataFrame, order: Sequence[str]) -> Section:
    """The page's section; its numbers are the errors by property."""
    return Section(
        "calibration",
        "How sure",
        "How sure, by prediction",
        "by prediction",
        finding(table),
        reading(table),
        page_rows(bins),
        table,
        panels(table, order),
        details=details(table),
        chart=lambda: chart(),
        draw=lambda: figure(table, bins, order),
    )
