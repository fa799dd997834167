"""The order of layers, from the set of their names and shapes alone.

A safetensors file has no order, and a torch file has that of the definition, which need not be that
of the computation. So the order in the file is never used. Modules stay together. Modules of one
word are in the order of their numbers. Different words are merged such that what one layer gives is
what the next one takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from weightspace.networks.roles.entries import Layer, short
from weightspace.networks.roles.merging import Child, Level, leads, misfit
from weightspace.networks.roles.several import alternating
from weightspace.networks.roles.words import SIDE, family, natural, path, place


@dataclass(slots=True)
class Order:
    """Layers in order, the modules within each, what the alphabet settled, what may alternate."""

    layers: list[Layer]
    children: dict[tuple[str, ...], dict[str, Child]] = field(default_factory=dict)
    ties: list[tuple[str, str]] = field(default_factory=list)
    turns: list[tuple[str, str]] = field(default_factory=list)


def order(layers: list[Layer]) -> Order:
    """Find the order of layers; it is the same for any permutation of them."""
    found = Order([])
    if layers:
        paths = [(path(layer.kernel.name), layer) for layer in layers]
        found.layers = _ordered(paths, 0, (), found)[0]
    return found


def misfits(layers: Sequence[Layer]) -> int:
    """How badly layers fit in a sequence: 0 if each takes what the one before gives."""
    return sum(misfit(one, other) for one, other in pairwise(layers))


def _ordered(
    members: list[tuple[tuple[str, ...], Layer]], depth: int, at: tuple[str, ...], found: Order
) -> tuple[list[Layer], Layer, Layer]:
    """The layers of a module in order, and those of its input and output."""
    steps: dict[str, list[tuple[tuple[str, ...], Layer]]] = {}
    for member in members:
        steps.setdefault(member[0][depth], []).append(member)
    children = [_child(step, inside, depth, at, found) for step, inside in steps.items()]
    found.children[at] = {child.step: child for child in children}
    if len(children) > 1:
        level = Level(children)
        merged = level.merged(1)
        other = level.merged(-1) if level.words > 1 else merged
        tie = next(((a, b) for a, b in zip(merged, other, strict=True) if a is not b), None)
        if tie:
            found.ties.append((tie[0].first.kernel.name, tie[1].first.kernel.name))
        children = merged
        found.turns += alternating(
            children, lambda child: found.children.get((*at, child.step), {}).values()
        )
    main = [child for child in children if place(family(child.step)[0]) != SIDE] or children
    if len(main) < len(children):
        beside = [child for child in children if child not in main]
        main = children if leads(beside, main) else main
    inside = [layer for child in children for layer in child.layers]
    return inside, main[0].first, main[-1].last


def _child(
    step: str,
    members: list[tuple[tuple[str, ...], Layer]],
    depth: int,
    at: tuple[str, ...],
    found: Order,
) -> Child:
    own = [layer for steps, layer in members if len(steps) == depth + 1]
    own.sort(key=lambda layer: (natural(layer.kernel.name), layer.kernel.name))
    deeper = [member for member in members if len(member[0]) > depth + 1]
    if not deeper:
        return Child(step, own, own[0], own[-1])
    layers, first, last = _ordered(deeper, depth + 1, (*at, step), found)
    return Child(step, own + layers, own[0] if own else first, last)


def said(ties: list[tuple[str, str]]) -> str:
    """A sentence on layers whose order follows from the alphabet alone."""
    one, other = ties[0]
    more = f", and so in {len(ties) - 1} more modules" if len(ties) > 1 else ""
    return (
        f"neither names nor shapes say whether {short(one)} comes before {short(other)}; "
        f"the alphabet decided{more}"
    )
