"""Accuracy by length and number of slices: finding, chart and figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import polars as pl
from matplotlib.figure import Figure

from weightspace.report.claims import findings
from weightspace.report.claims.words import count, label, listing, percent, sentence
from weightspace.report.drawing import canvas, charts, rows
from weightspace.report.drawing.canvas import BAND, BLUE, MUTED, Grid, Sheet
from weightspace.report.drawing.section import Section, panels

_SHADES = (0.38, 0.68, 1.0)
_THICKNESS = (1.2, 1.6, 2.0)


def counts(frame: pl.DataFrame) -> list[int]:
    """The numbers of slices that are drawn: the fewest, the middle one, the most."""
    known = frame["slices"].unique().sort().to_list()
    return sorted({known[0], known[len(known) // 2], known[-1]})


def finding(frame: pl.DataFrame, order: Sequence[str] = ()) -> str:
    """Which length of slice is enough, and what several slices together gain."""
    told = [_shortest(frame, order), _gain(frame)]
    if not any(told):
        return "No property is significantly above chance at any length of slice"
    return sentence("; ".join(text for text in told if text))


def _shortest(frame: pl.DataFrame, order: Sequence[str]) -> str:
    """From which length on properties are significant, among lengths that all nets have."""
    own = frame.filter(
        pl.col("slices") == pl.col("slices").min(),
        pl.col("n_nets") == pl.col("n_nets").max(),
    )
    lengths = own["slice_length"].unique().sort().to_list()
    tries = findings.comparisons(own) * len(lengths)
    since: dict[str, int] = {}
    for name in panels(own, order):
        its = own.filter(property=name).sort("slice_length").to_dicts()
        if (found := findings.onset(its, tries, by="slice_length").since) is not None:
            since[name] = int(found)
    first = [label(name) for name, length in since.items() if length == lengths[0]]
    later = {label(name): length for name, length in since.items() if length > lengths[0]}
    told = []
    if first:
        told.append(f"{listing(first)} can be predicted from {lengths[0]:,} weights")
    if later:
        least, most = min(later.values()), max(later.values())
        span = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        verb = "needs" if len(later) == 1 else "need"
        told.append(f"{listing(list(later))} {verb} {span} weights")
    return "; ".join(told)


def _gain(frame: pl.DataFrame) -> str:
    """The property that gains most from several slices, at the longest length all nets have."""
    own = frame.filter(pl.col("n_nets") == pl.col("n_nets").max())
    own = own.filter(pl.col("slice_length") == pl.col("slice_length").max())
    tries = findings.comparisons(own)
    found = []
    for name in own["property"].unique(maintain_order=True):
        its = own.filter(property=name).sort("slices").to_dicts()
        ends = findings.contrast([its[0], its[-1]], tries) if len(its) > 1 else None
        if ends and ends.best is its[-1]:
            found.append(ends)
    if not found:
        return ""
    top = max(found, key=lambda c: c.best["accuracy"] - c.worst["accuracy"])
    return (
        f"{top.best['slices']} slices of {top.best['slice_length']:,} weights instead of one raise "
        f"the accuracy for {label(top.best['property'])} from {percent(top.worst['accuracy'])} to "
        f"{percent(top.best['accuracy'])}"
    )


def reading(frame: pl.DataFrame) -> str:
    """How to read the figure."""
    shown, nets = counts(frame), frame["n_nets"].unique().sort().to_list()
    fewest, most = shown[0], shown[-1]
    text = (
        "Horizontal: the length of slices, on a logarithmic scale. Lines: accuracy from "
        f"{count(fewest, 'random slice')} of a net"
    )
    if most != fewest:
        text += f", or from up to {most} taken together (the stronger the line, the more)"
    text += (
        "; blue band: 95 % interval over nets; grey band: accuracy from permuted labels with the "
        "fewest slices; dashed: chance."
    )
    if len(nets) > 1:
        text += (
            " Long slices exist in large nets only: the longest are tested on "
            f"{nets[0]:,} of {nets[-1]:,} nets."
        )
    return text


def chart(shown: Sequence[int], lengths: Sequence[int]) -> dict[str, Any]:
    """The page's panel: a line for each number of slices, the fewest with interval and control."""
    ticks = _ticks(lengths)
    x = alt.X(
        "slice_length:Q",
        scale=alt.Scale(type="log", domain=[lengths[0], max(lengths[-1], 2 * lengths[0])]),
        axis=alt.Axis(values=ticks, grid=False, labelExpr=_SHORT, labelFlush=True),
        title=None,
    )
    y = alt.Y("accuracy:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=charts.COARSE)
    y = y.title(None)
    fewest = alt.Chart(charts.ROWS).transform_filter(alt.datum.slices == shown[0]).encode(x=x)
    layers: list[Any] = [
        fewest.mark_area(color=charts.BAND, opacity=0.7).encode(
            y=alt.Y("control_low:Q", title=None), y2="control_high:Q"
        ),
        fewest.mark_area(color=charts.BLUE, opacity=0.18).encode(
            y=alt.Y("low:Q", title=None), y2="high:Q"
        ),
        alt.Chart(charts.ROWS)
        .mark_rule(color=charts.MUTED, strokeDash=charts.DASH)
        .encode(y="mean(chance):Q"),
    ]
    tips = charts.tips("slices", "shown", "nets")
    for number, shade, width in zip(shown, _shades(shown), _THICKNESS, strict=False):
        own = alt.Chart(charts.ROWS).transform_filter(alt.datum.slices == number).encode(x=x)
        layers += [
            own.mark_line(color=charts.BLUE, opacity=shade, strokeWidth=width).encode(y=y),
            own.mark_point(color=charts.BLUE, filled=True, size=16, opacity=shade).encode(y=y),
            own.mark_point(filled=True, size=180, opacity=0).encode(y=y, tooltip=tips),
        ]
    return charts.plain(alt.layer(*layers).properties(width="container", height=118))


_SHORT = "datum.value >= 1000 ? datum.value / 1000 + 'k' : datum.value"


def _ticks(lengths: Sequence[int]) -> list[int]:
    """The shortest, the longest, and a round one between."""
    middle = [n for n in lengths[1:-1] if str(n).rstrip("0") == "1"]
    return sorted({lengths[0], *middle[:1], lengths[-1]})


def _shades(shown: Sequence[int]) -> tuple[float, ...]:
    return _SHADES[-len(shown) :]


def page_rows(frame: pl.DataFrame) -> list[rows.Row]:
    """A row for each property, length and number of slices that is drawn."""
    table = frame.filter(pl.col("slices").is_in(counts(frame))).sort("slice_length")
    return [
        rows.score(row)
        | {"slices": row["slices"], "slice_length": row["slice_length"]}
        | {"tip_slices": f"{count(row['slices'], 'slice')} of {row['slice_length']:,} weights"}
        | {"tip_nets": f"{row['n_nets']:,}"}
        for row in table.to_dicts()
    ]


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: accuracy by length, a line for each number of slices."""
    shown, lengths = counts(frame), frame["slice_length"].unique().sort().to_list()
    names = panels(frame, order)
    grid = Grid(len(names), 4, 1.5)
    sheet = Sheet(finding(frame, order), reading(frame), grid.body + canvas.KEY)
    signs: list[canvas.Sign] = [
        (f"{count(number, 'slice')} per net", "line", {"color": BLUE, "alpha": shade, "lw": width})
        for number, shade, width in zip(shown, _shades(shown), _THICKNESS, strict=False)
    ]
    canvas.key(sheet, [*signs, ("permuted labels", "band", {"color": BAND})])
    for index, name in enumerate(names):
        axes = grid.panel(sheet, index, name)
        own = frame.filter(property=name).sort("slice_length")
        axes.set_xscale("log")
        axes.set_xlim(lengths[0], max(lengths[-1], 2 * lengths[0]))
        axes.set_ylim(0, 1.02)
        canvas.percent_ticks(axes, "y", (0, 0.5, 1), labelled=grid.first_in_row(index))
        first = own.filter(slices=shown[0])
        x = first["slice_length"]
        if not first["control_low"].null_count():
            axes.fill_between(x, first["control_low"], first["control_high"], color=BAND, lw=0)
        axes.fill_between(x, first["low"], first["high"], color=BLUE, alpha=0.18, lw=0)
        axes.axhline(own["chance"][0], color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
        for number, shade, width in zip(shown, _shades(shown), _THICKNESS, strict=False):
            line = own.filter(slices=number)
            axes.plot(
                line["slice_length"], line["accuracy"], color=BLUE, alpha=shade, linewidth=width
            )
        axes.minorticks_off()
        ticks = _ticks(lengths)
        bottom = grid.last_in_column(index)
        axes.set_xticks(ticks, [_short(n) if bottom else "" for n in ticks])
        canvas.ends_inward(axes)
    return sheet.finish()


def _short(number: int) -> str:
    return f"{number / 1000:g}k" if number >= 1000 else f"{number}"


def section(frame: pl.DataFrame, order: Sequence[str]) -> Section:
    """The page's section."""
    shown = counts(frame)
    key = [(f"line-{3 - len(shown) + i}", count(n, "slice")) for i, n in enumerate(shown)]
    return Section(
        "slices",
        "How much",
        "How much, by length and number of slices",
        "by length and number",
        finding(frame, order),
        reading(frame),
        page_rows(frame),
        frame,
        panels(frame, order),
        key=(*key, ("band", "permuted labels")),
        chart=lambda: chart(shown, frame["slice_length"].unique().sort().to_list()),
        draw=lambda: figure(frame, order),
    )
