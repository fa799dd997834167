"""The layer of each norm, from names and widths.

A norm that follows a layer has as many channels as the layer gives; one that comes before it, as
many as it takes. A norm whose name is made from a layer's name, or that has its number, belongs to
this layer, whether it follows it or, as in nets with pre-activation, comes before it. Otherwise it
belongs to the layer that it follows.

In a transformer all widths are the same, and blocks of one set of names have their norms in front
(GPT-2) or behind (GPT). So a norm without statistics whose layer takes as many channels as it gives
is said to be before or after it, unless its name tells: layernorm_before, post_attention_layernorm.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import nsmallest

from weightspace.networks.roles.entries import Entry, Layer, Norm, short
from weightspace.networks.roles.merging import Child
from weightspace.networks.roles.order import Order
from weightspace.networks.roles.words import (
    SIDE,
    anchor,
    family,
    is_closing,
    is_kernel,
    is_last,
    is_output,
    is_squeeze,
    natural,
    partner_keys,
    place,
    steps_of,
)

_START = 0  # the place of words for the beginning of a net
_LONGEST_ADDITION = 100  # to the name of a layer, in that of its norm
_MOST_PARTNERS = 16  # layers of one number, or modules that a word may mean; more say nothing


def assign(norms: list[Norm], order: Order) -> list[str]:
    """Give each norm to its layer; sentences on those whose layer had to be guessed."""
    owners = _Owners(order)
    groups: dict[tuple[str, ...], list[Norm]] = {}
    for norm in sorted(norms, key=lambda norm: (natural(norm.module), norm.module)):
        groups.setdefault(steps_of(norm.module)[:-1], []).append(norm)
    for at, group in groups.items():
        owners.settle(at, group)
    return [
        _sentence(found, what)
        for found, what in (
            (owners.unfit, "no layer near it takes or gives as many channels as"),
            (owners.unsure, "neither names nor widths show the layer of"),
        )
        if found
    ]


def _sentence(norms: list[Norm], what: str) -> str:
    more = f" and {len(norms) - 1} more norms" if len(norms) > 1 else ""
    return f"{what} the norm {short(norms[0].module)}{more}; the most likely layer was taken"


@dataclass(slots=True)
class _Candidates:
    """The modules within a module that fit norms of one width.

    `free` are those of `after` that no norm follows yet, and `used` counts those taken in a row.
    """

    after: list[Child] = field(default_factory=list)
    before: list[Child] = field(default_factory=list)
    free: list[Child] = field(default_factory=list)
    used: int = 0


class _Owners:
    """Finds the layers of norms, in time that does not grow with the number of layers."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._children = order.children
        self._named = {_module(layer.kernel): layer for layer in reversed(order.layers)}
        self._index = {layer.kernel.name: index for index, layer in enumerate(order.layers)}
        self._by_width: dict[tuple[str, ...], dict[int, _Candidates]] = {}
        self._by_key: dict[tuple[str, ...], dict[str, list[Child]]] = {}
        self._steps: dict[tuple[str, ...], list[tuple[str, Child]]] = {}
        self._first_few: dict[tuple[str, ...], list[Child]] = {}
        self.unsure: list[Norm] = []
        self.unfit: list[Norm] = []

    def settle(self, at: tuple[str, ...], norms: list[Norm]) -> None:
        """Find the layers of the norms that are direct parts of the module `at`."""
        left = [
            norm
            for norm in norms
            if not (self._by_word(norm, at) or self._by_name(norm) or self._by_index(norm, at))
        ]
        left = self._by_number(self._in_rows(left, at), at)
        widths: dict[int, int] = {}
        for norm in left:
            widths[norm.width] = widths.get(norm.width, 0) + 1
        for norm in left:
            if not self._by_channels(norm, at, widths[norm.width]):
                self._nearest(norm, at)

    def _give(
        self, norm: Norm, layer: Layer, before: bool = False, other: Iterable[int] = ()
    ) -> bool:
        """Put a norm to a layer; `other` are the widths on the other side of it, if in question.

        Norms with statistics are those of convolutions, which they follow by custom.
        """
        norm.before = before
        norm.sure = norm.width not in other or "running_mean" in norm.tensors
        layer.norms.append(norm)
        return True

    def _by_word(self, norm: Norm, at: tuple[str, ...]) -> bool:
        """input_layernorm is before the first module, post_attention_layernorm after attention.

        Without the word for a module, a norm is at the first one, of which it must have the width.
        """
        steps = steps_of(norm.module)
        if not (found := anchor(steps[-1] if steps else "")):
            return False
        before, where = found
        if at not in self._first_few:
            inner = self._children.get(at, {}).values()
            self._first_few[at] = nsmallest(_MOST_PARTNERS, inner, key=self._place)
        children = self._first_few[at]
        if where is not None:
            children = [child for child in children if place(family(child.step)[0]) == where]
        if before:
            first = next((child for child in children if norm.width in child.first.takes), None)
            return first is not None and self._give(norm, first.first, before=True)
        last = next((child for child in children if norm.width == child.last.gives), None)
        return last is not None and self._give(norm, last.last)

    def _by_name(self, norm: Norm) -> bool:
        """conv1_norm and conv1.norm belong to conv1."""
        name = norm.module
        for length in _ends_of_words(name):
            layer = self._named.get(name[:length])
            if layer and norm.width == layer.gives:
                return self._give(norm, layer)
            if layer and norm.width in layer.takes:
                return self._give(norm, layer, before=True)
        return False

    def _by_index(self, norm: Norm, at: tuple[str, ...]) -> bool:
        """Part 1 of a sequence follows part 0, or else comes before part 2."""
        step = steps_of(norm.module)[-1:]
        if not step or not step[0].isdecimal():
            return False
        steps = self._sorted_steps(at)
        place = bisect_left(steps, natural(step[0]), key=lambda pair: pair[0])
        previous = steps[place - 1][1] if place else None
        following = steps[place][1] if place < len(steps) else None
        width = norm.width
        if previous and previous.last.gives == width:
            return self._give(norm, previous.last)
        if following and width in following.first.takes:
            return self._give(norm, following.first, before=True)
        if previous and width in previous.last.kernel.shape[:2]:
            return self._give(norm, previous.last)  # a transposed convolution without a bias
        return False

    def _sorted_steps(self, at: tuple[str, ...]) -> list[tuple[str, Child]]:
        if at not in self._steps:
            children = self._children.get(at, {})
            self._steps[at] = sorted(
                ((natural(step), child) for step, child in children.items()),
                key=lambda pair: pair[0],
            )
        return self._steps[at]

    def _in_rows(self, norms: list[Norm], at: tuple[str, ...]) -> list[Norm]:
        """Pair norms of one word and as many modules in their order; the norms that are left.

        Only where the numbers of the norms are not those of their layers: in a decoder of
        transformers, norm2 does not follow linear2.
        """
        rows: dict[str, list[Norm]] = {}
        for norm in norms:
            step = steps_of(norm.module)[-1:]
            if step and family(step[0])[1]:
                rows.setdefault(family(step[0])[0], []).append(norm)
        done: set[str] = set()
        for row in rows.values():
            if len(row) < 2 or all(self._fits_number(norm, at) for norm in row):
                continue
            if len({norm.width for norm in row}) > 1:
                continue
            found = self._candidates(at).get(row[0].width, _Candidates())
            after = [child for child in found.after if place(family(child.step)[0]) != SIDE]
            if len(after) == len(row):
                for norm, child in zip(row, after, strict=True):
                    self._give(norm, child.last, other=self._taking(found, child, norm))
                    done.add(norm.module)
        return [norm for norm in norms if norm.module not in done]

    def _fits_number(self, norm: Norm, at: tuple[str, ...]) -> bool:
        partners = self._partners(norm, at)
        return bool(_first_giving(norm, partners) or _first_taking(norm, partners))

    def _by_number(self, norms: list[Norm], at: tuple[str, ...]) -> list[Norm]:
        """Pair norms and layers of one number; the norms that are left.

        If all norms of the module come before the layers of their numbers, and not all can come
        after them, the module has pre-activation. If they can all come after, and not all before,
        they do. Otherwise the numbers do not show the side.
        """
        pairs: list[tuple[Norm, list[Child]]] = [(norm, self._partners(norm, at)) for norm in norms]
        paired = [(norm, children) for norm, children in pairs if children]
        after = {id(norm): _first_giving(norm, children) for norm, children in paired}
        before = {id(norm): _first_taking(norm, children) for norm, children in paired}
        pre = not all(after.values()) and all(before.values())
        post = all(after.values()) and not all(before.values())
        left = {id(norm) for norm, children in pairs if not children}
        for norm, _ in paired:
            child = (before if pre else after)[id(norm)]
            if child is None:
                left.add(id(norm))
            elif pre:
                self._give(norm, child.first, before=True)
            else:
                self._give(norm, child.last, other=() if post else (norm.width,))
        return [norm for norm in norms if id(norm) in left]

    def _partners(self, norm: Norm, at: tuple[str, ...]) -> list[Child]:
        if at not in self._by_key:
            found: dict[str, list[Child]] = {}
            for child in self._children.get(at, {}).values():
                for key in partner_keys(child.step):
                    found.setdefault(key, []).append(child)
            self._by_key[at] = {
                key: children for key, children in found.items() if len(children) <= _MOST_PARTNERS
            }
        steps = steps_of(norm.module)
        for key in partner_keys(steps[-1]) if steps else ():
            if key in self._by_key[at]:
                return self._by_key[at][key]
        return []

    def _by_channels(self, norm: Norm, at: tuple[str, ...], count: int) -> bool:
        """Go outwards from the module to one with layers of the width; take them in their order."""
        for length in range(len(at), -1, -1):
            found = self._candidates(at[:length]).get(norm.width)
            if found is None:
                continue
            step = steps_of(norm.module)[length] if norm.module else ""
            outside = length < len(at)
            before = not found.after or (outside and self._is_in_front(found, step))
            fits = _Candidates(before=found.before) if before and found.after else found
            child, sure = _choose(fits, step, count, outside=outside)
            if not sure:
                self.unsure.append(norm)
            if before:
                return self._give(norm, child.first, before=True)
            known = bool(at) and not outside and is_output(at[-1])
            known = known or (is_closing(step) and self._is_stack((*at[:length], child.step)))
            other = () if known else self._taking(found, child, norm)
            return self._give(norm, child.last, other=other)
        return False

    def _taking(self, found: _Candidates, child: Child, norm: Norm) -> tuple[int, ...]:
        """The width of a norm, if it may be before a module, or before an earlier one."""
        earlier = found.before and self._place(found.before[0]) <= self._place(child)
        return (norm.width,) if earlier else ()

    def _is_in_front(self, found: _Candidates, step: str) -> bool:
        """Whether a norm in a module without layers at the beginning comes before all layers."""
        if place(family(step)[0]) != _START or not found.before:
            return False
        return not found.after or self._place(found.before[0]) <= self._place(found.after[0])

    def _is_stack(self, at: tuple[str, ...]) -> bool:
        """Whether a module holds numbered modules with layers in them, after which a net ends."""
        inner = self._children.get(at, {})
        if any(step.isdecimal() and (*at, step) in self._children for step in inner):
            return True
        return len(inner) == 1 and self._is_stack((*at, *inner))

    def _candidates(self, at: tuple[str, ...]) -> dict[int, _Candidates]:
        if at not in self._by_width:
            found: dict[int, _Candidates] = {}
            for child in sorted(self._children.get(at, {}).values(), key=self._place):
                found.setdefault(child.last.gives, _Candidates()).after.append(child)
                for width in set(child.first.takes):
                    found.setdefault(width, _Candidates()).before.append(child)
            for one in found.values():
                plain = [child for child in one.after if not is_squeeze(child.step)]
                one.after = plain or one.after
                one.free = [child for child in one.after if not child.last.norms]
            self._by_width[at] = found
        return self._by_width[at]

    def _place(self, child: Child) -> int:
        return self._index[child.first.kernel.name]

    def _nearest(self, norm: Norm, at: tuple[str, ...]) -> None:
        """The layer with the same number, else the one before it by name, else any."""
        self.unfit.append(norm)
        anywhere = (norm.width,)
        partners = self._partners(norm, at)
        if partners:
            self._give(norm, partners[0].last, other=anywhere)
            return
        while at not in self._children:
            at = at[:-1]
        steps = self._sorted_steps(at)
        step = steps_of(norm.module)[len(at)] if norm.module else ""
        index = bisect_left(steps, natural(step), key=lambda pair: pair[0])
        self._give(norm, steps[max(index - 1, 0)][1].last, other=anywhere)


def _choose(found: _Candidates, step: str, count: int, *, outside: bool) -> tuple[Child, bool]:
    """One of the modules that fit a norm, and whether there was no other choice.

    Numbered norms of a module take the modules without a norm in their order. Another norm has the
    last module, unless its name says that it is at the beginning.
    """
    word, numbers = family(step)
    first = place(word) == _START
    closing = is_closing(step) and bool(found.after)
    at_an_end = (first or is_last(step)) and count <= len(found.after)
    in_a_row = not outside and (numbers or (count > 1 and not at_an_end))
    fits = (in_a_row and found.free) or found.after or found.before
    if len(fits) == 1:
        return fits[0], count == 1 or outside
    if in_a_row:
        found.used += 1
        return fits[min(found.used, len(fits)) - 1], count == len(fits)
    return fits[0 if first else -1], first or outside or closing


def _module(kernel: Entry) -> str:
    """The name with which those of a layer's norms may begin."""
    return kernel.module if is_kernel(kernel.leaf) else kernel.name


def _first_giving(norm: Norm, children: list[Child]) -> Child | None:
    return next((child for child in children if child.last.gives == norm.width), None)


def _first_taking(norm: Norm, children: list[Child]) -> Child | None:
    return next((child for child in children if norm.width in child.first.takes), None)


def _ends_of_words(name: str) -> list[int]:
    """The lengths of beginnings of a name after which a new word begins, the longest first."""
    first = max(1, len(name) - _LONGEST_ADDITION)
    ends = (i for i in range(len(name) - 1, first - 1, -1) if not _goes_on(name[i]))
    return [len(name), *ends]


def _goes_on(character: str) -> bool:
    return character.isascii() and character.isalnum()
