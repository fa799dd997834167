"""`audit_page`: one self-contained HTML page of an audit: verdicts, evidence, facts.

The page has no script and loads nothing; its content security policy forbids both. All text from
the file and from the card is escaped, and shown without control characters.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from weightspace.audit import Audit, Finding, Verdict
from weightspace.audit.formats.outcome import in_order, reading_text, readings_title
from weightspace.errors import SITE
from weightspace.printable import printable
from weightspace.report.auditing import words
from weightspace.report.auditing.cards import Card, card_of, cards, missing
from weightspace.report.auditing.documents import AUDITS
from weightspace.report.auditing.facts import fact_rows, layer_rows
from weightspace.report.claims.words import label, sentence
from weightspace.report.html.assets import environment, own

_PACKAGE = "weightspace.report.auditing"
_FILE = ("hostile", "code", "doubt")
_MOST_FINDINGS = 60
_POPULATION = "population around it"


@dataclass(frozen=True)
class Row:
    """A row of the table of verdicts."""

    claim: str
    value: str
    verdict: str
    strength: Markup
    reasons: list[str]
    decides: Markup
    links: list[tuple[str, str]]


def audit_page(audit: Audit, card: str = "") -> str:
    """Make the HTML page of an audit.

    Parameters
    ----------
    audit : Audit
        As `audit` returns it; with `traced=True` the page has all its pictures.
    card : str
        Where the claims come from, such as "README.md".

    Returns
    -------
    str
        The page, some 100 KB of HTML. It needs no network, and has no script.

    Examples
    --------
    >>> import tempfile, torch
    >>> from weightspace.audit import audit
    >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     torch.save(net.state_dict(), f"{folder}/net.pt")
    ...     found = audit(f"{folder}/net.pt", {"batch_norm": True}, traced=True)
    >>> "1 of 1 claim is contradicted: batch norm True" in audit_page(found)
    False
    """
    made = cards(audit)
    return environment(_PACKAGE).get_template("audit.html.jinja").render(
        title=words.headline(audit),
        lead=words.lead(audit, card),
        rows=list(_table(audit, made)),
        warnings=[_finding(one) for one in audit.findings if one.kind in _FILE],
        findings=[_finding(one) for one in _left(audit)][:_MOST_FINDINGS],
        cards=made,
        readings=list(_readings(audit)),
        readings_title=sentence(readings_title(audit.readings or ())),
        missing=missing(audit),
        facts=fact_rows(audit.facts),
        layers=layer_rows(audit.facts),
        how=words.HOW,
        about=SITE + AUDITS,
        style=Markup(own("page.css") + own("audit.css", _PACKAGE)),
        json=_encoded(audit),
        download=f"{words.name_of(audit)}.audit.json",
    )  # fmt: skip


def _table(audit: Audit, made: list[Card]) -> Iterator[Row]:
    """The verdicts in order; a sentence that was told is not told again."""
    told: set[str] = set()
    for one in in_order(audit):
        new = [text for text in words.reasons(one) if text not in told]
        told.update(new)
        yield _row(one, made, new)


def _row(one: Verdict, made: list[Card], reasons: list[str]) -> Row:
    about = (*(bearing.evidence for bearing in one.bearings), *one.about)
    laws = {card_of(evidence.law) for evidence in about if evidence.law != _POPULATION}
    links = [(card.anchor, card.title) for card in made if card.name in laws]
    if any(evidence.law == _POPULATION for evidence in about):
        links.append(("readings", sentence(_POPULATION)))
    return Row(
        words.claim_of(one),
        words.claimed_value(one),
        one.verdict,
        words.unbroken(one.strength),
        reasons,
        words.coded(one.decides),
        links,
    )


def _readings(audit: Audit) -> Iterator[tuple[str, str]]:
    """What a model or a population reads."""
    for one in audit.readings or ():
        yield (
            printable(label(str(one["property"])), 60),
            printable(reading_text(one), words.LONGEST),
        )


def _left(audit: Audit) -> list[Finding]:
    """What can be said beside the claims."""
    judged = {one.claim.name for one in audit.verdicts}
    return [one for one in audit.findings if one.kind not in _FILE and one.claim not in judged]


def _finding(one: Finding) -> tuple[str, str, Markup]:
    name = printable(label(one.claim or one.kind), 60)
    return name, printable(one.text, words.LONGEST), words.unbroken(one.strength)


def _encoded(audit: Audit) -> str:
    """The audit as JSON in the address of a link, from which a browser saves it."""
    plain = json.dumps([audit.to_dict()], indent=1, default=str)
    return f"data:application/json;base64,{base64.b64encode(plain.encode()).decode()}"
