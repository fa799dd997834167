"""`Section`: a figure of the page with its finding, how to read it, its chart and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from matplotlib.figure import Figure

from weightspace.report.drawing import rows

Key = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Section:
    """A figure of the page.

    `chart` makes the page's chart as a Vega-Lite specification, `draw` the same figure for print,
    under the same name. Both take time, so nothing is made before it is needed. `question` is the
    question that the figure helps to answer, `short` its name in the contents.

    `panels` names the panels; it is empty for one chart. Panels are properties, which a reader can
    choose, unless `chosen` is False. `details` are texts below the names of panels; `charts` makes
    the charts of single panels, where each has its own scale; `legends` are the levels that a
    panel's colours stand for. `wide` makes panels wider, so that names fit beside them. `broad`
    lets a reader scroll a chart of many columns sideways on a narrow page.

    `key` explains signs: the name of a sign in the page's template, and a text. `note` replaces
    the table of numbers where that is too long for the page.
    """

    name: str
    question: str
    kicker: str
    short: str
    title: str
    reading: str
    rows: list[dict[str, Any]]
    table: pl.DataFrame
    chart: Callable[[], dict[str, Any]] = field(kw_only=True)
    draw: Callable[[], Figure] = field(kw_only=True)
    panels: Sequence[str] = ()
    extra: list[dict[str, Any]] = field(default_factory=list)
    details: Mapping[str, str] = field(default_factory=dict)
    chosen: bool = True
    key: Key = ()
    note: str = ""
    wide: bool = False
    broad: bool = False
    legends: Mapping[str, Sequence[str]] = field(default_factory=dict)
    charts: Callable[[], Mapping[str, dict[str, Any]]] = dict

    @property
    def cells(self) -> tuple[list[str], list[list[str]]]:
        """The numbers behind the figure as headings and text."""
        return rows.cells(self.table)


def panels(frame: pl.DataFrame, order: Sequence[str], column: str = "property") -> list[str]:
    """The values of `column`, a panel each, in `order`."""
    return rows.ordered(frame[column].unique(maintain_order=True).to_list(), order)
