"""An evaluation as a Markdown table, for a repository or a paper's notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightspace.report.headline import headline
from weightspace.report.rows import reach
from weightspace.report.words import count, interval, label, percent

if TYPE_CHECKING:
    from weightspace.meta import Evaluation

_COLUMNS = (
    "property",
    "accuracy",
    "95 % interval",
    "chance",
    "shallow",
    "meaningless labels",
    "verdict",
)


def markdown(evaluation: Evaluation, unit: str = "slice") -> str:
    """The table that `table` draws in a terminal, as text; `unit` is "slice" or "net"."""
    head = headline(evaluation.frame(), unit)
    caption = f"Read off {head.source} by `{head.classifier}`, {count(head.lines[0].n_nets, 'net')}"
    rows = [_COLUMNS, ("---",) + ("---:",) * 5 + ("---",)]
    rows += [
        (
            label(line.name).replace("|", "\\|"),
            f"**{percent(line.accuracy)}**" if line.shown else percent(line.accuracy),
            interval(line.low, line.high),
            percent(line.chance),
            percent(line.shallow.value if line.shallow else None),
            reach(line.control),
            line.verdict,
        )
        for line in head.lines
    ]
    return caption + ":\n\n" + "".join("| " + " | ".join(row) + " |\n" for row in rows)
