"""The leaderboard of the benchmark as a figure: a row for each encoder, best first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from weightspace.bench import Result
from weightspace.errors import UsageError
from weightspace.report.drawing import canvas
from weightspace.report.drawing.canvas import BLUE, INK, MUTED, ORANGE, SERIES, WIDTH, Sheet

_TASKS = (
    ("properties", "test nets", "o", BLUE, 5.0),
    ("outside", "nets of another program", "D", ORANGE, 3.6),
    ("without ", "held-out levels", "s", SERIES[2], 3.6),
    ("control", "permuted labels", "x", MUTED, 4.0),
)
_APART = {"properties": -0.2, "outside": 0.0, "without ": 0.2, "control": 0.0}
_ROW, _LEFT, _FOOT = 0.34, 1.75, 0.22


def leaderboard_figure(results: Sequence[Result]) -> Figure:
    """Draw how well encoders read the properties of one population.

    Parameters
    ----------
    results : sequence of Result
        Results of one population, judged by the same nets.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        If there are no results, or they are of several populations or judges.
    """
    if len({(one.population, one.judged) for one in results}) != 1:
        raise UsageError("results", "a figure is of one population and judge", "name such results")
    ranked = sorted(results, key=lambda one: -one.accuracy.value)
    first = ranked[0]
    chances = [one.chance for one in first.of("properties") if one.levels]
    chance = sum(chances) / len(chances)
    judges = len(first.of("properties")[0].nets)
    sheet = Sheet(
        f"{first.encoder} is right in {100 * first.accuracy.value:.0f} % of answers; "
        f"chance is {100 * chance:.0f} %",
        f"Class-balanced accuracy, mean of {len(chances)} properties of {judges} {first.judged} "
        f"nets of {first.population}; lines: 95 % bootstrap intervals over nets; dashed: chance.",
        0.36 + _ROW * len(ranked) + _FOOT,
    )
    canvas.key(sheet, [(text, "dot", _style(sign, colour, size))
                       for task, text, sign, colour, size in _TASKS if first.of(task)])  # fmt: skip
    axes = sheet.axes(_LEFT, sheet.top, WIDTH - _LEFT - 0.2, _ROW * len(ranked))
    axes.set_ylim(len(ranked) - 0.5, -0.5)
    axes.set_yticks([])
    _scale(axes, ranked)
    axes.axvline(chance, color=MUTED, linewidth=0.9, linestyle=(0, (3, 2)))
    for place, one in enumerate(ranked):
        at = sheet.top + _ROW * (place + 0.5)
        sheet.write(_LEFT - 0.12, at, one.label, ha="right", va="center", color=INK)
        _row(axes, place, one)
    return sheet.finish()


def _row(axes: Axes, place: int, result: Result) -> None:
    """The accuracies of one encoder, with their intervals, a little apart."""
    for task, _, sign, colour, size in _TASKS:
        found = result.mean(task)
        if found is not None:
            y = place + _APART[task]
            axes.plot([found.low, found.high], [y, y], color=colour, linewidth=1.2)
            axes.plot([found.value], [y], **_style(sign, colour, size))


def _scale(axes: Axes, results: Sequence[Result]) -> None:
    """An axis in tens of percent that holds all intervals."""
    found = [one.mean(task) for one in results for task, *_ in _TASKS]
    low = min(one.low for one in found if one is not None)
    high = max(one.high for one in found if one is not None)
    ticks = [t / 10 for t in range(int(10 * low), int(10 * high) + 2) if t <= 10]
    axes.set_xlim(ticks[0], ticks[-1])
    canvas.percent_ticks(axes, "x", ticks)


def _style(sign: str, colour: str, size: float) -> dict[str, Any]:
    return {"marker": sign, "color": colour, "markersize": size, "linestyle": "none"}
