"""The sentences of an audit's page: its headline, its lead, how verdicts are made."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from weightspace.audit import Audit, Verdict
from weightspace.audit.formats.outcome import in_order, reason, value_of
from weightspace.audit.verdicts import LEVEL
from weightspace.printable import printable
from weightspace.report.claims.words import count, label, listing

LONGEST = 1000  # characters of a sentence
_VALUE = 80

HOW = (
    f"Contradicted: the p-value of the claim is below {LEVEL:g}. A card makes about ten claims, so "
    "a card of which all is true has a contradicted claim in at most 1 of 1,000 cases.",
    "Consistent: the claim is not contradicted, and the same evidence rules out another value that "
    "could have been claimed. That is no proof: weights can be forged.",
    "Undecidable: everything else. The table says what would decide it.",
    "The p-value of a claim is the smallest of all evidence on it, times the number of pieces "
    "(Bonferroni). So it is valid however the pieces depend on each other.",
    "Nothing in the file was executed.",
)


def headline(audit: Audit) -> str:
    """The finding of an audit in one sentence."""
    if not audit.verdicts:
        return f"What {name_of(audit)} says of its training"
    wrong = _names(audit, "contradicted")
    total = len(audit.verdicts)
    if wrong:
        are = "is" if len(wrong) == 1 else "are"
        return f"{len(wrong)} of {count(total, 'claim')} {are} contradicted: {listing(wrong)}"
    right = _names(audit, "consistent")
    if right:
        agree = "is consistent" if len(right) == 1 else "are consistent"
        return (
            f"No claim is contradicted; {len(right)} of {total} {agree} with the weights: "
            f"{listing(right)}"
        )
    if total == 1:
        return f"It cannot be told from this file: {_names(audit, 'undecidable')[0]}"
    return f"None of {count(total, 'claim')} can be decided from this file"


def lead(audit: Audit, card: str) -> str:
    """What was audited, and how many claims are left open."""
    open_ = len(_names(audit, "undecidable"))
    if not audit.verdicts:
        return (
            "No claims were given. Below is what the weights and the file say by themselves, the "
            "most certain first."
        )
    source = f"the claims of {printable(card, 200)}" if card else "what is claimed of it"
    told = f"{name_of(audit)} was compared with {source}. "
    if open_ == len(audit.verdicts):
        return told + "Below is what would decide each."
    left = f"{count(open_, 'claim')} cannot be decided." if open_ else "Every claim is decided."
    return told + left


def name_of(audit: Audit) -> str:
    """The last part of the file's path."""
    return printable(audit.file.replace("\\", "/").rstrip("/").rpartition("/")[2], 100)


def claim_of(one: Verdict) -> str:
    """The name of a claim."""
    return printable(label(one.claim.name), 60)


def claimed_value(one: Verdict) -> str:
    """The claimed value."""
    return printable(value_of(one), _VALUE)


def reasons(one: Verdict) -> list[str]:
    """The sentences behind a verdict, at most two."""
    if said := reason(one):
        return [printable(said, LONGEST)]
    told = [bearing.evidence.says for bearing in one.bearings] + [e.says for e in one.about]
    return [printable(text, LONGEST) for text in dict.fromkeys(told)][:2]


def coded(said: str) -> Markup:
    """Text in which pieces between backticks are code; everything in it is escaped.

    >>> coded("give `--data <x>`")
    Markup('give <code>--data &lt;x&gt;</code>')
    """
    pieces = printable(said, LONGEST).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece
        for place, piece in enumerate(pieces)
    )


def unbroken(said: str) -> Markup:
    """Text whose p-value is not broken over lines; everything in it is escaped.

    >>> unbroken("clear: not <x> (p = 1e-05)")
    Markup('clear: not &lt;x&gt; <span class="whole">(p = 1e-05)</span>')
    """
    head, found, number = printable(said, LONGEST).rpartition("(p = ")
    if not found:
        return Markup("{}").format(number)
    return Markup('{}<span class="whole">{}</span>').format(head, found + number)


def _names(audit: Audit, word: str) -> list[str]:
    return list(_of(audit, word))


def _of(audit: Audit, word: str) -> Iterator[str]:
    for one in in_order(audit):
        if one.verdict == word:
            joint = one.claim.name == "training_length"
            yield claim_of(one) if joint else f"{claim_of(one)} {claimed_value(one)}"
