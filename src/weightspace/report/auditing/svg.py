"""Charts as SVG in the colours of the page; text in them is escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

WIDTH = 400
"""The width of every chart. A page shows it about as large, on a desk and on a phone."""

_LETTER = 6.3  # pixels of a letter, about
_SHADES = 8


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart: its name, its share of the width from 0 to 1, the text behind it.

    Without a share it is a line of text above other rows.
    """

    name: str
    share: float | None
    text: str = ""
    colour: str = "blue"
    bold: bool = False


def drawing(height: float, title: str, parts: Iterable[Markup], width: float = WIDTH) -> Markup:
    """A drawing of some parts, with a title for those who do not see it."""
    head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    inner = Markup("").join(parts)
    return head.format(number(width), number(height), title) + inner + Markup("</svg>")


def text(
    x: float, y: float, said: str, *, anchor: str = "start", kind: str = "", bold: bool = False
) -> Markup:
    """A line of text; `kind` "muted" makes it less."""
    names = " ".join(filter(None, (kind, "bold" if bold else "")))
    shape = Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>')
    return shape.format(number(x), number(y), anchor, names, said)


def box(x: float, y: float, width: float, height: float, colour: str, opacity: float = 1) -> Markup:
    """A rectangle in a colour of the style sheet."""
    shape = Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" fill="var(--{})" fill-opacity="{}"/>'
    )
    sizes = map(number, (x, y, max(width, 0), max(height, 0)))
    return shape.format(*sizes, colour, number(opacity))


def line(
    x: float, y: float, to_x: float, to_y: float, colour: str = "muted", dashed: bool = False
) -> Markup:
    """A line in a colour of the style sheet."""
    dash = Markup(' stroke-dasharray="4 3"') if dashed else ""
    shape = Markup('<path d="M{} {}L{} {}" stroke="var(--{})"{}/>')
    return shape.format(*map(number, (x, y, to_x, to_y)), colour, dash)


def curve(points: Sequence[tuple[float, float]], colour: str, *, filled: bool = False) -> Markup:
    """A line through points, or the area below it down to the last point."""
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    if filled:
        return Markup('<path d="{}Z" fill="var(--{})" fill-opacity=".35"/>').format(path, colour)
    return Markup('<path d="{}" fill="none" stroke="var(--{})" stroke-width="1.6"/>').format(
        path, colour
    )


def bars(title: str, rows: Sequence[Bar], left: float, right: float, level: str = "",
         at: float = 0.0) -> Markup:  # fmt: skip
    """Bars below each other; `level` names a dashed line at a share of the width."""
    room, top, pitch = WIDTH - left - right, 20 if level else 2, 22
    parts = []
    if level:
        x = left + at * room
        parts += [
            line(x, top - 2, x, top + pitch * len(rows), dashed=True),
            text(x, 12, level, anchor="middle", kind="muted"),
        ]
    for place, row in enumerate(rows):
        y = top + pitch * place
        if row.share is None:
            parts.append(text(0, y + 15, short(row.name, WIDTH), bold=row.bold, kind="muted"))
            continue
        width = max(1.5, min(1.0, row.share) * room)
        parts += [
            text(left - 8, y + 15, short(row.name, left - 8), anchor="end", bold=row.bold),
            box(left, y + 4, width, 14, row.colour),
            text(left + width + 6, y + 15, row.text, kind="muted"),
        ]
    return drawing(top + pitch * len(rows) + 2, title, parts)


def image(
    title: str, values: NDArray[np.floating] | NDArray[np.bool_], colour: str, side: float = WIDTH
) -> Markup:
    """An image of numbers from 0 to 1 [H, W]: the more, the fuller the colour."""
    height, width = values.shape
    steps = np.clip(np.rint(values.astype(np.float64) * _SHADES), 0, _SHADES).astype(int)
    shape = Markup('<path d="{}" fill="var(--{})" fill-opacity="{}"/>')
    parts = [Markup('<rect width="{}" height="{}" fill="var(--sheet)"/>').format(width, height)]
    for step in range(1, _SHADES + 1):
        runs = "".join(_runs(steps == step))
        if runs:
            parts.append(shape.format(runs, colour, number(step / _SHADES)))
    inner = Markup("").join(parts)
    head = Markup(
        '<svg class="pixels" viewBox="0 0 {} {}" role="img" aria-label="{}" '
        'shape-rendering="crispEdges">'
    )
    return head.format(width, height, title) + inner + Markup("</svg>")


def _runs(chosen: NDArray[np.bool_]) -> Iterable[str]:
    """Chosen pixels as pieces of a path, those that touch in a row as one."""
    for y, row in enumerate(chosen):
        padded = np.diff(np.concatenate([[0], row.astype(np.int8), [0]]))
        for start, stop in zip(np.flatnonzero(padded > 0), np.flatnonzero(padded < 0), strict=True):
            yield f"M{start} {y}h{stop - start}v1h-{stop - start}z"


def short(said: str, room: float) -> str:
    """The text, cut to so many pixels; of long names the end says more than the beginning."""
    most = max(4, int(room / _LETTER))
    return said if len(said) <= most else f"…{said[1 - most :]}"


def number(value: float) -> str:
    """A coordinate with few digits.

    >>> number(2.0), number(0.12345)
    ('2', '0.12')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else "0"
