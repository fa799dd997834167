"""The places of a dissection as rows and borders to draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl


@dataclass(frozen=True)
class Place:
    """A row of the part-and-depth figure, or the range of a layer in the vector (0..1).

    `y` is the row's position, with a gap between the groups.
    """

    axis: str
    name: str
    part: str
    running_stats: bool = True
    y: float = 0.0
    start: float = 0.0
    stop: float = 0.0
    length: int = 0

    @property
    def text(self) -> str:
        """The text beside the row; for a layer, with the number of weights that are read."""
        if self.axis == "part":
            suffix = "" if self.running_stats else ", no running stats"
            return f"all {self.name}{suffix}"
        return f"{self.name} ({self.length:,})"

    @property
    def match(self) -> pl.Expr:
        """An expression: whether a row of the where frame belongs to this place."""
        same = (pl.col("axis") == self.axis) & (pl.col("place") == self.name)
        return same & (pl.col("running_stats") == self.running_stats)


def places(frame: pl.DataFrame) -> list[Place]:
    """The rows of parts, then of depths, in the order of the where frame."""
    rows: list[Place] = []
    y = 0.0
    for axis in ("part", "depth"):
        own = frame.filter(pl.col("axis") == axis)
        keys = own.select("place", "running_stats", "slice_length").unique(maintain_order=True)
        for name, running_stats, length in keys.iter_rows():
            part = "conv" if "conv" in name else "fc"
            rows.append(Place(axis, name, part, running_stats, y, length=length))
            y += 1
        y += 0.6
    return rows


def boundaries(facts: dict[str, Any]) -> list[Place]:
    """The ranges of the layers that a dissection's facts name, in the vector's order."""
    found = facts.get("boundaries", [])
    return [
        Place("layer", b["name"], b["part"], start=float(b["start"]), stop=float(b["stop"]))
        for b in found
    ]
