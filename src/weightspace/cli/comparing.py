"""The command `compare`, and its text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightspace.cli.arguments import Key
from weightspace.cli.output import Debug, answer
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.evidence import Comparison

_UNANSWERED = 3  # the exit code


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A checkpoint in any form.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one, in any form.")],
    key: Key = None,
    other_key: Annotated[
        str | None, typer.Option("--other-key", help="The state dict of B, if it holds several.")
    ] = None,
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of text.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say whether two checkpoints have a common origin.

    Equal, rounded, quantised, rescaled or permuted weights; fine-tuned from one another; the same
    initial weights; or unrelated, with an exact p-value. Nothing in the files is executed. The exit
    code is 0 if there is an answer, and 3 if the nets are not comparable or too small.
    """
    from weightspace.evidence import compare as look

    found = look(first, second, key=key, other_key=other_key)
    answer(as_json, found.to_dict(), lambda: _show(found, tensors))
    if not found.decided:
        raise typer.Exit(_UNANSWERED)


def _show(found: Comparison, every: bool) -> None:
    from weightspace.report.text.comparison import comparison_lines

    for line in comparison_lines(found, every, "; --tensors lists them"):
        print(printable(line, 4096))
