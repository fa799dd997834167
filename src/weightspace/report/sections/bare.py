"""With and without batch norm's running statistics: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl
from matplotlib.figure import Figure

from weightspace.meta import Evaluation
from weightspace.report.claims import findings
from weightspace.report.claims.findings import corrected
from weightspace.report.claims.headline import Headline
from weightspace.report.claims.words import interval, label, percent
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BLUE, INK, MUTED, Sheet
from weightspace.report.drawing.section import Section


@dataclass(frozen=True)
class Pair:
    """Rows of one property, read with (`full`) and without (`bare`) running statistics.

    `low`..`high` is the 95 % interval of the difference over the same nets. Both are None where
    only the tables of the evaluations were kept.
    """

    full: dict[str, Any]
    bare: dict[str, Any]
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The property."""
        return str(self.full["property"])

    @property
    def loss(self) -> float:
        """By how much accuracy falls without running statistics."""
        return float(self.full["accuracy"] - self.bare["accuracy"])

    def significant(self, tries: int) -> bool:
        """Whether the two accuracies differ significantly, as one of `tries` properties."""
        if self.low is None or self.high is None:
            return findings.contrast([self.full, self.bare], tries) is not None
        end = self.low if self.loss > 0 else self.high
        return bool(self.loss * corrected(self.loss, end, tries) > 0)


def pairs(full: Evaluation, bare: Evaluation, head: Headline) -> list[Pair]:
    """Each property's rows of the headline's classifier, with and without running statistics."""
    sides = []
    for one in (full, bare):
        own = one.frame().filter(classifier=head.classifier, unit=head.unit)
        sides.append({row["property"]: row for row in own.to_dicts()})
    spans = _differences(full, bare, head)
    return [
        Pair(sides[0][name], sides[1][name], *spans.get(name, (None, None)))
        for name in head.properties
        if name in sides[1]
    ]


def _differences(full: Evaluation, bare: Evaluation, head: Headline) -> dict[str, Any]:
    """Property -> interval of the difference, paired by net."""
    if full.hits is None or bare.hits is None:
        return {}
    wanted = pl.col("classifier") == head.classifier
    hits = [
        hits.filter(wanted).with_columns(pl.lit(side).alias("classifier"))
        for side, hits in (("full", full.hits), ("bare", bare.hits))
    ]
    both = Evaluation(full.table, hits=pl.concat(hits)).compare("full", "bare", head.unit)
    return {row["property"]: (row["low"], row["high"]) for row in both.to_dicts()}


def finding(shown: Sequence[Pair]) -> str:
    """The property that depends most on running statistics."""
    significant = [pair for pair in shown if pair.significant(len(shown))]
    if not significant:
        return "Leaving out batch norm's running statistics changes no accuracy significantly"
    top = max(significant, key=lambda pair: abs(pair.loss))
    text = (
        f"Without batch norm's running statistics {label(top.name)} is predicted with "
        f"{percent(top.bare['accuracy'])} accuracy instead of {percent(top.full['accuracy'])}"
    )
    others = len(significant) - 1
    if not others:
        return text
    return f"{text}; {others} more {'changes' if others == 1 else 'change'} significantly"


def reading(shown: Sequence[Pair]) -> str:
    """How to read the figure."""
    text = (
        "Batch norm keeps running means and variances of activations. They are not trained, and "
        "may encode properties that the trained weights do not. Filled dots: accuracy with them; "
        "hollow dots: without; lines: 95 % intervals over nets; grey: chance."
    )
    lengths = {pair.bare["slice_length"] for pair in shown} - {
        pair.full["slice_length"] for pair in shown
    }
    if lengths:
        text += f" Without them, slices have {max(lengths):,} weights."
    if any(pair.low is not None for pair in shown):
        text += " The title compares both accuracies on the same nets."
    return text


def chart(names: Sequence[str]) -> dict[str, Any]:
    """The page's chart: two dots for each property."""
    axis = alt.Axis(labelFontSize=13, labelColor=charts.INK)
    y = alt.Y("name:N", sort=list(names), title=None, axis=axis)
    x = alt.X("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=charts.PERCENT, title=None)
    tips = charts.tips("name", "with", "without", "difference")
    base = alt.Chart(charts.ROWS).encode(y=y, tooltip=tips)
    layers: list[Any] = [
        base.mark_tick(color=charts.MUTED, thickness=2, size=22).encode(
            x=alt.X("chance:Q", title=None)
        )
    ]
    for side, shift, fill in (("full", -5, charts.BLUE), ("bare", 5, charts.PAPER)):
        layers += [
            base.mark_rule(color=charts.BLUE, strokeWidth=2, yOffset=shift).encode(
                x=alt.X(f"{side}_low:Q", title=None), x2=f"{side}_high:Q"
            ),
            base.mark_point(
                fill=fill, stroke=charts.BLUE, size=60, opacity=1, yOffset=shift
            ).encode(x=x if side == "full" else alt.X("bare:Q", title=None)),
        ]
    return charts.plain(alt.layer(*layers).properties(width="container", height=34 * len(names)))


def page_rows(shown: Sequence[Pair]) -> list[rows.Row]:
    """A row for each property."""
    return [
        {"name": label(pair.name), "tip_name": label(pair.name)}
        | {"accuracy": rows.number(pair.full["accuracy"])}
        | {"bare": rows.number(pair.bare["accuracy"]), "chance": rows.number(pair.full["chance"])}
        | {f"full_{end}": rows.number(pair.full[end]) for end in ("low", "high")}
        | {f"bare_{end}": rows.number(pair.bare[end]) for end in ("low", "high")}
        | {"tip_with": _text(pair.full), "tip_without": _text(pair.bare)}
        | {"tip_difference": _difference(pair)}
        for pair in shown
    ]


def _text(row: dict[str, Any]) -> str:
    return f"{percent(row['accuracy'])} ({interval(row['low'], row['high'])})"


def _difference(pair: Pair) -> str:
    text = f"{-100 * pair.loss:+.1f} points without"
    if pair.low is None or pair.high is None:
        return text
    return f"{text} ({-100 * pair.high:+.1f} to {-100 * pair.low:+.1f})"


def figure(shown: Sequence[Pair]) -> Figure:
    """Paired dots by property."""
    pitch, left, right, n = 0.34, 1.35, 1.55, len(shown)
    sheet = Sheet(finding(shown), reading(shown), canvas.KEY + pitch * n + 0.32)
    filled: dict[str, Any] = {"marker": "o", "markersize": 6, "color": BLUE}
    hollow = filled | {"markerfacecolor": "white", "markeredgecolor": BLUE}
    signs: list[canvas.Sign] = [
        ("with running statistics", "dot", filled),
        ("without", "dot", hollow),
        ("chance", "tick", {"color": MUTED, "linewidth": 1.3}),
    ]
    canvas.key(sheet, signs)
    axes = sheet.axes(left, sheet.top, canvas.WIDTH - left - right, pitch * n)
    axes.set_xlim(0, 1)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks([])
    canvas.percent_ticks(axes, "x", (0, 0.25, 0.5, 0.75, 1))
    for place, pair in enumerate(shown):
        chance = pair.full["chance"]
        axes.plot([chance] * 2, [place - 0.34, place + 0.34], color=MUTED, linewidth=1.3)
        for row, shift, style in ((pair.full, -0.15, filled), (pair.bare, 0.15, hollow)):
            ends = [row["low"], row["high"]]
            axes.plot(ends, [place + shift] * 2, color=BLUE, linewidth=1.4)
            axes.plot(row["accuracy"], place + shift, clip_on=False, **style)
        y = sheet.top + pitch * (place + 0.5)
        sheet.write(left - 0.14, y, label(pair.name), 9.5, ha="right", va="center_baseline")
        both = f"{percent(pair.full['accuracy'])} → {percent(pair.bare['accuracy'])}"
        bold = pair.significant(n)
        style = {"weight": "bold" if bold else "normal", "color": INK if bold else MUTED}
        sheet.write(canvas.WIDTH - right + 0.14, y, both, 9, va="center_baseline", **style)
    return sheet.finish()


def section(shown: Sequence[Pair], bare: Evaluation) -> Section:
    """The page's section."""
    return Section(
        "bare",
        "How much",
        "How much, without running statistics",
        "without running statistics",
        finding(shown),
        reading(shown),
        page_rows(shown),
        bare.frame(),
        key=(
            ("dot-blue", "with running statistics"),
            ("dot-hollow", "without"),
            ("tick", "chance"),
        ),
        chart=lambda: chart([label(pair.name) for pair in shown]),
        draw=lambda: figure(shown),
    )
