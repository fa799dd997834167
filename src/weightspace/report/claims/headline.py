"""One row for each property of an evaluation: accuracy, baseline, control and the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from weightspace.meta import BASELINE, CLASSIFIERS


@dataclass(frozen=True)
class Span:
    """An accuracy and the interval around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """What an evaluation says about one property; shares from 0 to 1.

    `shallow` is None where the baseline was not evaluated, `control` where the procedure was not
    repeated with permuted labels.
    """

    name: str
    levels: int
    chance: float
    accuracy: float
    low: float
    high: float
    shallow: Span | None
    control: Span | None
    n_nets: int

    @property
    def skill(self) -> float:
        """The accuracy on a scale where chance is 0 and always right is 1."""
        return (self.accuracy - self.chance) / (1 - self.chance)

    @property
    def shown(self) -> bool:
        """Whether the interval lies wholly above chance and, if there is one, above the control."""
        bars = [self.chance] if self.control is None else [self.chance, self.control.high]
        return self.low > max(bars)

    @property
    def verdict(self) -> str:
        """`encoded`, `above chance` where no control was run, or `not shown`.

        `not shown` is absence of evidence, not evidence of absence. Without a control it is not
        known which accuracy permuted labels reach, so no property is called encoded.
        """
        if not self.shown:
            return "not shown"
        return "above chance" if self.control is None else "encoded"


@dataclass(frozen=True)
class Headline:
    """The lines of one classifier and unit, the property read best first."""

    classifier: str
    unit: str
    slice_length: int
    lines: tuple[Line, ...]
    part: str = "all"
    snapshots: str = "-1"

    @property
    def properties(self) -> list[str]:
        """The properties, the one read best first."""
        return [line.name for line in self.lines]

    @property
    def source(self) -> str:
        """What the classifier reads, in words."""
        kind = CLASSIFIERS.get(self.classifier)
        own = "" if self.part == "all" else f"{self.part} "
        if kind and kind.whole:
            return f"all {own}weights of nets" if own else "whole nets"
        if self.unit == "net":
            return f"a net, several slices of {self.slice_length:,} {own}weights together"
        return f"{self.slice_length:,} {own}weights"

    @property
    def moment(self) -> str:
        """Which snapshots were read, in words; empty where only the last was."""
        return moment(self.snapshots)


def headline(frame: pl.DataFrame, unit: str = "slice") -> Headline:
    """The lines of the best classifier of an evaluation's frame.

    One classifier is chosen for all properties: the one with the highest mean skill. Choosing a
    classifier for each property would favour lucky results. The baseline stands beside it. `unit`
    is used where the frame has it.
    """
    units = frame["unit"].unique().to_list()
    unit = unit if unit in units else sorted(units)[0]
    frame = frame.filter(pl.col("unit") == unit)
    skill = (pl.col("accuracy") - pl.col("chance")) / (1 - pl.col("chance"))
    ranking = frame.group_by("classifier").agg(skill.mean()).sort("accuracy", descending=True)
    names = [name for name in ranking["classifier"] if name != BASELINE] or [BASELINE]
    rows = frame.filter(pl.col("classifier") == names[0]).to_dicts()
    baseline = {
        row["property"]: row
        for row in frame.filter(pl.col("classifier") == BASELINE).to_dicts()
        if names[0] != BASELINE
    }
    lines = [_line(row, baseline.get(row["property"], {})) for row in rows]
    lines.sort(key=lambda line: (-line.skill, line.name))
    about = {name: rows[0][name] for name in ("part", "snapshots") if rows[0].get(name)}
    return Headline(names[0], unit, int(rows[0]["slice_length"]), tuple(lines), **about)


def moment(snapshots: str) -> str:
    """Snapshots as a clause; empty where only the last was read.

    >>> moment("-1"), moment("1"), moment("1, 10")
    ('', ', at snapshot 1', ', at snapshots 1, 10')
    """
    if snapshots == "-1":
        return ""
    return f", at snapshot{'s' if ',' in snapshots else ''} {snapshots}"


def _line(row: dict[str, Any], baseline: dict[str, Any]) -> Line:
    return Line(
        name=row["property"],
        levels=row["levels"],
        chance=row["chance"],
        accuracy=row["accuracy"],
        low=row["low"],
        high=row["high"],
        shallow=_span(baseline, "accuracy", "low", "high"),
        control=_span(row, "control", "control_low", "control_high"),
        n_nets=row["n_nets"],
    )


def _span(row: dict[str, Any], *names: str) -> Span | None:
    """The three numbers under these names, or None where one is missing or not finite."""
    numbers = [row.get(name) for name in names]
    if any(number is None or not math.isfinite(number) for number in numbers):
        return None
    return Span(*map(float, numbers))  # type: ignore[arg-type]
