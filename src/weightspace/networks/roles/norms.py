"""The layer of each norm, from names and widths.

A norm that follows a layer has as many channels as the layer gives; one that comes before it, as
many as it takes. A norm whose name is made from a layer's name, or that has its number, belongs to
this layer, whether it follows it or, as in nets with pre-activation, comes before it. Otherwise it
belongs to the layer that it follows.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from weightspace.networks.roles.entries import Entry, Layer, Norm, Note, short, skip
from weightspace.networks.roles.layers import layer_of_bias
from weightspace.networks.roles.merging import Child
from weightspace.networks.roles.order import Order
from weightspace.networks.roles.words import (
    family,
    is_closing,
    natural,
    partner_keys,
    place,
    steps_of,
)

_ROLES = {
    "gamma": "scale",
    "scale": "scale",
    "beta": "shift",
    "shift": "shift",
    "running_mean": "running_mean",
    "moving_mean": "running_mean",
    "running_var": "running_var",
    "moving_variance": "running_var",
}
_START = 0  # the place of words for the beginning of a net
_LONGEST_ADDITION = 100  # to the name of a layer, in that of its norm
_MOST_PARTNERS = 16  # layers of one number; more say nothing


def norms_and_biases(rest: list[Entry], layers: dict[str, Layer]) -> tuple[list[Norm], list[Note]]:
    """Sort the 1-D tensors: biases go to their layer, norms are grouped by module."""
    norm_modules = {
        entry.module
        for entry in rest
        if entry.leaf in _ROLES or (entry.leaf == "weight" and entry.size > 1)
    }
    norms: dict[str, Norm] = {}
    skipped: list[Note] = []
    for entry in rest:
        layer = layer_of_bias(entry, layers)
        if layer:
            layer.bias = entry
            continue
        role = _ROLES.get(entry.leaf, "")
        if entry.module in norm_modules:
            role = {"weight": "scale", "bias": "shift"}.get(entry.leaf, role)
        norm = norms.get(entry.module)
        if not role:
            skipped.append(skip(entry, _why_no_role(entry)))
        elif norm and role in norm.tensors:
            skipped.append(skip(entry, f"a second {role} after {short(norm.tensors[role].name)}"))
        else:
            norm = norms.setdefault(entry.module, Norm(entry.module))
            norm.tensors[role] = entry
    return list(norms.values()), skipped


def _why_no_role(entry: Entry) -> str:
    if "bias" in entry.leaf:
        return "a bias without its kernel"
    if entry.leaf == "weight":
        return "a single value: a gain or a slope, not a norm over channels"
    return "one dimension, but by its name neither a bias nor part of a norm"


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
        self._named = {layer.kernel.module: layer for layer in reversed(order.layers)}
        self._index = {layer.kernel.name: index for index, layer in enumerate(order.layers)}
        self._by_width: dict[tuple[str, ...], dict[int, _Candidates]] = {}
        self._by_key: dict[tuple[str, ...], dict[str, list[Child]]] = {}
        self._steps: dict[tuple[str, ...], list[tuple[str, Child]]] = {}
        self.unsure: list[Norm] = []
        self.unfit: list[Norm] = []

    def settle(self, at: tuple[str, ...], norms: list[Norm]) -> None:
        """Find the layers of the norms that are direct parts of the module `at`."""
        left = [norm for norm in norms if not self._by_name(norm) and not self._by_index(norm, at)]
        left = self._by_number(left, at)
        widths: dict[int, int] = {}
        for norm in left:
            widths[norm.width] = widths.get(norm.width, 0) + 1
        for norm in left:
            if not self._by_channels(norm, at, widths[norm.width]):
                self._nearest(norm, at)

    def _give(self, norm: Norm, layer: Layer, before: bool = False) -> bool:
        norm.before = before
        layer.norms.append(norm)
        return True

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

    def _by_number(self, norms: list[Norm], at: tuple[str, ...]) -> list[Norm]:
        """Pair norms and layers of one number; the norms that are left.

        If all norms of the module come before the layers of their numbers, and not all can come
        after them, the module has pre-activation.
        """
        pairs: list[tuple[Norm, list[Child]]] = [(norm, self._partners(norm, at)) for norm in norms]
        paired = [(norm, children) for norm, children in pairs if children]
        after = {id(norm): _first_giving(norm, children) for norm, children in paired}
        before = {id(norm): _first_taking(norm, children) for norm, children in paired}
        pre = not all(after.values()) and all(before.values())
        left = [norm for norm, children in pairs if not children]
        for norm, _ in paired:
            child = (before if pre else after)[id(norm)]
            if child is None:
                left.append(norm)
            else:
                self._give(norm, child.first if pre else child.last, before=pre)
        return left

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
            before = not found.after
            step = steps_of(norm.module)[length] if norm.module else ""
            child, sure = _choose(found, step, count, outside=length < len(at))
            if not sure:
                self.unsure.append(norm)
            return self._give(norm, child.first if before else child.last, before=before)
        return False

    def _candidates(self, at: tuple[str, ...]) -> dict[int, _Candidates]:
        if at not in self._by_width:
            found: dict[int, _Candidates] = {}
            for child in sorted(self._children.get(at, {}).values(), key=self._place):
                found.setdefault(child.last.gives, _Candidates()).after.append(child)
                for width in set(child.first.takes):
                    found.setdefault(width, _Candidates()).before.append(child)
            for one in found.values():
                one.free = [child for child in one.after if not child.last.norms]
            self._by_width[at] = found
        return self._by_width[at]

    def _place(self, child: Child) -> int:
        return self._index[child.first.kernel.name]

    def _nearest(self, norm: Norm, at: tuple[str, ...]) -> None:
        """The layer with the same number, else the one before it by name, else any."""
        self.unfit.append(norm)
        partners = self._partners(norm, at)
        if partners:
            self._give(norm, partners[0].last)
            return
        while at not in self._children:
            at = at[:-1]
        steps = self._sorted_steps(at)
        step = steps_of(norm.module)[len(at)] if norm.module else ""
        index = bisect_left(steps, natural(step), key=lambda pair: pair[0])
        self._give(norm, steps[max(index - 1, 0)][1].last)


def _choose(found: _Candidates, step: str, count: int, *, outside: bool) -> tuple[Child, bool]:
    """One of the modules that fit a norm, and whether there was no other choice.

    Numbered norms of a module take the modules without a norm in their order. Another norm has the
    last module, unless its name says that it is at the beginning.
    """
    word, numbers = family(step)
    in_a_row = not outside and (count > 1 or numbers)
    fits = (in_a_row and found.free) or found.after or found.before
    if len(fits) == 1:
        return fits[0], count == 1 or outside
    if in_a_row:
        found.used += 1
        return fits[min(found.used, len(fits)) - 1], count == len(fits)
    first = place(word) == _START
    return fits[0 if first else -1], first or outside or is_closing(step)


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
