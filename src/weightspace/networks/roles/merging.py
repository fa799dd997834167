"""The modules within one module, merged into one sequence."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from weightspace.networks.roles.entries import Layer
from weightspace.networks.roles.words import (
    SIDE,
    branches,
    family,
    is_decoder,
    natural,
    place,
    turns,
)

_MOST_HEADS = 64  # beyond so many layers that may be next, a flattened width is not searched
_MOST_STEPS = 400  # for each module, to look ahead for the sequence that fits best
_COLOURS = 4  # channels of an image

_Key = tuple[object, ...]


@dataclass(slots=True, eq=False)
class Child:
    """A module with layers: `first` and `last` are where its input and output are.

    `joined` says that what it takes and what it gives go on together, as in DenseNet.
    """

    step: str
    layers: list[Layer]
    first: Layer
    last: Layer
    joined: bool = False

    @property
    def dense(self) -> bool:
        """Whether all its layers are dense."""
        return all(layer.dense for layer in self.layers)


def misfit(one: Layer, other: Layer) -> int:
    """0 if a layer takes what another gives, perhaps flattened; 1 if it takes twice that; else 2.

    Where two branches are joined, the next layer takes what both give.
    """
    if one.gives in other.takes:
        return 2 * _takes_image(other)  # which belongs at the beginning
    if other.dense and not one.dense and other.takes[0] % one.gives == 0:
        return 0
    joins = not other.swapped or other.dense  # a transposed convolution gets what it widens alone
    return 1 if joins and 2 * one.gives in other.takes else 2


def _takes_image(layer: Layer) -> bool:
    """Whether it is a convolution of few channels, and not one for each pixel, as in a gate.

    A kernel of one channel for each of its inputs takes as many channels as it gives.
    """
    sides = layer.kernel.shape[2:]
    one = len(layer.takes) == 1
    return one and layer.takes[0] <= _COLOURS and max(sides, default=1) > 1


def leads(some: Sequence[Child], others: Sequence[Child]) -> bool:
    """Whether modules with the name of a shortcut change the width that all others take.

    A shortcut takes what the first of the others takes.
    """
    takes = {width for child in some for width in child.first.takes}
    gives = {child.last.gives for child in some}
    wanted = [set(child.first.takes) for child in others if not child.dense]
    return bool(wanted) and all(want & gives and not want & takes for want in wanted)


def _misfit(one: Child | None, other: Child) -> int:
    """The misfit of two modules; 2 if there is none before."""
    if one is None:
        return 2
    return 0 if one.joined and _joins(one, other) else misfit(one.last, other.first)


def _joins(one: Child, other: Child) -> bool:
    """Whether a module takes what another takes and gives."""
    return one.first.takes[0] + one.last.gives == other.first.takes[0]


class _Family:
    """Modules of one word, in the order of their numbers."""

    def __init__(self, word: str, children: Iterable[Child]) -> None:
        self.word = word
        children = list(children)
        keyed = [
            (turn, natural(child.step), child.step, child)
            for turn, child in zip(turns([c.step for c in children]), children, strict=True)
        ]
        keyed.sort(key=lambda key: key[:3])
        self.children = [key[3] for key in keyed]
        self.turns = [key[0] for key in keyed]
        if len(keyed) > 2 and all(_joins(one, two) for one, two in pairwise(self.children)):
            for child in self.children:
                child.joined = True
        if self._runs_backwards():
            self.children.reverse()
        elif self._is_gated():
            self.children[1:] = self.children[:0:-1]
        else:
            return
        self.turns = [(natural(str(turn)),) for turn in range(len(keyed))]

    def _is_gated(self) -> bool:
        """Whether w1 and w3 run side by side before w2, as in gated layers of language models."""
        if self.word != "w" or len(self.children) != 3 or not self.dense:
            return False
        first, second, third = (child.first.kernel.shape for child in self.children)
        return first == third == second[::-1]

    def _runs_backwards(self) -> bool:
        """Whether the numbers of a decoder count down to its output."""
        pairs = list(pairwise(self.children))
        return (
            bool(pairs)
            and is_decoder(self.word)
            and all(two.last.gives in one.first.takes for one, two in pairs)
            and not any(one.last.gives in two.first.takes for one, two in pairs)
        )

    @property
    def dense(self) -> bool:
        return all(child.dense for child in self.children)


class Level:
    """The modules within one module, which are to be merged into one sequence."""

    def __init__(self, children: list[Child]) -> None:
        words: dict[str, list[Child]] = {}
        for child in children:
            words.setdefault(family(child.step)[0], []).append(child)
        self.words = len(words)
        self._families = [_Family(word, words[word]) for word in sorted(words, key=_by_alphabet)]
        self._takes = Counter(width for child in children for width in set(child.first.takes))
        self._gives = Counter(child.last.gives for child in children)
        self._stages = self._find_stages(set(words))

    def _runs_beside(self, one: _Family) -> bool:
        """Whether modules are shortcuts, which go past others, and do not lead to them."""
        if place(one.word) != SIDE:
            return False
        return not leads(
            one.children, [c for f in self._families if f is not one for c in f.children]
        )

    def _find_stages(self, words: set[str]) -> list[list[_Family]]:
        """Convolutions, then dense layers, then shortcuts; branches in their usual order."""
        side_by_side = branches(words)
        late = self._decoder_follows()
        inward = any(word.startswith("in_") for word in words)
        stages: dict[tuple[bool, int, bool, int], list[_Family]] = {}
        for one in self._families:
            side = self._runs_beside(one)
            phase = 1 if one.dense else 2 * (one in late)
            outward = inward and one.word.startswith("out_")
            key = (side, side_by_side.get(one.word, 0), outward, phase)
            stages.setdefault(key, []).append(one)
        return [stages[key] for key in sorted(stages)]

    def _decoder_follows(self) -> list[_Family]:
        """The convolutions that come after dense layers, as in a generator of images."""
        dense = [one for one in self._families if one.dense]
        convolutions = [one for one in self._families if not one.dense]
        if not dense or not convolutions:
            return []
        sources = {one.children[-1].last.gives for one in dense}
        firsts = {one.word: one.children[0].first for one in convolutions}
        fed = {one.word for one in convolutions if _is_multiple(sources, firsts[one.word].takes[0])}
        late = [one for one in convolutions if one.word in fed and firsts[one.word].swapped]
        if late or any(first.takes[0] <= _COLOURS for first in firsts.values()):
            return late
        widths = {one.children[-1].last.gives for one in convolutions}
        flattened = any(
            _is_multiple({one.children[0].first.takes[0]}, width)
            for one in dense[:_MOST_HEADS]
            for width in sorted(widths)[:_MOST_HEADS]
            if width > _COLOURS
        )
        return [] if flattened or not fed or _feed_a_stack(convolutions, dense) else convolutions

    def merged(self, sign: int) -> list[Child]:
        """One sequence; `sign` -1 turns the alphabet round, which shows what rests on it."""
        done: list[Child] = []
        for stage in self._stages:
            heads = _Heads(stage, sign, self, done[-1] if done else None)
            done += [heads.take() for _ in range(sum(len(one.children) for one in stage))]
        return done

    def linked_key(self, child: Child) -> tuple[bool, bool]:
        """Among those that take what is given: dead ends last, those that keep the width first."""
        keeps = child.last.gives in child.first.takes
        return self._takes[child.last.gives] <= keeps, not keeps

    def free_key(self, child: Child) -> tuple[bool, bool]:
        """Where nothing fits: first what feeds another module, and no other module can feed."""
        fed = any(self._gives[width] for width in child.first.takes)
        return child.first.dense, fed or not self._takes[child.last.gives]


def _by_alphabet(word: str) -> tuple[str, str]:
    return natural(word), word


def _feed_a_stack(convolutions: list[_Family], dense: list[_Family]) -> bool:
    """Whether convolutions give what numbered dense modules take and give, as in a speech encoder.

    The width of these modules may be a multiple of what the first convolution takes, by chance.
    """
    widths = {one.children[-1].last.gives for one in convolutions}
    stacks = ((one.children[0].first.takes, one.children[-1].last.gives) for one in dense)
    return any(gives in takes and gives in widths for takes, gives in stacks)


def _is_multiple(sources: set[int], width: int) -> bool:
    return any(source > width and source % width == 0 for source in sorted(sources)[:_MOST_HEADS])


class _Heads:
    """The modules that may be next: the first of each family that is not taken yet."""

    def __init__(
        self, families: list[_Family], sign: int, level: Level, current: Child | None
    ) -> None:
        self._families = families
        self._sign = sign
        self._level = level
        self._current = current
        self._next = [0] * len(families)
        self._free: list[tuple[_Key, int, int]] = []
        self._by_width: dict[int, list[tuple[_Key, int, int]]] = {}
        self._open = set(range(len(families)))
        self._ahead = _Ahead.of(families)
        for number in self._open:
            self._offer(number)

    def _head(self, number: int) -> Child:
        return self._families[number].children[self._next[number]]

    def _common(self, number: int) -> _Key:
        """What decides between modules that fit equally well; the alphabet comes last."""
        one = self._families[number]
        return place(one.word), one.turns[self._next[number]], self._sign * number

    def _offer(self, number: int) -> None:
        if self._ahead:
            return
        child, index, common = self._head(number), self._next[number], self._common(number)
        heapq.heappush(self._free, ((*self._level.free_key(child), *common), number, index))
        for width in set(child.first.takes):
            key = (*self._level.linked_key(child), *common)
            heapq.heappush(self._by_width.setdefault(width, []), (key, number, index))

    def take(self) -> Child:
        """Take the next module."""
        number = self._with_foresight() if self._ahead else self._step_by_step()
        self._current = self._head(number)
        self._next[number] += 1
        if self._next[number] < len(self._families[number].children):
            self._offer(number)
        else:
            self._open.discard(number)
        return self._current

    def _with_foresight(self) -> int:
        """The best of the modules after which the rest can fit best."""
        assert self._ahead
        costs = {n: self._ahead.cost(self._next, n, self._current) for n in self._open}
        least = min(costs.values())
        return min((n for n in self._open if costs[n] == least), key=self._key)

    def _key(self, number: int) -> _Key:
        child = self._head(number)
        if self._current and self._current.last.gives in child.first.takes:
            return 0, *self._level.linked_key(child), *self._common(number)
        fit = _misfit(self._current, child)
        if fit < 2:
            return 1 + fit, False, False, *self._common(number)
        return 3, *self._level.free_key(child), *self._common(number)

    def _step_by_step(self) -> int:
        """The module that fits best, without a look at the rest."""
        number = None
        if self._current:
            last = self._current.last
            number = self._best(self._by_width.get(last.gives, []))
            if number is None or self._level.linked_key(self._head(number))[0]:
                number = self._flattened(last) if self._flattened(last) is not None else number
        if number is None:
            number = self._best(self._free)
        assert number is not None
        return number

    def _best(self, heap: list[tuple[_Key, int, int]]) -> int | None:
        while heap and self._next[heap[0][1]] != heap[0][2]:
            heapq.heappop(heap)  # taken in the meantime
        return heap[0][1] if heap else None

    def _flattened(self, last: Layer) -> int | None:
        """The dense module that takes all pixels of what `last` gives."""
        if last.dense or len(self._open) > _MOST_HEADS:
            return None
        fits = [
            n
            for n in self._open
            if last.gives not in self._head(n).first.takes and not misfit(last, self._head(n).first)
        ]
        return min(fits, key=self._common, default=None)


class _Ahead:
    """How well the rest can fit at best, for each number of modules taken of each family."""

    def __init__(self, families: list[_Family]) -> None:
        self._families = families
        self._least: dict[tuple[tuple[int, ...], int], int] = {}
        ends = [len(one.children) for one in families]
        for taken in product(*(range(end, -1, -1) for end in ends)):
            for last, index in enumerate(taken):
                if index:
                    child = families[last].children[index - 1]
                    self._least[taken, last] = min(
                        (
                            self.cost(taken, n, child)
                            for n, end in enumerate(ends)
                            if taken[n] < end
                        ),
                        default=0,
                    )

    @classmethod
    def of(cls, families: list[_Family]) -> _Ahead | None:
        """None if there are too many ways to take the modules."""
        ends = [len(one.children) for one in families]
        if len(ends) > _MOST_HEADS:
            return None
        steps = math.prod(end + 1 for end in ends) * len(ends) ** 2
        return cls(families) if len(ends) > 1 and steps <= _MOST_STEPS * sum(ends) else None

    def cost(self, taken: Sequence[int], number: int, current: Child | None) -> int:
        """The least sum of misfits if the next module is of the family `number`."""
        child = self._families[number].children[taken[number]]
        after = tuple(index + (n == number) for n, index in enumerate(taken))
        here = _misfit(current, child) if current else 0
        return here + self._least[after, number]
