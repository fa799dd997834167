"""What is known of how a run is trained: what its user says, and what its objects state."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weightspace.errors import UsageError
from weightspace.space.recipe import FIELDS, checked
from weightspace.zoo.format.tables import NETS, SNAPSHOTS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
KINDS = {str: "text", bool: "switch", float: "number"}
"""What a further column of the table of nets holds."""
MEASURED = tuple(
    f"{of}_{what}" for of in ("train", "validation", "test") for what in ("loss", "accuracy")
)
"""The metrics that every zoo has."""


@dataclass(frozen=True)
class Known:
    """The known hyper-parameters of a run, and further facts as columns of the table of nets."""

    recipe: Mapping[str, Any]
    facts: Mapping[str, str | float | bool]

    @property
    def kinds(self) -> dict[str, str]:
        """What each further column holds."""
        return {name: KINDS[type(value)] for name, value in self.facts.items()}


def known(told: Mapping[str, Any], read: Mapping[str, Any]) -> Known:
    """What is told and what was read, together.

    None means that a value is not known. Raises UsageError for a value that is not possible, and
    where the two contradict each other.
    """
    recipe: dict[str, Any] = {}
    facts: dict[str, str | float | bool] = {}
    said = _checked(told)
    for name, value in (_checked(read) | said).items():
        (recipe if name in FIELDS else facts)[name] = value
    for name, value in _checked(read).items():
        if name in said and not _same(said[name], value):
            raise UsageError(
                name,
                f"is told as {said[name]!r}, and the objects of the run say {value!r}",
                "leave out what is told, or correct it",
            )
    return Known(recipe, facts)


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        value = value.item() if hasattr(value, "item") else value
        if value is None:
            continue
        found[name] = checked(name, value) if name in FIELDS else _fact(name, value)
    return found


def _fact(name: str, value: Any) -> str | float | bool:
    check_column(name, NETS.names)
    if isinstance(value, str) and value.isprintable():
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise UsageError(name, f"{value!r} is no line of text, number or switch", "leave it out")


def check_column(name: str, taken: list[str]) -> None:
    """Refuse a name that no further column of a table can have."""
    if name in taken:
        raise UsageError(name, "is a column of every zoo with another meaning", "rename it")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r}", "is no name of a column", "use letters, digits and _")


def metric_column(name: str) -> str:
    """The column of a metric of the weights as they are; UsageError if it cannot have one."""
    if name not in MEASURED:
        check_column(name, SNAPSHOTS.names)
    return name


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)
