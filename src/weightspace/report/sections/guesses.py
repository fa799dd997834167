"""Predicted numbers against true numbers: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import polars as pl
from matplotlib.figure import Figure

from weightspace.meta import Regression
from weightspace.report.claims.numbers import best_readers
from weightspace.report.claims.words import label, listing
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BLUE, MUTED, Grid, Sheet
from weightspace.report.drawing.section import Section
from weightspace.report.sections import numbers

_DOTS = 600
"""The most predictions that are drawn for a target: more dots would cover each other."""


@dataclass(frozen=True)
class Guesses:
    """The predictions of one target by its best classifier, on the target's scale."""

    target: str
    significant: bool
    logarithmic: bool
    truth: np.ndarray
    guess: np.ndarray

    @property
    def miss(self) -> str:
        """The median absolute error, in words."""
        return self._off(float(np.median(np.abs(self.guess - self.truth))))

    @property
    def blind(self) -> str:
        """The median absolute error of always predicting the median, in words."""
        return self._off(float(np.median(np.abs(self.truth - np.median(self.truth)))))

    def _off(self, miss: float) -> str:
        if self.logarithmic:
            return f"a factor of {10**miss:.2g}"
        return f"{100 * miss:.2g} points" if self.shares else f"{miss:.2g}"

    @property
    def shares(self) -> bool:
        """Whether the numbers are shares from 0 to 1."""
        return not self.logarithmic and self.truth.min() >= 0 and self.truth.max() <= 1

    @property
    def ends(self) -> tuple[float, float]:
        """The range of both axes: 10 % wider than the range of true values."""
        low, high = float(self.truth.min()), float(self.truth.max())
        return low - 0.05 * (high - low), high + 0.05 * (high - low)

    @property
    def drawn(self) -> np.ndarray:
        """True and predicted values to draw, [n, 2]: evenly over the truth, clipped to the axes."""
        order = np.argsort(self.truth, kind="stable")
        step = np.linspace(0, len(order) - 1, min(_DOTS, len(order))).round().astype(int)
        points: np.ndarray = np.stack([self.truth, self.guess], axis=1)[order[step]]
        return points.clip(*self.ends)

    def text(self, value: float) -> str:
        """A number on the target's scale as text."""
        if self.logarithmic:
            return f"{10**value:.2g}"
        return f"{100 * value:.0f} %" if self.shares else f"{value:.3g}"

    @property
    def ticks(self) -> list[float]:
        """A few round numbers within the ends."""
        low, high = self.ends
        if self.logarithmic:
            decades = 10.0 ** np.arange(np.floor(low), np.ceil(high) + 1)
            for steps in ((1,), (1, 3), (1, 2, 5)):
                round_ones = np.log10(np.outer(decades, steps).ravel())
                found = [float(v) for v in round_ones if low <= v <= high]
                if len(found) > 2:
                    break
            return found
        if self.shares:
            return [tick for tick in (0.0, 0.25, 0.5, 0.75, 1.0) if low <= tick <= high]
        return [float(v) for v in np.quantile(self.truth, [0, 1])]


def guesses(regression: Regression) -> list[Guesses]:
    """The predictions of every target by its best classifier."""
    found = []
    for row in best_readers(regression):
        own = regression.guesses.filter(target=row["target"], classifier=row["classifier"])
        own = own.filter(pl.col("truth").is_finite(), pl.col("guess").is_finite())
        if own["truth"].n_unique() > 1:
            significant = numbers.significant(row)
            columns = (own[name].to_numpy() for name in ("truth", "guess"))
            found.append(Guesses(row["target"], significant, row["scale"] == "log10", *columns))
    return found


def finding(shown: Sequence[Guesses]) -> str:
    """The median absolute error of each target that is read significantly above chance."""
    told = [f"{own.miss} for {label(own.target)}" for own in shown if own.significant]
    if not told:
        return "No prediction of a number is significantly better than always predicting the mean"
    first, _, name = told[0].partition(" for ")
    told[0] = f"{first} of the true value for {name}"
    return f"Half of the predictions lie within {listing(told)}"


def reading(shown: Sequence[Guesses]) -> str:
    """How to read the figure."""
    text = (
        "Each dot: one snapshot of one net. Horizontal: the true value; vertical: the value "
        "predicted by a model whose training set does not hold the net. On the diagonal the "
        "prediction is right; a horizontal cloud means that predictions do not depend on the "
        "true value."
    )
    if any(len(own.truth) > _DOTS for own in shown):
        most = max(len(own.truth) for own in shown)
        text += (
            f" At most {_DOTS} of up to {most:,} predictions are drawn, evenly over true values."
        )
    return text


def chart(own: Guesses) -> dict[str, Any]:
    """The page's panel of one target: dots and the diagonal."""
    scale = alt.Scale(domain=list(own.ends), nice=False, zero=False)
    words = " : ".join(f"datum.value == {tick!r} ? '{own.text(tick)}'" for tick in own.ticks)
    axis = alt.Axis(values=own.ticks, labelExpr=f"{words} : ''", labelFlush=False, title=None)
    x = alt.X("truth:Q", scale=scale, axis=axis.copy()).title("true →")
    y = alt.Y("guess:Q", scale=scale, axis=axis.copy()).title("predicted →")
    ends = alt.Data(values=[{"truth": end, "guess": end} for end in own.ends])
    layers = [
        alt.Chart(ends).mark_line(color=charts.MUTED, strokeDash=charts.DASH).encode(x=x, y=y),
        alt.Chart(charts.ROWS)
        .mark_point(filled=True, color=charts.BLUE, size=14, opacity=0.45)
        .encode(x=x, y=y, tooltip=charts.tips("true", "predicted")),
    ]
    return charts.plain(alt.layer(*layers).properties(width="container", height=230))


def page_rows(shown: Sequence[Guesses]) -> list[rows.Row]:
    """A row for each prediction that is drawn; `property` is the target."""
    return [
        {"property": own.target, "truth": round(truth, 4), "guess": round(guess, 4)}
        | {"tip_true": own.text(truth), "tip_predicted": own.text(guess)}
        for own in shown
        for truth, guess in own.drawn.tolist()
    ]


def figure(shown: Sequence[Guesses]) -> Figure:
    """A panel for each target: predicted against true values."""
    grid = Grid(len(shown), 3, 2.62, left=0.6, gap=0.5)
    sheet = Sheet(finding(shown), reading(shown), grid.body + 0.14)
    for index, own in enumerate(shown):
        axes = grid.panel(sheet, index, own.target)
        axes.set_xlim(*own.ends)
        axes.set_ylim(*own.ends)
        axes.plot(own.ends, own.ends, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        axes.plot(*own.drawn.T, "o", markersize=2, color=BLUE, alpha=0.4, markeredgewidth=0)
        names = [own.text(tick) for tick in own.ticks]
        axes.set_xticks(own.ticks, names)
        axes.set_yticks(own.ticks, names)
        axes.grid(color=canvas.RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel("true", fontsize=8, color=MUTED, labelpad=1)
        if grid.first_in_row(index):
            axes.set_ylabel("predicted", fontsize=8, color=MUTED, labelpad=1)
        text = axes.text(
            0.03, 0.97, f"half within {own.miss}", fontsize=7.5, color=MUTED, va="top",
            transform=axes.transAxes,
        )  # fmt: skip
        text.set_bbox({"color": "white", "alpha": 0.85, "pad": 1.5, "linewidth": 0})
    return sheet.finish()


def section(regression: Regression, shown: Sequence[Guesses]) -> Section:
    """The page's section."""
    return Section(
        "guesses",
        "How much",
        "How much, as numbers: predicted and true values",
        "predicted and true values",
        finding(shown),
        reading(shown),
        page_rows(shown),
        regression.guesses.clear(),
        [own.target for own in shown],
        details={
            own.target: f"half within {own.miss} (always predicting the median: {own.blind})"
            for own in shown
        },
        wide=True,
        chosen=False,
        charts=lambda: {own.target: chart(own) for own in shown},
        note=(
            f"All {regression.guesses.height:,} predictions are in numbers/guesses.parquet. Point "
            "at a dot to see its numbers."
        ),
        chart=dict,
        draw=lambda: figure(shown),
    )
