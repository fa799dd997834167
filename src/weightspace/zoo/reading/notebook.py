"""What a notebook shows of a zoo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weightspace.markup import summary
from weightspace.zoo.reading.openedzoo import OpenedZoo

_LISTED = 8  # values of a property


def markup_of(zoo: OpenedZoo) -> str:
    """HTML of the counts of a zoo, and of the values of each property."""
    nets = zoo.nets
    counts = zoo.snapshots.group_by("net").len()["len"].to_list()
    facts = [
        ("space", zoo.space.name),
        ("nets", nets.height),
        ("of them for training", int((nets["split"] == "train").sum())),
        ("diverged", int(nets["diverged"].sum())),
        ("snapshots of a net", _between(min(counts, default=0), max(counts, default=0))),
        ("layouts", nets["layout"].n_unique()),
        ("stored as", zoo.dtype.name),
    ]
    rows = [
        (name, _values(nets[name].drop_nulls().unique().sort().to_list()))
        for name in zoo.space.properties
    ]
    return summary(f"Zoo {zoo.name}", facts, ("property", "values"), rows)


def _between(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _values(values: Sequence[Any]) -> str:
    """Values of a property: all of a few; of many the lowest and the highest, or their number."""
    if len(values) <= _LISTED:
        return ", ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
    if isinstance(values[0], str):
        return f"{len(values):,} names"
    return f"{values[0]:.4g} to {values[-1]:.4g}"
