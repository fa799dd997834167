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
        A row for each property: the predicted level, its probability, and the accuracy of the
        classifier on test nets.

    Notes
    -----
    A prediction is trusted only where the vector is like the nets that the model was trained on,
    and where the 95 % interval of the classifier's accuracy lies above chance. The last column
    says which of the two conditions fails.
    """
    drawn = _table(f"Read by {answer.classifier}")
    for name in ("property", "answer"):
        drawn.add_column(name, no_wrap=True)
    for name in ("probability", "right in", "95 % interval", "chance"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("worth", no_wrap=True)
    for reading in answer.readings.values():
        worth = _worth(reading, answer.outside)
        trusted = worth == "trusted"
        drawn.add_row(
            Text(label(reading.property)),
            Text(reading.level, style="bold" if trusted else "dim"),
            percent(reading.probabilities[reading.levels.index(reading.level)]),
            percent(reading.accuracy),
            interval(reading.low, reading.high),
            percent(reading.chance),
            Text(worth, style="green" if trusted else "yellow"),
        )
    drawn.caption = Text(_caption(answer))
    drawn.caption_justify = "left"
    return drawn


def _worth(reading: Reading, outside: bool) -> str:
    if reading.low <= reading.chance:
        return "no better than chance"
    return "unlike the training nets" if outside else "trusted"


def _caption(answer: Answer) -> str:
    share, limit = f"{100 * answer.novelty:.1f} %", f"{100 * answer.novelty_limit:.1f} %"
    beyond = f"{share} of its features lie outside the middle 99 % of the training nets"
    if answer.outside:
        return f"Unlike the training nets: {beyond} (limit {limit}). Do not trust any answer."
    return f"Like the training nets: {beyond} (limit {limit})."


class Shown(Table):
    """A rich table that `print` shows as a table, too."""

    def __str__(self) -> str:
        console = Console(width=WIDTH, file=StringIO(), color_system=None)
        console.print(self)
        lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
        return "\n".join(line.rstrip() for line in lines)


def _table(title: str) -> Shown:
    return Shown(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False
    )
