"""Maps of weight space: nets coloured by property, and paths of nets during training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import stats
from scipy.spatial.distance import pdist

from weightspace.dissection.map import MAP_COLUMNS
from weightspace.report.claims.words import count, label, percent
from weightspace.report.drawing import charts, rows
from weightspace.report.drawing.canvas import MUTED, RULE, SERIES, Grid, Sheet
from weightspace.report.drawing.section import Section
from weightspace.report.sections.transfer import SCALE, scale

_PATHS = 120
"""The most nets whose paths are drawn: more paths would cover each other."""

# A panel of the printed map names levels: how many in a line, a line's height in inches, lines.
_A_LINE, _LINE, _LINES = 2, 0.13, 4


def properties(frame: pl.DataFrame, order: Sequence[str]) -> list[str]:
    """The properties that the map has columns for, in order."""
    return rows.ordered([name for name in frame.columns if name not in MAP_COLUMNS], order)


def last(frame: pl.DataFrame) -> pl.DataFrame:
    """The points of the last snapshot on the t-SNE map."""
    own = frame.filter(method="tsne")
    return own.filter(pl.col("snapshot") == pl.col("snapshot").max())


def neighbours(frame: pl.DataFrame, name: str) -> tuple[float, float]:
    """The share of nets whose nearest neighbour has the same level, and that share by chance."""
    own = last(frame).filter(pl.col(name).is_not_null())
    points, levels = own.select("x", "y").to_numpy(), own[name].to_numpy()
    n = len(points)
    apart = np.square(points[:, None] - points[None]).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    same = float(np.mean(levels[apart.argmin(axis=1)] == levels))
    _, sizes = np.unique(levels, return_counts=True)
    return same, float((sizes * (sizes - 1)).sum() / (n * (n - 1)))


def finding(frame: pl.DataFrame, order: Sequence[str]) -> str:
    """The property that nearest neighbours share most often beyond chance."""
    names, n = properties(frame, order), last(frame).height
    found = []
    for name in names:
        same, chance = neighbours(frame, name)
        # Nearest neighbours come in pairs, so only half as many nets are independent.
        error = np.sqrt(chance * (1 - chance) / (n / 2))
        if same - chance > stats.norm.ppf(1 - 0.025 / len(names)) * error:
            found.append((same - chance, name, same, chance))
    if not found:
        return "Neighbouring nets share no property significantly more often than by chance"
    _, name, same, chance = max(found)
    return (
        f"{percent(same)} of nets have the same {label(name)} as their nearest neighbour on the "
        f"map ({percent(chance)} by chance)"
    )


def reading(frame: pl.DataFrame) -> str:
    """How to read the map."""
    return (
        f"Each dot: one of {count(last(frame).height, 'net')} at the end of its training. t-SNE "
        "places nets with similar statistics of layers near each other. Every panel shows the "
        "same map, coloured by another property. The map is descriptive: small distances mean "
        "similar nets, large distances mean little, and the axes have no meaning."
    )


def chart() -> dict[str, Any]:
    """The page's panel: dots coloured by level; the panel's caption names the levels."""
    color = alt.Color(
        "k:N", scale=alt.Scale(domain=[f"{i}" for i in range(8)], range=list(charts.SERIES))
    ).legend(None)
    axis = alt.Axis(labels=False, grid=False)
    drawn = (
        alt.Chart(charts.ROWS)
        .mark_point(filled=True, size=16, opacity=0.85)
        .encode(
            x=alt.X("x:Q", axis=axis.copy(), scale=alt.Scale(zero=False)).title(None),
            y=alt.Y("y:Q", axis=axis.copy(), scale=alt.Scale(zero=False)).title(None),
            color=color,
            tooltip=charts.tips("level"),
        )
    )
    return charts.plain(drawn.properties(width="container", height=190))


def levels(frame: pl.DataFrame, name: str) -> list[str]:
    """The levels of a property in order, numbers by size."""
    known = [level for level in frame[name].unique().to_list() if level is not None]
    try:
        return sorted(known, key=float)
    except ValueError:
        return sorted(known)


def page_rows(frame: pl.DataFrame, order: Sequence[str]) -> list[rows.Row]:
    """A row for each net and property."""
    own, made = last(frame), []
    for name in properties(frame, order):
        place = {level: f"{i % 8}" for i, level in enumerate(levels(frame, name))}
        for x, y, level in own.select("x", "y", name).iter_rows():
            about = {"property": name, "x": round(x, 1), "y": round(y, 1)}
            made.append(about | {"k": place.get(level, "7"), "tip_level": f"{level}"})
    return made


def figure(frame: pl.DataFrame, order: Sequence[str]) -> Figure:
    """A panel for each property: the nets at the end of training, coloured by level."""
    own, names = last(frame), properties(frame, order)
    lines = -(-max(len(levels(frame, name)) for name in names) // _A_LINE)
    foot = 0.16 + _LINE * min(lines, _LINES)
    grid = Grid(len(names), 4, 1.72 + foot, left=0.12, foot=foot)
    sheet = Sheet(finding(frame, order), reading(frame), grid.body)
    for index, name in enumerate(names):
        axes = grid.panel(sheet, index, name)
        known = levels(frame, name)
        for place, level in enumerate(known):
            some = own.filter(pl.col(name) == level)
            color = SERIES[place % len(SERIES)]
            axes.plot(some["x"], some["y"], "o", markersize=2.4, color=color, markeredgewidth=0)
            _level(axes, place, level, color)
        _blank(axes)
    return sheet.finish()


def _level(axes: Axes, place: int, level: str, color: str) -> None:
    """Write a level's name in its colour below the panel, if there is room for it."""
    if place >= _A_LINE * _LINES:
        return
    text = level if len(level) <= 15 else f"{level[:14]}…"
    at = (place % _A_LINE / _A_LINE, 0)
    axes.annotate(
        text, at, xycoords="axes fraction", fontsize=6.5, color=color, va="top",
        xytext=(0, -72 * (0.05 + _LINE * (place // _A_LINE))), textcoords="offset points",
        parse_math=False,
    )  # fmt: skip


def _blank(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.margins(0.04)


def section(frame: pl.DataFrame, order: Sequence[str]) -> Section:
    """The page's section of the map."""
    names = properties(frame, order)
    return Section(
        "map",
        "What",
        "What: which nets are similar",
        "a map of nets",
        finding(frame, order),
        reading(frame),
        page_rows(frame, order),
        frame.clear(),
        names,
        legends={name: levels(frame, name) for name in names},
        note="The coordinates of all points are in map.parquet.",
        chart=lambda: chart(),
        draw=lambda: figure(frame, order),
    )


def paths(frame: pl.DataFrame) -> pl.DataFrame:
    """The paths of some nets in the plane of the first two principal components."""
    own = frame.filter(method="pca").sort("net", "snapshot")
    nets = own["net"].unique(maintain_order=True)
    step = np.linspace(0, len(nets) - 1, min(_PATHS, len(nets))).round().astype(int)
    return own.filter(pl.col("net").is_in(nets.gather(step).to_list()))


def paths_finding(frame: pl.DataFrame) -> str:
    """How far training moves a net, compared with the distance of nets before training."""
    own = frame.filter(method="pca").sort("net", "snapshot")
    ends = own.group_by("net", maintain_order=True).agg(
        pl.col("x", "y").first().name.suffix("_first"), pl.col("x", "y").last()
    )
    start = ends.select("x_first", "y_first").to_numpy()
    moved = np.linalg.norm(ends.select("x", "y").to_numpy() - start, axis=1)
    apart = float(np.median(pdist(start)))
    if not apart > 0:
        return "Paths of nets during training in the plane of the first two principal components"
    return (
        f"In this plane, training moves the median net by {np.median(moved) / apart:.2g} times the "
        "typical distance between two nets at the start"
    )


def paths_reading(frame: pl.DataFrame) -> str:
    """How to read the paths."""
    shown = paths(frame)["net"].n_unique()
    return (
        f"Each line: the path of one of {shown} nets, from the start of training (dark) to its end "
        "(bright). The plane is that of the first two principal components of statistics of "
        "layers: the two directions in which nets and snapshots differ most. The figure is "
        "descriptive, and the plane shows only a part of all differences."
    )


def paths_chart() -> dict[str, Any]:
    """The page's chart: a line for each net, a dot for each snapshot."""
    axis = alt.Axis(labels=False, grid=False)
    x = alt.X("x:Q", axis=axis.copy()).title("first principal component →")
    y = alt.Y("y:Q", axis=axis.copy()).title("second →")
    color = alt.Color("fraction:Q", scale=alt.Scale(scheme=SCALE, domain=[0, 1]), legend=None)
    base = alt.Chart(charts.ROWS).encode(x=x, y=y)
    layers = [
        base.mark_line(color=charts.MUTED, strokeWidth=0.6, opacity=0.45).encode(
            detail="net:N", order="fraction:Q"
        ),
        base.mark_point(filled=True, size=16, opacity=0.95).encode(
            color=color, tooltip=charts.tips("time", "net")
        ),
    ]
    return charts.plain(alt.layer(*layers).properties(width="container", height=380))


def paths_rows(frame: pl.DataFrame) -> list[rows.Row]:
    """A row for each snapshot of a net that is drawn."""
    return [
        {"net": row["net"], "x": round(row["x"], 2), "y": round(row["y"], 2)}
        | {"fraction": rows.number(row["fraction"]), "tip_time": rows.time(row)}
        | {"tip_net": row["net"]}
        for row in paths(frame).to_dicts()
    ]


def paths_figure(frame: pl.DataFrame) -> Figure:
    """A line for each net, a dot for each snapshot."""
    sheet = Sheet(paths_finding(frame), paths_reading(frame), 4.3)
    scale(sheet, "start of training", "end of training")
    axes = sheet.axes(0.35, sheet.top, 6.9, 3.65)
    own = paths(frame)
    lines = [part.select("x", "y").to_numpy() for _, part in own.group_by("net")]
    axes.add_collection(LineCollection(lines, colors=RULE, linewidths=0.6, zorder=1))
    colors = mpl.colormaps[SCALE](own["fraction"].to_numpy())
    axes.scatter(own["x"], own["y"], 7, c=colors, linewidths=0, zorder=2)
    _blank(axes)
    axes.set_xlabel("first principal component", fontsize=8, color=MUTED)
    axes.set_ylabel("second", fontsize=8, color=MUTED)
    return sheet.finish()


def paths_section(frame: pl.DataFrame) -> Section:
    """The page's section of the paths."""
    return Section(
        "paths",
        "What",
        "Paths during training",
        "paths during training",
        paths_finding(frame),
        paths_reading(frame),
        paths_rows(frame),
        frame.clear(),
        key=(("scale", "from the start (left) to the end of training"),),
        note="The coordinates of all points are in map.parquet.",
        chart=lambda: paths_chart(),
        draw=lambda: paths_figure(frame),
    )
