"""The page's charts as Vega-Lite specifications, without data and without fixed colours.

Each is a template: the page adds the rows under the name `rows` (and `extra`), so that the panels
of one figure share one specification. Colours are CSS variables of the page, so that one
specification serves light and dark screens and paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

BLUE, ORANGE = "var(--blue)", "var(--orange)"
INK, MUTED, RULE, BAND, PAPER = (
    "var(--ink)",
    "var(--muted)",
    "var(--rule)",
    "var(--band)",
    "var(--paper)",
)
SERIES = tuple(f"var(--series-{i})" for i in range(1, 9))

ROWS, EXTRA = alt.NamedData("rows"), alt.NamedData("extra")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
AS_PERCENT = "format(100 * datum.value, '.0f') + ' %'"
PERCENT = alt.Axis(labelExpr=AS_PERCENT, values=[0, 0.25, 0.5, 0.75, 1])
COARSE = alt.Axis(labelExpr=AS_PERCENT, values=[0, 0.5, 1])
DASH = [4, 3]
_FIT = alt.AutoSizeParams(type="fit-x", contains="padding")


def much(order: Sequence[str]) -> dict[str, Any]:
    """How much: for each property control, chance, baseline and accuracy with its interval."""
    y = alt.Y(
        "name:N", sort=list(order), title=None, axis=alt.Axis(labelFontSize=13, labelColor=INK)
    )
    x = alt.X("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=PERCENT, title=None)
    base = alt.Chart(ROWS).encode(y=y, tooltip=tips("name", "shown", "control", "verdict"))
    main = alt.condition("datum.shown", alt.value(BLUE), alt.value(MUTED))
    up, down = -4, 7
    layers = [
        base.mark_bar(color=BAND, height=20).encode(
            x=alt.X("control_low:Q", title=None), x2="control_high:Q"
        ),
        base.mark_tick(color=MUTED, thickness=2, size=24).encode(x="chance:Q"),
        base.mark_rule(color=ORANGE, strokeWidth=1.5, yOffset=down).encode(
            x="shallow_low:Q", x2="shallow_high:Q"
        ),
        base.mark_point(color=ORANGE, fill=PAPER, size=32, opacity=1, yOffset=down).encode(
            x="shallow:Q"
        ),
        base.mark_rule(strokeWidth=3, yOffset=up).encode(x="low:Q", x2="high:Q", color=main),
        base.mark_point(filled=True, size=90, opacity=1, yOffset=up).encode(x=x, color=main),
        base.mark_text(align="left", dx=9, dy=up, fontSize=12, fontWeight=600).encode(
            x="high:Q", text="tip_percent:N", color=main
        ),
    ]
    room = {"left": 2, "top": 2, "bottom": 2, "right": 44}
    return plain(
        alt.layer(*layers).properties(width="container", height=36 * len(order), padding=room)
    )


def along() -> dict[str, Any]:
    """Accuracy along the vector: one panel; `extra` holds the ranges of the layers."""
    shown = alt.Chart(EXTRA)
    part = alt.condition("datum.part == 'conv'", alt.value(BLUE), alt.value(ORANGE))
    strip = shown.mark_rect(opacity=0.55, stroke=PAPER, strokeWidth=1).encode(
        x="start:Q",
        x2="stop:Q",
        y=alt.datum(-0.07),
        y2=alt.datum(-0.01),
        color=part,
        tooltip=[alt.Tooltip("name:N", title="layer"), alt.Tooltip("part:N")],
    )
    borders = shown.mark_rule(color=RULE, strokeWidth=1).encode(x="start:Q")
    ends = alt.Axis(
        values=[0, 1],
        grid=False,
        labelExpr="datum.value == 0 ? 'start' : 'end'",
        labelFlush=True,
        title=None,
    )
    x = alt.X("middle:Q", scale=alt.Scale(domain=[0, 1]), axis=ends)
    return plain(_curve(x, tips("place", "shown"), [borders, strip]))


def over_training() -> dict[str, Any]:
    """Accuracy over training: one panel."""
    return plain(_curve(_time(), tips("time", "shown"), []))


def _time() -> alt.X:
    """The axis from the start of training to its end; longer labels meet in narrow panels."""
    ends = alt.Axis(
        values=[0, 1],
        grid=False,
        labelExpr="datum.value == 0 ? 'start' : 'end'",
        labelFlush=True,
        title=None,
    )
    return alt.X("fraction:Q", scale=alt.Scale(domain=[0, 1]), axis=ends)


def _curve(x: alt.X, shown: list[alt.Tooltip], below: list[Any]) -> Any:
    """The layers of a curve: band, line, dots to point at, and the chance line."""
    base = alt.Chart(ROWS).encode(x=x)
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[-0.07, 1], nice=False), axis=COARSE, title=None)
    layers = [
        *below,
        base.mark_area(color=BAND, opacity=0.7).encode(
            y=alt.Y("control_low:Q", title=None), y2="control_high:Q"
        ),
        base.mark_area(color=BLUE, opacity=0.22).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        alt.Chart(ROWS).mark_rule(color=MUTED, strokeDash=DASH).encode(y="mean(chance):Q"),
        base.mark_line(color=BLUE, strokeWidth=2).encode(y=y),
        base.mark_point(color=BLUE, filled=True, size=18, opacity=1).encode(y=y, tooltip=shown),
        # Large invisible dots react to the pointer; the visible ones stay small.
        base.mark_point(filled=True, size=260, opacity=0).encode(y=y, tooltip=shown),
    ]
    return alt.layer(*layers).properties(width="container", height=118)


def parts(order: Sequence[str]) -> dict[str, Any]:
    """Accuracy by part and depth: one panel, with places as rows in the given order."""
    color = alt.condition("datum.part == 'conv'", alt.value(BLUE), alt.value(ORANGE))
    fill = (
        alt.when("!datum.running_stats")
        .then(alt.value(PAPER))
        .when("datum.part == 'conv'")
        .then(alt.value(BLUE))
        .otherwise(alt.value(ORANGE))
    )
    y = alt.Y("place:N", sort=list(order), title=None, axis=alt.Axis(labelLimit=190))
    x = alt.X("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=COARSE, title=None)
    base = alt.Chart(ROWS).encode(y=y, tooltip=tips("place", "shown"))
    layers = [
        alt.Chart(ROWS).mark_rule(color=MUTED, strokeDash=DASH).encode(x="mean(chance):Q"),
        base.mark_rule(strokeWidth=1.8).encode(
            x=alt.X("low:Q", title=None), x2="high:Q", color=color
        ),
        base.mark_point(size=42, opacity=1).encode(x=x, stroke=color, fill=fill),
    ]
    return plain(alt.layer(*layers).properties(width="container", height=18 * len(order)))


def training() -> dict[str, Any]:
    """Test accuracy of the nets over training: one panel."""
    base = alt.Chart(ROWS).encode(x=_time())
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1]), axis=COARSE, title=None)
    layers = [
        base.mark_area(color=BLUE, opacity=0.22).encode(y=alt.Y("low:Q", title=None), y2="high:Q"),
        base.mark_line(color=BLUE, strokeWidth=2).encode(y=y),
        base.mark_point(filled=True, size=260, opacity=0).encode(
            y=y, tooltip=tips("time", "median", "spread", "nets")
        ),
    ]
    return plain(alt.layer(*layers).properties(width="container", height=118))


_TITLES = {
    "name": "",
    "shown": "accuracy",
    "control": "permuted labels",
    "spread": "middle 80 % of nets",
    "slices": "",
    "group": "",
    "level": "",
    "loss": "points lost",
    "behind": "points behind the best",
    "worst": "worst level",
}


def tips(*fields: str) -> list[alt.Tooltip]:
    """Tooltips of the fields `tip_...`, which hold text, unlike the fields of numbers."""
    return [alt.Tooltip(f"tip_{field}:N", title=_TITLES.get(field, field)) for field in fields]


def plain(chart: Any) -> dict[str, Any]:
    """The specification in the style of the page."""
    styled = (
        chart.properties(autosize=_FIT)
        .configure(background="transparent", font=_FONT)
        .configure_view(stroke=None)
        .configure_axis(
            domain=False,
            ticks=False,
            gridColor=RULE,
            labelColor=MUTED,
            labelFontSize=11,
            labelPadding=6,
            titleColor=MUTED,
            titleFontSize=11,
            titleFontWeight="normal",
        )
        .configure_axisY(grid=True)
    )
    return dict(styled.to_dict())
