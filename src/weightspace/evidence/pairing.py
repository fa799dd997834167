"""Which tensor of one net is compared with which of another: by content, names, and order."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from weightspace.evidence.subject import Layer, Subject

_LOOKED_AT = 64  # values by which equal tensors are found
_FEWEST = 8  # different values of a tensor that can be recognized by its content


@dataclass(frozen=True)
class Pair:
    """Two tensors of one shape. `layers` are theirs, if they are kernels of layers."""

    first: str
    second: str
    layers: tuple[Layer, Layer] | None = None


@dataclass(frozen=True)
class Pairing:
    """What is compared, and what has no partner of its shape."""

    pairs: tuple[Pair, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]


def pairing(first: Subject, second: Subject) -> Pairing:
    """Give each tensor of one net its partner in the other, where there is one of its shape.

    Kernels come first: those with the same names if all names are the same, or else those with the
    same content, then those with the same names, those whose names end alike, and those that stand
    at the same place among layers. Biases and norms follow their kernels. The rest is paired by
    content and names. A prefix of all names does not matter.

    Parameters
    ----------
    first, second : Subject
        The nets.

    Returns
    -------
    Pairing
    """
    one, other = ({layer.weight: layer for layer in net.layers} for net in (first, second))
    kernels = dict(_kernels(first, second, one, other))
    pairs = [Pair(a, b, (one[a], other[b])) for a, b in kernels.items()]
    taken = dict(kernels)
    for pair in list(pairs):
        assert pair.layers is not None
        for a, b in zip(*map(_beside, pair.layers), strict=False):
            if first.shapes[a] == second.shapes[b] and a not in taken:
                taken[a] = b
                pairs.append(Pair(a, b))
    left = [name for name in first.shapes if name not in taken and name not in one]
    found = set(taken.values())
    right = [name for name in second.shapes if name not in found and name not in other]
    for a, b in _by_all(first, second, left, right):
        pairs.append(Pair(a, b))
        taken[a] = b
    found = set(taken.values())
    place = {name: number for number, name in enumerate(first.shapes)}
    return Pairing(
        tuple(sorted(pairs, key=lambda pair: place[pair.first])),
        tuple(name for name in first.shapes if name not in taken),
        tuple(name for name in second.shapes if name not in found),
    )


def form(layer: Layer) -> tuple[int, ...]:
    """What two kernels that are compared have in common: outputs, inputs, sides."""
    return (layer.outputs, layer.inputs, *layer.kernel)


def _kernels(
    first: Subject, second: Subject, one: Mapping[str, Layer], other: Mapping[str, Layer]
) -> Iterator[tuple[str, str]]:
    left = {name: form(layer) for name, layer in one.items()}
    right = {name: form(layer) for name, layer in other.items()}
    if left == right:
        yield from zip(left, left, strict=True)
        return
    taken: set[str] = set()
    if list(left.values()) != list(right.values()):
        for a, b in _by_all(first, second, list(left), list(right), left, right):
            taken |= {a, b}
            yield a, b
    rest = [name for name in left if name not in taken], [n for n in right if n not in taken]
    forms = [left[name] for name in rest[0]], [right[name] for name in rest[1]]
    for block in difflib.SequenceMatcher(None, *forms, autojunk=False).get_matching_blocks():
        for k in range(block.size):
            yield rest[0][block.a + k], rest[1][block.b + k]


def _beside(layer: Layer) -> list[str]:
    """Bias and norms of a layer, so that those of two layers come in the same order."""
    norms = [norm.names[role] for norm in layer.norms for role in sorted(norm.names)]
    return [*([layer.bias] if layer.bias else []), *norms]


def _by_all(
    first: Subject, second: Subject, left: list[str], right: list[str],
    forms: Mapping[str, Hashable] | None = None, others: Mapping[str, Hashable] | None = None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Pairs of one form by content, then by names, then by the ends of names that are unique."""
    one, other = forms or first.shapes, others or second.shapes
    keys = (
        (lambda name: _content(first, name), lambda name: _content(second, name)),
        (lambda name: name, lambda name: name),
        *((lambda name, k=k: _end(name, k),) * 2 for k in (4, 3, 2)),
    )
    for key, counter in keys:
        mine = _unique(left, lambda name, key=key: (one[name], key(name)))
        theirs = _unique(right, lambda name, key=counter: (other[name], key(name)))
        for at in mine.keys() & theirs.keys():
            if at[1] is not None:
                yield mine[at], theirs[at]
        used = {mine[at] for at in mine.keys() & theirs.keys() if at[1] is not None}
        found = {theirs[at] for at in mine.keys() & theirs.keys() if at[1] is not None}
        left, right = [n for n in left if n not in used], [n for n in right if n not in found]


def _unique(names: Iterable[str], key: object) -> dict[tuple[Hashable, Hashable], str]:
    """The names whose key no other name has."""
    found: dict[tuple[Hashable, Hashable], list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)  # type: ignore[operator]
    return {at: some[0] for at, some in found.items() if len(some) == 1}


def _end(name: str, parts: int) -> str | None:
    split = name.replace("/", ".").split(".")
    return ".".join(split[-parts:]) if len(split) >= parts else None


def _content(subject: Subject, name: str) -> bytes | None:
    """The first values of a tensor; None if they are not of many kinds, as those of constants."""
    shape = subject.shapes[name]
    if int(np.prod(shape)) < _FEWEST:
        return None
    values = subject.read(name, 0, 1 if shape else 0).reshape(-1)[:_LOOKED_AT]
    return values.tobytes() if len(np.unique(values)) >= _FEWEST else None
