"""`Structures`: the architectures of a population, and why another net is outside of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from weightspace.meta.model.shapes import COUNTS, TRAITS, WIDTHS, Shapes

FROM_SHAPES = {
    "filter_size": "first_kernel",
    "depth_conv": "convolutions",
    "depth_fc": "dense",
    "width_conv": "first_conv_width",
    "width_fc": "first_dense_width",
    "batch_norm": "norm",
    "norm": "norm",
    "bias": "bias",
    "channels": "channels",
    "outputs": "outputs",
    "features": "dense_inputs",
}
"""Hyper-parameters of the architecture, and the numbers of `shapes` from which they follow."""
MOST = 64
"""The most distinct values that are kept one by one; of more, the least and the largest."""
_RANGES = ("convolutions", "dense", *WIDTHS)
NAMES = (*COUNTS, "kernels", *TRAITS, *WIDTHS)
"""What a net is compared in, in the order of the reasons."""


@dataclass(frozen=True)
class Structures:
    """Which architectures a population has.

    Parameters
    ----------
    values : dict of str to tuple
        For each of `NAMES` the values that occur, ascending; of the numbers in `ranged`, only the
        least and the largest. Empty if nothing is known, or if there are more than `MOST` texts.
    ranged : tuple of str
        The names of numbers of which only the ends of a range are kept.
    """

    values: Mapping[str, tuple[str | int, ...]]
    ranged: tuple[str, ...] = _RANGES

    @classmethod
    def of(cls, nets: Sequence[Shapes]) -> Structures:
        """The structures of these nets, described by `shapes`."""
        found: dict[str, tuple[str | int, ...]] = {}
        ranged = []
        for name in NAMES:
            own = tuple(sorted({value for net in nets for value in net[name]}, key=_order))
            if name in _RANGES or (len(own) > MOST and isinstance(own[0], int)):
                own = tuple(dict.fromkeys((own[0], own[-1]))) if own else ()
                ranged.append(name)
            found[name] = own if len(own) <= MOST else ()
        return cls(found, tuple(ranged))

    def reasons(self, net: Shapes) -> tuple[str, ...]:
        """Why a net is outside of the population: one text each; none if it is inside."""
        return tuple(
            said for name in NAMES for said in [self._reason(name, net[name])] if said is not None
        )

    def _reason(self, name: str, own: tuple[str | int, ...]) -> str | None:
        known = self.values.get(name, ())
        if not own:  # that there are no such layers is told by their number
            return None
        if name in TRAITS:
            return _of_traits(name, own, known) if known else None
        if name == "kernels":
            new = [str(value) for value in own if value not in known]
            if not new or not known:
                return None
            return f"convolutions of {_listed(new)}; {_have(known)}"
        if not known or self._within(name, own):
            return None
        if name in COUNTS:
            one, several = COUNTS[name]
            count = int(own[0])
            said = f"{count:,} {one if count == 1 else several}" if count else f"no {one}"
            return f"{said}; {_have(known, ranged=name in self.ranged)}"
        span = f"{own[0]:,}" if own[0] == own[-1] else f"{own[0]:,} to {own[-1]:,}"
        return f"{WIDTHS[name].format(span)}; {_have(known, ranged=True)}"

    def _within(self, name: str, own: tuple[str | int, ...]) -> bool:
        known = self.values[name]
        if name in self.ranged:
            return all(int(known[0]) <= int(value) <= int(known[-1]) for value in own)
        return set(own) <= set(known)


def _order(value: str | int) -> tuple[bool, str | int]:
    return isinstance(value, str), value


def _have(known: tuple[str | int, ...], ranged: bool = False) -> str:
    texts = [f"{value:,}" if isinstance(value, int) else value for value in known]
    if ranged and len(texts) > 1:
        return f"the population has {texts[0]} to {texts[-1]}"
    return f"the population has {_listed(texts)}"


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _of_traits(name: str, own: tuple[str | int, ...], known: tuple[str | int, ...]) -> str | None:
    """What biases or norms of some layers are unlike those of the population."""
    for traits in (str(value) for value in own if value not in known):
        mine = {trait for trait in traits.split(", ") if trait}
        every: list[set[str]] = [
            {trait for trait in str(one).split(", ") if trait} for one in known
        ]
        lacking = sorted(set.intersection(*every) - mine)
        if lacking:
            return f"no {_listed(lacking)} in {TRAITS[name]}; every net of the population has it"
        added = sorted(mine - set[str]().union(*every))
        if added:
            return f"{_listed(added)} in {TRAITS[name]}; no net of the population has it"
        has = " or ".join(f"{one}" if one else "neither bias nor norm" for one in known)
        return f"{traits or 'neither bias nor norm'} in {TRAITS[name]}; the population has {has}"
    return None


@dataclass(frozen=True)
class Rule:
    """How a hyper-parameter of the architecture is read from shapes.

    Parameters
    ----------
    number : str
        The name of the number in `shapes`.
    levels : dict of str to str
        The level of each value of the number. All nets of the population agree with it.
    """

    number: str
    levels: Mapping[str, str]

    @classmethod
    def of(cls, name: str, nets: Sequence[Shapes], levels: Sequence[str]) -> Rule | None:
        """The rule of a property, from nets and their levels; None if there is none.

        There is none for what is no hyper-parameter of the architecture, and where nets with one
        value differ in their level, as nets with two architectures may.
        """
        number = FROM_SHAPES.get(name)
        if number is None:
            return None
        found: dict[str, str] = {}
        for net, level in zip(nets, levels, strict=True):
            for value in net[number][:1]:
                if found.setdefault(str(value), level) != level:
                    return None
        return cls(number, found) if set(found.values()) == set(levels) else None

    def level(self, net: Shapes) -> str | None:
        """The level of a net; None if its shapes show none of the population's."""
        own = net[self.number]
        return self.levels.get(str(own[0])) if own else None
