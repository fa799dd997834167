"""Abilities, structures and rules of a model as plain values for JSON, and back, with checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from weightspace.meta.model.caution import Caution, Step
from weightspace.meta.model.likeness import COLUMNS, Likeness
from weightspace.meta.model.packing import demand, number
from weightspace.meta.model.reader import Ability
from weightspace.meta.model.structures import FROM_SHAPES, MOST, NAMES, Rule, Structures

_MOST_STEPS = 1000
_LONGEST = 200
_LARGEST = 2**40
_FLOAT32 = 3.4e38


def plain_ability(ability: Ability) -> dict[str, Any]:
    """The ability as plain values."""
    return asdict(ability) | {"levels": list(ability.levels)}


def ability_of(row: dict[str, Any], columns: int) -> Ability:
    """The ability of plain values, for so many features; `Unsound` if they are not valid."""
    name, levels = row["property"], row["levels"]
    demand(isinstance(name, str) and bool(name), "a property has no name")
    demand(name.isprintable(), f"the property {name!r} is not printable")
    demand(
        isinstance(levels, list) and len(levels) > 1 and all(isinstance(v, str) for v in levels),
        f"{name} has no levels",
    )
    demand(len(set(levels)) == len(levels), f"a level of {name} occurs twice")
    demand(all(level.isprintable() for level in levels), f"a level of {name} is not printable")
    shares = {k: number(row[k], 0, 1, f"{name} {k}") for k in ("accuracy", "low", "high", "chance")}
    return Ability(
        property=name,
        levels=tuple(levels),
        temperature=number(row["temperature"], 1e-3, 1e3, f"{name} temperature"),
        caution=_caution(row["caution"], name, len(levels), columns),
        **shares,
    )


def _caution(row: dict[str, Any], name: str, levels: int, columns: int) -> Caution:
    bounds, steps, told = row["bounds"], row["steps"], row["told"]
    demand(isinstance(bounds, list) and len(bounds) == levels, f"{name} has other bounds")
    demand(isinstance(steps, list) and len(steps) <= _MOST_STEPS, f"{name} has no sound steps")
    found = []
    for step in steps:
        nets = step["nets"]
        demand(type(nets) is int and 0 < nets <= _LARGEST, f"{name} has a step of {nets!r} nets")
        start, right = (number(step[key], 0, 1, f"{name} {key}") for key in ("start", "right"))
        found.append(Step(start, right, nets))
    starts = [step.start for step in found]
    demand(starts == sorted(starts), f"the steps of {name} do not ascend")
    return Caution(
        bounds=tuple(number(bound, 0, 1, f"{name} bound") for bound in bounds),
        coverage=number(row["coverage"], 0, 1, f"{name} coverage"),
        least=number(row["least"], 0, 1, f"{name} least"),
        likeness=_likeness(row["likeness"], name, levels, columns),
        most=number(row["most"], 0, 1e6, f"{name} most"),
        lost=number(row["lost"], 0, 1, f"{name} lost"),
        told=None if told is None else number(told, 0, 1, f"{name} told"),
        steps=tuple(found),
    )


def _likeness(row: dict[str, Any], name: str, levels: int, columns: int) -> Likeness:
    chosen = row["columns"]
    demand(isinstance(chosen, list) and len(chosen) <= COLUMNS, f"{name} has too many columns")
    known = all(type(column) is int and 0 <= column < columns for column in chosen)
    demand(known, f"{name} reads a feature that does not exist")
    tables = []
    for what, low in (("centres", -_FLOAT32), ("scales", 1e-30)):
        rows = row[what]
        shaped = isinstance(rows, list) and len(rows) == levels
        demand(
            shaped and all(isinstance(own, list) and len(own) == len(chosen) for own in rows),
            f"{name} has {what} of another shape",
        )
        tables.append(
            tuple(
                tuple(number(one, low, _FLOAT32, f"{name} {what}") for one in own) for own in rows
            )
        )
    return Likeness(tuple(chosen), *tables)


def plain_structures(structures: Structures) -> dict[str, Any]:
    """The structures as plain values."""
    values = {name: list(own) for name, own in structures.values.items()}
    return {"values": values, "ranged": list(structures.ranged)}


def structures_of(row: dict[str, Any]) -> Structures:
    """The structures of plain values; `Unsound` if they are not valid."""
    values, ranged = row["values"], row["ranged"]
    demand(isinstance(values, dict) and set(values) <= set(NAMES), "its structures are unknown")
    demand(isinstance(ranged, list) and set(ranged) <= set(NAMES), "its ranges are unknown")
    for name, own in values.items():
        demand(isinstance(own, list) and len(own) <= MOST, f"structures: {name} is no short list")
        numbers = all(type(value) is int and 0 <= value <= _LARGEST for value in own)
        texts = all(_is_text(value) for value in own)
        demand(numbers or (texts and name not in ranged), f"structures: {name} has unsound values")
        demand(numbers == (name not in _TEXTS) or not own, f"structures: {name} has other values")
        demand(name not in ranged or own == sorted(own)[:2], f"structures: {name} is no range")
    return Structures({name: tuple(own) for name, own in values.items()}, tuple(ranged))


_TEXTS = ("kernels", "conv", "hidden", "output")


def plain_rule(rule: Rule) -> dict[str, Any]:
    """The rule as plain values."""
    return {"number": rule.number, "levels": dict(rule.levels)}


def rules_of(rows: dict[str, Any], abilities: Sequence[Ability]) -> dict[str, Rule]:
    """The rules of plain values; `Unsound` if they are not valid."""
    demand(isinstance(rows, dict), "its rules are no mapping")
    known = {ability.property: ability.levels for ability in abilities}
    found = {}
    for name, row in rows.items():
        demand(name in known and name in FROM_SHAPES, f"{name!r} cannot be read from shapes")
        levels = row["levels"]
        demand(row["number"] == FROM_SHAPES[name], f"{name} is read from another number")
        demand(isinstance(levels, dict), f"the rule of {name} has no levels")
        demand(
            all(level in known[name] for level in levels.values()),
            f"the rule of {name} has other levels",
        )
        found[name] = Rule(row["number"], levels)
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST and value.isprintable()
