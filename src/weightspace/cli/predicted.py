"""The text output of `predict`: a table for one file, a row a file for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from weightspace.cli.show import WIDTH, plain_table, safe, terminal
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.audit.readings import Prediction
    from weightspace.meta import Reading

_CELL = 17


def predictions(results: Sequence[Prediction]) -> None:
    """Print a model's readings: of one file with the tensors used, of several a row for each."""
    if len(results) == 1:
        _one(results[0])
        return
    properties = list(results[0].answer.readings)
    reasons = any(result.answer.outside for result in results)
    drawn = plain_table(
        "file", *properties, *(["outside of the model's population"] if reasons else [])
    )
    drawn.columns[0].no_wrap = True
    for result in results:
        own = result.answer.readings.values()
        cells = [Text("" if result.answer.outside else _cell(one)) for one in own]
        why = [safe(_first(result.answer.reasons))] if reasons else []
        drawn.add_row(safe(result.checkpoint.path), *cells, *why)
    console = terminal()
    longest = max(len(str(result.checkpoint.path)) for result in results)
    wide = longest + _CELL * len(properties) + 100 * reasons
    if not console.is_terminal:
        console = Console(highlight=False, width=max(WIDTH, wide))
    console.print(drawn)
    console.print(
        "A level and its probability; with ?, only if the net is of one of the model's levels. "
        "Predict one file alone to see more."
    )


def _first(reasons: Sequence[str]) -> str:
    """The first reason, and how many more there are."""
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{reasons[0]}{more}" if reasons else ""


def _cell(one: Reading) -> str:
    if one.level is None:
        return "none of these?"
    if one.source == "shapes" or one.probability is None:
        return printable(one.level)
    unsure = "?" if one.conditional else ""
    return f"{printable(one.level)}{unsure} {100 * one.probability:.0f} %"


def _one(result: Prediction) -> None:
    from weightspace.report import answer_table

    checkpoint, answer = result.checkpoint, result.answer
    terminal().print(safe(checkpoint.path, "bold"))
    if answer.outside:
        terminal().print(
            Text("Outside of the model's population, so nothing is read:", style="bold red")
        )
        for reason in answer.reasons:
            terminal().print(safe(f"  {reason}"), soft_wrap=True)
    else:
        terminal().print(answer_table(answer))
    for finding in checkpoint.findings:
        terminal().print(safe(f"{finding.kind}: {finding}"))
    if checkpoint.others:
        key, others = checkpoint.key or "the whole content", ", ".join(checkpoint.others[:10])
        terminal().print(safe(f"read the state dict {key}; others in the file: {others} (--key)"))
    used = len(checkpoint.used)
    terminal().print(f"{checkpoint.vector.size:,} values of {used} tensors were read")
    for note in checkpoint.skipped:
        terminal().print(Text(f"skipped {printable(note.name)}: {printable(note.reason)}"))
