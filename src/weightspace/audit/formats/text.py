"""Audits as text for a terminal: verdicts first, aligned, wrapped to its width."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from weightspace.audit.auditing import Audit
from weightspace.audit.findings import Finding
from weightspace.audit.formats.outcome import (
    Outcome,
    headline,
    in_order,
    reading_text,
    readings_title,
    reason,
    value_of,
)
from weightspace.audit.verdicts import Verdict
from weightspace.printable import printable

_WIDEST = 120
_LONGEST = 1000  # characters of a sentence
_LONGEST_VALUE = 24
_LEAST = 28  # columns for a text behind a head
_SHOWN = 12  # findings
_VERDICT = len("contradicted")


def text(outcomes: Sequence[Outcome], width: int | None = None) -> str:
    """Audits as text.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The audits, or reasons why there are none. Those of files that cannot be read are left out:
        the command prints them as errors.
    width : int, optional
        Columns; by default those of the terminal, at most 120.

    Returns
    -------
    str
    """
    columns = width or min(shutil.get_terminal_size((100, 24)).columns, _WIDEST)
    audits = [one.audit for one in outcomes if one.audit is not None]
    return "\n\n".join("\n".join(_lines(one, columns)) for one in audits)


def _lines(audit: Audit, width: int) -> Iterator[str]:
    yield f"{printable(audit.file, width)}: {headline(audit)}"
    if audit.verdicts:
        yield ""
        names = max(len(one.claim.name) for one in audit.verdicts)
        values = max(len(_value(one)) for one in audit.verdicts)
        told: set[str] = set()
        for one in in_order(audit):
            yield from _verdict(one, names, min(values, _LONGEST_VALUE), width, told)
    yield from _findings(audit, width)
    yield from _readings(audit, width)


def _verdict(one: Verdict, names: int, values: int, width: int, told: set[str]) -> Iterator[str]:
    """A verdict and its reasons, without sentences that were told before."""
    name = printable(one.claim.name, 80)
    head = f"{one.verdict:<{_VERDICT}}  {name:<{names}}  {_value(one):<{values}}  "
    indent = " " * (_VERDICT + 2)
    if len(head) > width - _LEAST:
        yield head.rstrip()
        head = indent
    yield from _wrapped(head, one.strength, width)
    for line in _reasons(one):
        if line not in told:
            told.add(line)
            yield from _wrapped(indent, line, width)


def _reasons(one: Verdict) -> Iterator[str]:
    if said := reason(one):
        yield said
        return
    told = [bearing.evidence.says for bearing in one.bearings] + [e.says for e in one.about]
    yield from list(dict.fromkeys(told))[:2]
    if one.decides:
        yield f"to decide it: {one.decides}"


def _value(one: Verdict) -> str:
    return printable(value_of(one), _LONGEST_VALUE - 3)  # and three points


def _findings(audit: Audit, width: int) -> Iterator[str]:
    judged = {one.claim.name for one in audit.verdicts}
    left = [one for one in audit.findings if one.claim not in judged or not one.claim]
    if not left:
        return
    yield ""
    yield "what else can be said" if audit.verdicts else "what can be said, most certain first"
    shown = left[:_SHOWN]
    names = max(len(_name(one)) for one in shown)
    for one in shown:
        yield from _wrapped(f"  {_name(one):<{names}}  ", one.text, width)
    if len(left) > _SHOWN:
        yield f"  and {len(left) - _SHOWN} more, which the JSON has"


def _readings(audit: Audit, width: int) -> Iterator[str]:
    """What a model reads, with how often such answers were right; no value where it has none."""
    if audit.readings is None:
        return
    yield ""
    yield readings_title(audit.readings)
    names = max((len(str(one["property"])) for one in audit.readings), default=0)
    for one in audit.readings:
        head = f"  {printable(str(one['property']), 40):<{names}}  "
        yield from _wrapped(head, reading_text(one), width)


def _name(one: Finding) -> str:
    return printable(one.claim or one.kind, 40)


def _wrapped(head: str, said: str, width: int) -> list[str]:
    """The text behind a head, its further lines below it."""
    plain = printable(said, _LONGEST)
    indent = " " * min(len(head), max(width - _LEAST, 8))
    lines = textwrap.wrap(
        plain, max(width, 40), initial_indent=head, subsequent_indent=indent,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.rstrip() for line in lines] or [head.rstrip()]
