"""Results as tables for a terminal."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from weightspace.meta import BASELINE
from weightspace.report.claims.beside import SEEN, side_by_side
from weightspace.report.claims.headline import headline
from weightspace.report.claims.numbers import best_readers
from weightspace.report.claims.words import count, interval, label, percent
from weightspace.report.drawing.rows import reach

if TYPE_CHECKING:
    from weightspace.meta import Answer, Evaluation, Reading, Regression


WIDTH = 118


def table(evaluation: Evaluation, unit: str = "slice") -> Table:
    """Make the terminal table of an evaluation.

    Parameters
    ----------
    evaluation : Evaluation
        As `evaluate` returns it.
    unit : {"slice", "net"}
        Whether the accuracies are those of slices or of nets.

    Returns
    -------
    rich.table.Table
        A row for each property, the one predicted best first, with a verdict. `print` shows it too.

    Notes
    -----
    The verdict is "encoded" where the 95 % interval lies wholly above chance and above the
    control's interval, "above chance" where it lies above chance and no control was run, and
    "not shown" otherwise.
    """
    head = headline(evaluation.frame(), unit)
    nets = count(head.lines[0].n_nets, "net")
    drawn = _table(f"Predicted from {head.source} by {head.classifier}, {nets}{head.moment}")
    drawn.add_column("property", no_wrap=True)
    for name in ("accuracy", "95 % interval", "chance", "shallow", "permuted labels"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    for line in head.lines:
        drawn.add_row(
            # Text, not str: brackets in a name are no markup.
            Text(label(line.name)),
            Text(percent(line.accuracy), style="bold" if line.shown else ""),
            interval(line.low, line.high),
            percent(line.chance),
            percent(line.shallow.value if line.shallow else None),
            reach(line.control),
            Text(line.verdict, style="green" if line.shown else "dim"),
        )
    return drawn


def rival_tables(evaluation: Evaluation) -> list[Table]:
    """Make the terminal tables that compare classifiers with the same input.

    Parameters
    ----------
    evaluation : Evaluation
        As `evaluate` returns it.

    Returns
    -------
    list of rich.table.Table
        One table for slices and one for whole nets, each only where at least two classifiers
        besides the baseline read them; none where the hits of single nets were not kept. The
        first column is the best classifier's accuracy. The others are differences from it on the
        same nets, in percentage points, with their 95 % intervals.
    """
    if evaluation.hits is None:
        return []
    drawn, beside = [], side_by_side(evaluation)
    for seen in (SEEN[0], SEEN[2]):
        own = beside.filter(pl.col("classifier") != BASELINE, seen=seen)
        names = own["classifier"].unique(maintain_order=True).to_list()
        if len(names) > 1:
            drawn.append(_rivals(own, names, "slices" if seen == SEEN[0] else "whole nets"))
    return drawn


def _rivals(own: pl.DataFrame, names: list[str], read: str) -> Table:
    drawn = _table(f"From {read}, in points relative to {names[0]}")
    drawn.add_column("property", no_wrap=True)
    for name in names:
        drawn.add_column(name, justify="right")
    for (name,), rows in own.group_by("property", maintain_order=True):
        known = {row["classifier"]: row for row in rows.to_dicts()}
        cells = [percent(known[names[0]]["accuracy"])]
        for row in (known[rival] for rival in names[1:]):
            spans = [f"{round(-100 * row[end]):+d}" for end in ("drop", "drop_high", "drop_low")]
            cells.append(f"{spans[0]} ({spans[1]} to {spans[2]})")
        drawn.add_row(Text(label(str(name))), *cells)
    return drawn


def number_table(regression: Regression) -> Table:
    """Make the terminal table of a regression.

    Parameters
    ----------
    regression : Regression
        As `regress` returns it.

    Returns
    -------
    rich.table.Table
        A row for each target with R2 and Kendall's tau of its best classifier.

    Notes
    -----
    The verdict is "encoded" where the intervals of both lie above 0 and above their controls,
    "above chance" where they lie above 0 and no control was run, and "not shown" otherwise.
    """
    drawn = _table("Numbers, predicted for nets outside the training set")
    for name in ("number", "read from"):
        drawn.add_column(name, no_wrap=True)
    for name in ("R²", "95 % interval", "Kendall's tau", "95 % interval"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    for row in best_readers(regression):
        shown = row["verdict"] != "not shown"
        drawn.add_row(
            Text(label(row["target"])),
            Text(row["source"]),
            Text(f"{row['r2']:.2f}", style="bold" if shown else ""),
            f"{row['r2_low']:.2f} to {row['r2_high']:.2f}",
            f"{row['tau']:.2f}",
            f"{row['tau_low']:.2f} to {row['tau_high']:.2f}",
            Text(row["verdict"], style="green" if shown else "dim"),
        )
    return drawn


def answer_table(answer: Answer) -> Table:
    """Make the terminal table of a model's answer about one vector.

    Parameters
    ----------
    answer : Answer
        As `Model.predict` returns it.

    Returns
    -------
    rich.table.Table
        A row for each property: the level that is read, its probability, how often such an answer
        was right for how many nets that no classifier had seen, the levels that are not ruled out,
        and for which share of nets of an unknown level no level is named. There are no rows if the
        vector is outside of the model's population; the caption says why.

    Notes
    -----
    A probability holds if the net is of one of the levels that the model knows.
    """
    drawn = _table(f"Read by {answer.classifier}")
    for name in ("property", "answer"):
        drawn.add_column(name, no_wrap=True)
    for name in ("probability", "right", "of nets"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("not ruled out")
    drawn.add_column("unknown level noticed", justify="right")
    for reading in answer.readings.values() if not answer.outside else ():
        drawn.add_row(Text(label(reading.property)), *_cells(reading))
    drawn.caption = Text(_caption(answer))
    drawn.caption_justify = "left"
    return drawn


def _cells(reading: Reading) -> list[Text]:
    """The cells of a reading, beside its name."""
    if reading.source == "shapes":
        return [
            Text(reading.level or "", style="bold"),
            *_blank(3),
            Text("from the shapes"),
            Text(),
        ]
    if reading.probability is None:
        return [*_blank(4), Text(reading.reason), Text()]
    said = Text(reading.level, style="bold") if reading.level else Text("none?", style="dim")
    if reading.level and reading.conditional:
        said = Text(f"{reading.level}, if known")
    counted = f"{reading.right_nets:,}" if reading.right is not None else ""
    possible = Text(", ".join(reading.possible) or "none of these")
    told = "" if reading.told is None else percent(reading.told)
    chances = (percent(reading.probability), percent(reading.right), counted)
    cells = [Text(one) for one in chances] if reading.level else _blank(3)
    if not reading.level and reading.low <= reading.chance:
        possible = Text("all: predicted no better than by chance")
    return [said, *cells, possible, Text(told)]


def _blank(count: int) -> list[Text]:
    return [Text("")] * count


def _caption(answer: Answer) -> str:
    if answer.outside:
        return f"Outside of the model's population: {'; '.join(answer.reasons)}."
    share, limit = f"{100 * (answer.novelty or 0):.1f} %", f"{100 * answer.novelty_limit:.1f} %"
    return (
        f"Inside the model's population: {share} of its features lie beyond the middle 99 % of "
        f"the population's (limit {limit}). "
        "Right: how often such answers were, for nets that no classifier had seen. If known: only "
        "if the net is of a level that the model knows; the last column says how many nets of "
        "other levels were noticed."
    )


class Shown(Table):
    """A rich table that `print` shows as a table, too."""

    def __str__(self) -> str:
        # In a notebook rich would show the table at once, and leave nothing to print.
        file = StringIO()
        console = Console(width=WIDTH, file=file, color_system=None, force_jupyter=False)
        console.print(self)
        lines = file.getvalue().splitlines()
        return "\n".join(line.rstrip() for line in lines)


def _table(title: str) -> Shown:
    return Shown(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
