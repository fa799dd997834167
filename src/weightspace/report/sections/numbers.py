"""How well numbers, such as the learning rate, are read: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.meta import Regression
from weightspace.report.claims.findings import corrected
from weightspace.report.claims.numbers import best_readers
from weightspace.report.claims.words import count, label, listing, sentence
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BAND, BLUE, INK, MUTED, ORANGE, Sheet
from weightspace.report.drawing.section import Section


def finding(regression: Regression) -> str:
    """The numbers that are read above chance, the best first, and those that are not."""
    readers = best_readers(regression)
    shown = [row for row in readers if significant(row)]
    hidden = [label(row["target"]) for row in readers if row not in shown]
    if not shown:
        tried = count(len(readers), "number")
        return f"No number is predicted significantly better than by chance ({tried} tried)"
    shown.sort(key=lambda row: row["r2"], reverse=True)
    sources = {row["source"] for row in shown}
    if len(sources) == 1:
        told = [f"{label(row['target'])} ({_r2(row)})" for row in shown]
        text = f"{sentence(listing(told))} can be predicted from {sources.pop()} as numbers"
    else:
        told = [f"{label(row['target'])} ({_r2(row)}, from {row['source']})" for row in shown]
        text = f"{sentence(listing(told))} can be predicted as numbers"
    return f"{text}; {listing(hidden)} cannot be distinguished from chance" if hidden else text


def _r2(row: dict[str, Any]) -> str:
    return f"R²\u00a0{row['r2']:.2f}"


def significant(row: dict[str, Any]) -> bool:
    """Whether R2 and tau lie significantly above 0, and above those of permuted numbers."""
    return row["verdict"] != "not shown" and all(
        corrected(row[name], row[f"{name}_low"], row["tries"])
        > max(0.0, row[f"{name}_control_high"] or 0.0)
        for name in ("r2", "tau")
    )


def reading(regression: Regression) -> str:
    """How to read the figure of R2 and tau."""
    text = (
        "R² (blue): 0 for always predicting the mean, 1 for always right. Kendall's tau (orange): "
        "0 where predictions order as many pairs of nets rightly as wrongly, 1 where they order "
        "all pairs rightly. Lines: 95 % intervals over nets outside the training set."
    )
    if not regression.frame()["r2_control_high"].null_count():
        text += " Grey: the range of both for permuted numbers."
    return text


def chart(names: Sequence[str]) -> dict[str, Any]:
    """The page's chart: two dots with intervals for each target."""
    y = alt.Y(
        "name:N",
        sort=list(names),
        title=None,
        axis=alt.Axis(labelFontSize=13, labelColor=charts.INK),
    )
    base = alt.Chart(charts.ROWS).encode(y=y, tooltip=charts.tips("name", "r2", "tau", "verdict"))
    x = alt.X("r2:Q", title=None, axis=alt.Axis(values=[0, 0.5, 1], format=".1f"))
    x = x.scale(alt.Scale(domain=[-0.1, 1]))
    layers: list[Any] = []
    for name, color, shift in (("r2", charts.BLUE, -7), ("tau", charts.ORANGE, 7)):
        layers += [
            base.mark_bar(color=charts.BAND, height=12, yOffset=shift, clip=True).encode(
                x=alt.X(f"{name}_control_low:Q", title=None), x2=f"{name}_control_high:Q"
            ),
            base.mark_rule(color=color, strokeWidth=2.5, yOffset=shift, clip=True).encode(
                x=alt.X(f"{name}_low:Q", title=None), x2=f"{name}_high:Q"
            ),
            base.mark_point(color=color, filled=True, size=70, opacity=1, yOffset=shift).encode(
                x=x if name == "r2" else alt.X(f"{name}:Q", title=None)
            ),
        ]
    layers.append(
        alt.Chart(charts.ROWS).mark_rule(color=charts.MUTED, strokeDash=charts.DASH).encode(
            x=alt.datum(0)
        )
    )  # fmt: skip
    return charts.plain(alt.layer(*layers).properties(width="container", height=44 * len(names)))


def page_rows(regression: Regression) -> list[rows.Row]:
    """A row for each target."""
    measures = ("r2", "tau")
    ends = ("", "_low", "_high", "_control_low", "_control_high")
    return [
        {f"{m}{end}": _least(rows.number(row[f"{m}{end}"])) for m in measures for end in ends}
        | {"name": label(row["target"]), "tip_name": f"{label(row['target'])}, {row['source']}"}
        | {f"tip_{m}": _span(row, m) for m in measures}
        | {"tip_verdict": row["verdict"]}
        for row in best_readers(regression)
    ]


def _least(value: float | None) -> float | None:
    """The value to draw: at least -0.1, the edge of the chart; the tooltip has the number."""
    return None if value is None else max(-0.1, value)


def _span(row: dict[str, Any], name: str) -> str:
    return f"{row[name]:.2f} ({row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f})"


def figure(regression: Regression) -> Figure:
    """R2 and Kendall's tau by target as dots with intervals."""
    readers = best_readers(regression)
    pitch, left, right, n = 0.5, 1.35, 1.75, len(readers)
    sheet = Sheet(finding(regression), reading(regression), canvas.KEY + pitch * n + 0.32)
    signs: list[canvas.Sign] = [
        ("R²", "dot", {"marker": "o", "color": BLUE, "markersize": 6}),
        ("Kendall's tau", "dot", {"marker": "o", "color": ORANGE, "markersize": 6}),
        ("permuted numbers", "band", {"color": BAND}),
    ]
    canvas.key(sheet, signs)
    axes = sheet.axes(left, sheet.top, canvas.WIDTH - left - right, pitch * n)
    axes.set_xlim(-0.1, 1)
    axes.set_ylim(n - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.50", "0.75", "1"])
    axes.grid(axis="x", color=canvas.RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    for place, row in enumerate(readers):
        for name, color, shift in (("r2", BLUE, -0.17), ("tau", ORANGE, 0.17)):
            _measure(axes, place + shift, row, name, color)
            y = sheet.top + pitch * (place + 0.5 + shift)
            x = canvas.WIDTH - right + 0.12
            sheet.write(x, y, f"{row[name]:.2f}", 9, va="center_baseline", color=color)
            spread = f"{row[f'{name}_low']:.2f} to {row[f'{name}_high']:.2f}"
            sheet.write(x + 0.42, y, spread, 8, color=MUTED, va="center_baseline")
        y = sheet.top + pitch * (place + 0.5)
        ink = MUTED if row["verdict"] == "not shown" else INK
        style: dict[str, Any] = {"ha": "right", "va": "center_baseline"}
        sheet.write(left - 0.14, y - 0.07, label(row["target"]), 9.5, color=ink, **style)
        sheet.write(left - 0.14, y + 0.09, row["source"], 7.5, color=MUTED, **style)
    return sheet.finish()


def _measure(axes: Axes, y: float, row: dict[str, Any], name: str, color: str) -> None:
    if row[f"{name}_control_high"] is not None:
        low, high = max(-0.1, row[f"{name}_control_low"]), row[f"{name}_control_high"]
        axes.barh(y, max(0.0, high - low), 0.3, low, color=BAND, zorder=1.5)
    ends = [max(-0.1, row[f"{name}_low"]), max(-0.1, row[f"{name}_high"])]
    axes.plot(ends, [y] * 2, color=color, linewidth=2, solid_capstyle="butt")
    axes.plot(max(-0.1, row[name]), y, "o", markersize=6, color=color, markeredgecolor="white")


def section(regression: Regression) -> Section:
    """The page's section."""
    readers = best_readers(regression)
    key = (("dot-blue", "R²"), ("dot-orange", "Kendall's tau"), ("band", "permuted numbers"))
    return Section(
        "numbers",
        "How much",
        "How much, as numbers",
        "as numbers",
        finding(regression),
        reading(regression),
        page_rows(regression),
        regression.frame(),
        key=key,
        chart=lambda: chart([label(row["target"]) for row in readers]),
        draw=lambda: figure(regression),
    )
