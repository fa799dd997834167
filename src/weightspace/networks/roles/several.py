"""What a single order of layers leaves out: several nets in one dict, modules that alternate."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise, zip_longest

from weightspace.networks.roles.entries import Layer, Norm, short
from weightspace.networks.roles.merging import Child, misfit
from weightspace.networks.roles.words import natural, path

_LONGEST = 40
_MOST_PARTS = 100
_NORM = re.compile(r"norm|ln|bn|rms", re.IGNORECASE)
# Words for nets that are trained together, in pairs.
_PAIRS = tuple(
    (re.compile(one), re.compile(other))
    for one, other in (
        (
            r"(net_?|model_?)?(g|gen|generator)(_?[abxy12]{1,3})?",
            r"(net_?|model_?)?(d|dis|disc|discriminator|critic)(_?[abxy12]{1,2})?",
        ),
        (
            r"(actor|policy|pi)(_?net(work)?)?\d?",
            r"(critic|values?|vf|qf?|q_?func(tion)?)(_?(net(work)?|function|fn))?s?_?\d?",
        ),
        (r"teacher(_?(net|model))?", r"student(_?(net|model))?"),
    )
)


def nets(layers: Sequence[Layer]) -> list[str]:
    """A sentence, if the modules in which layers differ first have the names of several nets."""
    paths = [path(layer.kernel.name) for layer in layers]
    depth = 0
    while len({steps[: depth + 1] for steps in paths}) == 1 and all(
        len(steps) > depth + 1 for steps in paths
    ):
        depth += 1
    words = sorted({steps[depth] for steps in paths if len(steps) > depth + 1})
    for pattern, partner in _PAIRS:
        one, other = (next(_of(words, each), "") for each in (pattern, partner))
        if one and other:
            return [f"{one} and {other} may be nets of their own; they are read as one, in a row"]
    return []


def _of(words: Iterable[str], pattern: re.Pattern[str]) -> Iterator[str]:
    return (word for word in words if len(word) < _LONGEST and pattern.fullmatch(word.lower()))


def alternating(
    children: Sequence[Child], inner: Callable[[Child], Iterable[Child]]
) -> list[tuple[str, str]]:
    """Pairs of modules whose numbered parts fit better in turns than in a row, by a layer each."""
    found: list[tuple[str, str]] = []
    before: list[Child] = []
    for child in children:
        parts = _numbered(inner(child))
        if before and parts and abs(len(before) - len(parts)) <= 1:
            row = [*before, *parts]
            both = chain.from_iterable(zip_longest(before, parts))
            if _cost([part for part in both if part]) < _cost(row):
                found.append((row[0].first.kernel.name, row[-1].last.kernel.name))
        before = parts
    return found


def _numbered(parts: Iterable[Child]) -> list[Child]:
    some = [part for part in parts if part.step.isdecimal()]
    some.sort(key=lambda part: natural(part.step))
    return some if 2 <= len(some) <= _MOST_PARTS else []


def _cost(parts: Sequence[Child]) -> int:
    return sum(misfit(one.last, two.first) for one, two in pairwise(parts))


def said(pairs: list[tuple[str, str]]) -> list[str]:
    """A sentence on modules that may alternate."""
    if not pairs:
        return []
    one, other = pairs[0]
    return [f"the modules of {short(one)} and of {short(other)} may take turns; read in a row"]


def slopes(norms: Sequence[Norm]) -> list[str]:
    """A sentence on norms without a shift, which may be the slopes of PReLUs by their names."""
    found = [
        norm.module
        for norm in norms
        if len(norm.tensors) == 1
        and (scale := norm.tensors.get("scale")) is not None
        and (scale.leaf, scale.kind) == ("weight", "")
        and not _NORM.search(norm.module.rpartition(".")[2])
    ]
    if not found:
        return []
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return [f"{short(found[0])}{more}, read as a norm without a shift, may be slopes of a PReLU"]
