"""Results as tables for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from weightspace.report.headline import headline
from weightspace.report.rows import reach
from weightspace.report.words import count, interval, label, percent

if TYPE_CHECKING:
    from weightspace.meta.evaluation import Evaluation


def table(evaluation: Evaluation, unit: str = "slice") -> Table:
    """An evaluation by property, the most legible first, with a plain verdict.

    `unit` is "slice" or "net". The verdict is "encoded" where the 95 % interval lies wholly above
    chance and above the control's interval, "not shown" otherwise.
    """
    head = headline(evaluation.frame(), unit)
    nets = count(head.lines[0].n_nets, "net")
    drawn = _table(f"Read off {head.source} by {head.classifier}, {nets}")
    drawn.add_column("property", no_wrap=True)
    for name in ("accuracy", "95 % interval", "chance", "shallow", "meaningless labels"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    for line in head.lines:
        drawn.add_row(
            # Text, not str: brackets in a name are no markup.
            Text(label(line.name)),
            Text(percent(line.accuracy), style="bold" if line.encoded else ""),
            interval(line.low, line.high),
            percent(line.chance),
            percent(line.shallow.value if line.shallow else None),
            reach(line.control),
            Text(line.verdict, style="green" if line.encoded else "dim"),
        )
    return drawn


def _table(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
