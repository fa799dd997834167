"""What is told about a file besides its tensors: names of code, hostile ones, guesses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from weightspace.checkpoints.pickling.threats import threat
from weightspace.printable import printable

_MOST = 50
_TEXTS = {"hostile": "names `{}`: hostile; nothing was run", "code": "names code: `{}`"}


@dataclass(frozen=True)
class Finding:
    """Something about a file that its reader should know.

    Attributes
    ----------
    kind : str
        "hostile" (unpickling the file would run it), "code" (it names code of a program), or
        "doubt" (a reading that the file does not settle).
    text : str
        One line.
    where : str
        Where it stands in the file, such as "byte 123 of its pickle"; empty if nowhere in
        particular.
    """

    kind: str
    text: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.where})" if self.where else self.text


def of_names(foreign: Mapping[str, int]) -> Iterator[Finding]:
    """Findings about the names of code in a pickle, the hostile ones first."""
    told = [(name, at, threat(name)) for name, at in foreign.items()]
    for kind, text in _TEXTS.items():
        found = [(name, at) for name, at, what in told if what == kind]
        for name, at in found[:_MOST]:
            yield Finding(kind, text.format(printable(name, 120)), f"byte {at:,} of its pickle")
        if len(found) > _MOST:
            yield Finding(kind, f"{len(found) - _MOST:,} more such names")


def doubts(told: Iterable[str], facts: Mapping[str, object]) -> Iterator[Finding]:
    """Findings about what the file does not settle, and about a part taken for the whole."""
    if "shard" in facts:
        yield Finding("doubt", f"is only shard {facts['shard']} of a net; name its index instead")
    for text in told:
        yield Finding("doubt", text)
