"""`Card`: all evidence of one law with its pictures, and the numbers behind it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from weightspace.audit import Audit
from weightspace.audit.findings import shown
from weightspace.audit.strength import number, words
from weightspace.evidence import Evidence
from weightspace.printable import printable
from weightspace.report.auditing.documents import is_law, page_of
from weightspace.report.auditing.pictures import DISPLACEMENT, Picture, pictures_of
from weightspace.report.auditing.words import LONGEST
from weightspace.report.claims.words import label, sentence

THE_FILE = "the file itself"
_LISTED = 12  # sentences of a law
_MOST_ROWS = 60  # p-values of a law


@dataclass(frozen=True)
class Said:
    """A sentence: what it is about, the sentence, its tensor, the measured number."""

    claim: str
    text: str
    where: str
    measured: str


@dataclass(frozen=True)
class Card:
    """The evidence of one law.

    `weight` orders cards: 0 if it bears on a contradicted claim, 1 on a consistent one, else 2.
    """

    name: str
    address: str
    said: tuple[Said, ...]
    more: int
    pictures: tuple[Picture, ...]
    rows: tuple[tuple[str, str, str], ...]
    weight: int

    @property
    def title(self) -> str:
        """Its name as a heading."""
        return sentence(self.name)

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return "law-" + "-".join(self.name.split())


def cards(audit: Audit) -> list[Card]:
    """A card for each law that says something, those on contradicted claims first."""
    found: dict[str, list[Evidence]] = {}
    for one in _all(audit):
        if not one.missing:
            found.setdefault(card_of(one.law), []).append(one)
    made = [_card(law, evidence, audit) for law, evidence in found.items()]
    return sorted(made, key=_place)


def _place(card: Card) -> tuple[int, bool, bool]:
    """Cards that decide claims come first, then those with pictures, then the others."""
    return card.weight, card.name == THE_FILE, not card.pictures


def card_of(law: str) -> str:
    """The card of a law: its own, or that of what the shapes and names in a file show."""
    return law if is_law(law) else THE_FILE


def missing(audit: Audit) -> list[tuple[str, str]]:
    """The laws that cannot be applied, with the reasons."""
    told = dict.fromkeys((one.law, one.missing) for one in audit.evidence if one.missing)
    return [(printable(law, 60), printable(reason, LONGEST)) for law, reason in told]


def _all(audit: Audit) -> Iterator[Evidence]:
    """All evidence once, with that which rests on other claims."""
    derived = [bearing.evidence for one in audit.verdicts for bearing in one.bearings]
    told: list[Evidence] = []
    for one in (*audit.evidence, *derived):
        if not any(one is other for other in told):
            told.append(one)
            yield one


def _card(law: str, evidence: list[Evidence], audit: Audit) -> Card:
    said = _joined(_said(one) for one in evidence if not _drawn(one))
    return Card(
        law,
        page_of(law),
        said[:_LISTED],
        max(0, len(said) - _LISTED),
        tuple(pictures_of(law, evidence, audit)),
        tuple(_rows(evidence))[:_MOST_ROWS],
        _weight(law, audit),
    )


def _said(one: Evidence) -> Said:
    measured = ""
    if one.estimate is not None and one.estimate.low != one.estimate.high:
        measured = f"{printable(one.estimate.name, 100)}: {shown(one.estimate)}"
    return Said(
        printable(label(one.claim), 60), printable(one.says, LONGEST), printable(one.where, 200),
        measured,
    )  # fmt: skip


def _joined(said: Iterable[Said]) -> tuple[Said, ...]:
    """The sentences once each, with all that they are about."""
    about: dict[Said, list[str]] = {}
    for one in said:
        about.setdefault(replace(one, claim=""), []).append(one.claim)
    return tuple(
        replace(one, claim=", ".join(dict.fromkeys(claims))) for one, claims in about.items()
    )


def _drawn(one: Evidence) -> bool:
    """Whether a picture says the same."""
    return one.estimate is not None and one.estimate.name == DISPLACEMENT


def _rows(evidence: list[Evidence]) -> Iterator[tuple[str, str, str]]:
    for one in evidence:
        for h in one.hypotheses:
            name = h.name or words(h.values)
            yield printable(label(one.claim), 60), printable(name, 100), number(h.p_value)


def _weight(law: str, audit: Audit) -> int:
    """Whether a law decides a claim."""
    order = {"contradicted": 0, "consistent": 1}
    decisive = [
        order[one.verdict]
        for one in audit.verdicts
        if one.verdict in order and one.bearings and card_of(one.bearings[0].evidence.law) == law
    ]
    return min(decisive, default=2)
