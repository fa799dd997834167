"""The comparison of two nets as text: its verdict, and a table of their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weightspace.evidence import Comparison, TensorPair

_COLUMNS = ("A", "B", "shape", "relation", "correlation", "p")
_SHOWN = 20
_NAMED = 5


def comparison_lines(found: Comparison, every: bool = False, remedy: str = "") -> Iterator[str]:
    """The lines that `weightspace compare` prints.

    Parameters
    ----------
    found : Comparison
        As `compare` returns it.
    every : bool
        Whether to list all tensors; otherwise the first 20 kernels.
    remedy : str
        What lists those that are left out, for the last line.

    Yields
    ------
    str
    """
    for name, text in _facts(found):
        yield f"{name:<14}{text}".rstrip()
    shown = found.tensors if every else kernels(found)[:_SHOWN]
    if shown:
        yield ""
    yield from _table(shown)
    if left := len(found.tensors) - len(shown):
        yield f"{left:,} more {'tensor' if left == 1 else 'tensors'}{remedy}"


def without_partner(found: Comparison) -> Iterator[tuple[str, str]]:
    """Where tensors are that the other net lacks, and their names, the first of many."""
    for where, names in (("only in A", found.only_first), ("only in B", found.only_second)):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            yield where, ", ".join(names[:_NAMED]) + more


def kernels(found: Comparison) -> tuple[TensorPair, ...]:
    """The pairs of kernels; all pairs if there are none."""
    return tuple(pair for pair in found.tensors if len(pair.shape) > 1) or found.tensors


def table(pairs: Sequence[TensorPair]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The headings and rows of pairs; without the names of B if all are those of A."""
    rows: list[tuple[str, ...]] = [_row(pair) for pair in pairs]
    if any(cells[1] for cells in rows):
        return _COLUMNS, rows
    return ("tensor", *_COLUMNS[2:]), [(cells[0], *cells[2:]) for cells in rows]


def _row(pair: TensorPair) -> tuple[str, str, str, str, str, str]:
    """A pair of tensors as the texts of `_COLUMNS`; B is empty if its name is the same."""
    correlation = "" if pair.correlation is None else f"{pair.correlation:.3f}"
    p_value = f"({pair.note})" if pair.note else ""
    p_value = f"{pair.p_value:.2g}" if pair.p_value is not None else p_value
    shape = "x".join(map(str, pair.shape)) or "1"
    other = "" if pair.second == pair.first else pair.second
    return pair.first, other, shape, pair.relation, correlation, p_value


def _facts(found: Comparison) -> Iterator[tuple[str, str]]:
    yield "A", found.first
    yield "B", found.second
    yield "verdict", found.verdict
    if found.decided:
        yield "strength", found.strength
    for sentence in found.says:
        yield "", sentence
    yield from without_partner(found)


def _table(pairs: Sequence[TensorPair]) -> Iterator[str]:
    if not pairs:
        return
    names, rows = table(pairs)
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for cells in (names, *rows):
        padded = [f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)]
        yield "  ".join(padded).rstrip()
