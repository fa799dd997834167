"""The command `compare`, and its text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weightspace.cli.arguments import Key
from weightspace.cli.output import Debug, answer
from weightspace.printable import printable

if TYPE_CHECKING:
    from weightspace.evidence import Comparison
    from weightspace.evidence.comparison import TensorPair

_SHOWN = 20
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
    for name, text in _lines(found):
        print(f"{name:<14}{printable(text, 4096)}".rstrip())
    shown = found.tensors if every else _kernels(found)[:_SHOWN]
    if shown:
        print()
    for line in _table(shown):
        print(printable(line, 4096))
    if left := len(found.tensors) - len(shown):
        print(f"{left:,} more {'tensor' if left == 1 else 'tensors'}; --tensors lists them")


def _lines(found: Comparison) -> Iterator[tuple[str, str]]:
    yield "A", found.first
    yield "B", found.second
    yield "verdict", found.verdict
    if found.decided:
        yield "strength", found.strength
    for sentence in found.says:
        yield "", sentence
    for name, names in (("only in A", found.only_first), ("only in B", found.only_second)):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield name, ", ".join(names[:5]) + more


def _kernels(found: Comparison) -> tuple[TensorPair, ...]:
    return tuple(pair for pair in found.tensors if len(pair.shape) > 1) or found.tensors


def _table(pairs: tuple[TensorPair, ...]) -> Iterator[str]:
    rows = [("A", "B", "shape", "relation", "correlation", "p")]
    for one in pairs:
        correlation = "" if one.correlation is None else f"{one.correlation:.3f}"
        p_value = f"({one.note})" if one.note else ""
        p_value = f"{one.p_value:.2g}" if one.p_value is not None else p_value
        shape = "x".join(map(str, one.shape)) or "1"
        other = "" if one.second == one.first else one.second
        rows.append((one.first, other, shape, one.relation, correlation, p_value))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False) if width]
        yield "  ".join([*cells, row[5]]).rstrip()
