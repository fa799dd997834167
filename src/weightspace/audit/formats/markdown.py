"""Audits as Markdown for a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from weightspace.audit.auditing import Audit
from weightspace.audit.formats.outcome import Outcome, headline, in_order, reason, value_of
from weightspace.audit.verdicts import Verdict
from weightspace.printable import printable

_SIGNS = {"contradicted": "❌", "consistent": "✅", "undecidable": "❔"}
_SHOWN = 12  # findings
_LONGEST = 400  # characters of a cell
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~@$&])")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Audits as Markdown: a table of verdicts a file, and what else can be said.

    Parameters
    ----------
    outcomes : sequence of Outcome
        The audits, or reasons why there are none.

    Returns
    -------
    str
    """
    return "\n\n".join("\n".join(_section(one)) for one in outcomes)


def _section(one: Outcome) -> Iterator[str]:
    yield f"### {escaped(one.file)}"
    yield ""
    if one.audit is None:
        yield f"⚠️ cannot be read: {escaped(one.error)}"
        return
    yield f"{headline(one.audit)}{f' (claims of {escaped(one.card)})' if one.card else ''}"
    if one.audit.verdicts:
        yield ""
        yield "| | claim | value | verdict | evidence |"
        yield "|---|---|---|---|---|"
        for verdict in in_order(one.audit):
            yield _row(verdict)
    yield from _findings(one.audit)


def _row(one: Verdict) -> str:
    said = escaped(reason(one)) or (f"to decide it: {one.decides}" if one.decides else "")
    cells = (
        _SIGNS[one.verdict],
        escaped(one.claim.name),
        escaped(value_of(one)),
        f"**{one.verdict}**: {escaped(one.strength)}",
        said,
    )
    return f"| {' | '.join(cells)} |"


def _findings(audit: Audit) -> Iterator[str]:
    judged = {one.claim.name for one in audit.verdicts}
    left = [one for one in audit.findings if one.claim not in judged or not one.claim]
    if not left:
        return
    yield ""
    yield f"<details><summary>What else can be said ({len(left)})</summary>"
    yield ""
    for one in left[:_SHOWN]:
        yield f"- {escaped(one.claim or one.kind)}: {escaped(one.text)}"
    yield ""
    yield "</details>"


def escaped(said: str) -> str:
    r"""Text from outside as one line of Markdown that means nothing but itself.

    >>> print(escaped("[x](http://a) | <b>"))
    \[x\]\(http://a\) \| \<b\>
    """
    return _SPECIAL.sub(r"\\\1", printable(said, _LONGEST))
