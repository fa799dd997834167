"""The sheet of every printed figure: typeface, colours, title, panels.

It uses matplotlib's object interface only, without pyplot and rcParams, so drawing a figure changes
no global state.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from weightspace.disk import inner_of, write_file
from weightspace.errors import UsageError
from weightspace.report.claims.words import label, tight

# Comparisons are blue against orange, which people with common colour blindness can distinguish.
INK = "#1d2329"
MUTED = "#68717a"
RULE = "#d9dde1"
BAND = "#e7eaed"
BLUE = "#2f6ea3"
ORANGE = "#c4622d"
SERIES = (BLUE, ORANGE, "#3b8a5a", "#8a4f9e", "#a3892a", "#4aa3b8", "#9c3b4f", "#6b7280")

WIDTH = 7.6
"""The width of every figure in inches: that of a text column on A4."""

_LEFT, _RIGHT = 0.12, 0.12
_FAMILIES = ("Source Sans 3", "Inter", "Helvetica Neue", "Helvetica", "Arial", "Liberation Sans")


class Sheet:
    """A figure under construction; lengths are inches from the top left corner."""

    def __init__(self, title: str, reading: str, body: float) -> None:
        """Start a sheet: its finding as title, how to read it below, the height of its body."""
        room = WIDTH - 2 * _LEFT
        titles = wrap(tight(title), 12.5, room, "bold")
        readings = wrap(tight(reading), 8.5, room)
        self.top = 0.12 + 0.22 * len(titles) + 0.155 * len(readings) + 0.16
        self.height = self.top + body
        self.figure = Figure(figsize=(WIDTH, self.height))
        self.figure.set_facecolor("white")
        self.write(_LEFT, 0.12, "\n".join(titles), size=12.5, weight="bold", va="top")
        below = 0.12 + 0.22 * len(titles) + 0.05
        self.write(_LEFT, below, "\n".join(readings), size=8.5, color=MUTED, va="top")

    def write(self, x: float, y: float, text: str, size: float = 8.5, **style: Any) -> Text:
        """Write text at a point of the sheet."""
        given: dict[str, Any] = {"color": INK, "ha": "left", "linespacing": 1.25}
        # A data set may be called "$x$": text from outside is never read as mathematics.
        given |= {"parse_math": False, "fontsize": size} | style
        return self.figure.text(x / WIDTH, 1 - y / self.height, text, **given)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Add axes with their top left corner at a point, without frame, ticks or grid."""
        box = (x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box)
        axes.set_facecolor("none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, labelsize=8, labelcolor=MUTED, pad=3)
        return axes

    def finish(self) -> Figure:
        """Return the figure, with all text in one typeface."""
        family = typeface()
        for axes in self.figure.axes:
            axes.tick_params(labelfontfamily=family)
        for text in self.figure.findobj(Text):
            text.set_fontfamily(family)
        return self.figure


@cache
def typeface() -> str:
    """The first installed typeface of a short list of sans serifs; else matplotlib's default."""
    installed = set(font_manager.get_font_names())
    return next((name for name in _FAMILIES if name in installed), "DejaVu Sans")


def text_width(text: str, size: float, weight: str = "normal") -> float:
    """The width of a line of text, in inches; `size` in points."""
    font = font_manager.FontProperties(family=typeface(), weight=weight, size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / 72


def wrap(text: str, size: float, width: float, weight: str = "normal") -> list[str]:
    """The text in lines of at most `width` inches; a longer word is not broken."""
    lines: list[str] = []
    # A drawing with few dots per inch rounds the width of letters, up more often than down.
    width *= 0.98
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


class Grid:
    """Small multiples on a sheet: a panel for each property, with equal scales, row by row."""

    def __init__(
        self,
        n: int,
        columns: int,
        height: float,
        *,
        left: float = 0.42,
        gap: float = 0.2,
        foot: float = 0.24,
    ) -> None:
        """Lay out `n` panels; lengths are in inches.

        `height` is the height of a panel with its title and axis. Labels of axes stand in `left`
        of every row, in a `gap` between panels and in the `foot` of each panel.
        """
        self.columns = min(columns, max(1, n))
        self.rows = -(-n // self.columns)
        self.height, self.left, self.gap, self.foot = height, left, gap, foot
        self.n = n

    @property
    def body(self) -> float:
        """The height of all rows, in inches."""
        return self.rows * self.height + 0.06

    def panel(self, sheet: Sheet, index: int, title: str) -> Axes:
        """The axes of a panel, with its title above."""
        row, column = divmod(index, self.columns)
        pitch = (WIDTH - self.left - _RIGHT) / max(self.columns, 2)
        x, y = self.left + column * pitch, sheet.top + row * self.height
        sheet.write(x, y + 0.17, label(title), size=9, weight="bold", va="baseline")
        return sheet.axes(x, y + 0.26, pitch - self.gap, self.height - 0.26 - self.foot)

    def first_in_row(self, index: int) -> bool:
        """Whether a panel stands at the left edge, where the axis is labelled."""
        return index % self.columns == 0

    def last_in_column(self, index: int) -> bool:
        """Whether no panel stands below, so that the axis is labelled."""
        return index + self.columns >= self.n


Sign = tuple[str, str, dict[str, Any]]
"""A sign of a key: its text, its kind ("line", "dot", "tick" or "band") and its style."""

KEY = 0.3
"""The height of a key, in inches."""


def key(sheet: Sheet, signs: Sequence[Sign]) -> None:
    """Draw the key in one line on top of the sheet's body; the body moves below it."""
    left = 0.42
    axes = sheet.axes(left, sheet.top, WIDTH - left, 0.22)
    axes.set_xlim(0, WIDTH - left)
    axes.set_ylim(-1, 1)
    axes.set_xticks([])
    axes.set_yticks([])
    x = 0.12
    for text, kind, style in signs:
        if kind == "band":
            axes.barh(0, 0.24, 1.3, x - 0.12, **style)
        elif kind == "tick":
            axes.plot([x, x], [-0.7, 0.7], **style)
        else:
            ends = [x] if kind == "dot" else [x - 0.12, x + 0.12]
            axes.plot(ends, [0] * len(ends), **style)
        axes.text(x + 0.19, -0.05, text, fontsize=8, color=MUTED, va="center", parse_math=False)
        x += 0.58 + text_width(text, 8)
    sheet.top += KEY


def percent_ticks(axes: Axes, axis: str, ticks: Sequence[float], labelled: bool = True) -> None:
    """Set ticks in percent with thin grid lines, on the axis `x` or `y`."""
    names = [f"{100 * t:.0f} %" if labelled else "" for t in ticks]
    (axes.set_xticks if axis == "x" else axes.set_yticks)(list(ticks), names)
    if axis == "x":
        ends_inward(axes)
    axes.grid(axis=axis, color=RULE, linewidth=0.6)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def ends_inward(axes: Axes) -> None:
    """Keep the labels of both ends of the horizontal axis within the panel."""
    ticks = axes.get_xticklabels()
    if len(ticks) > 1:
        ticks[0].set_horizontalalignment("left")
        ticks[-1].set_horizontalalignment("right")


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure to a file without a date, so that equal figures give equal files.

    A file of that name is replaced, and so is a link.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure, as `figures` or `Display.plot` returns it.
    path : str or Path
        The file. Its suffix is the format: `.png` (150 dots per inch), `.svg` or `.pdf`.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    UsageError
        If the suffix is another one.
    """
    path = Path(path)
    if path.suffix not in _METADATA:
        raise UsageError(path, f"figures are saved as {', '.join(_METADATA)}", "change the suffix")
    write_file(inner_of(path), drawn(figure, path.suffix))
    return path


def drawn(figure: Figure, suffix: str) -> bytes:
    """The bytes of a figure's file, in the format of this suffix."""
    buffer = BytesIO()
    metadata = {_METADATA[suffix]: None}
    with rc_context({"svg.hashsalt": "weightspace"}):  # else the names in a file are random
        figure.savefig(buffer, format=suffix[1:], dpi=150, metadata=metadata)
    return buffer.getvalue()


_METADATA = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
