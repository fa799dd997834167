"""Displays: one result each that gives its frame, its figure and itself in a notebook."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl
from matplotlib.figure import Figure

from weightspace.errors import UsageError
from weightspace.report.claims import findings
from weightspace.report.claims.headline import headline
from weightspace.report.drawing import drawings, rows
from weightspace.report.sections import (
    bare,
    calibration,
    classifiers,
    guesses,
    maps,
    numbers,
    slices,
    transfer,
    unseen,
    what,
)
from weightspace.report.sections.bare import Pair

if TYPE_CHECKING:
    from weightspace.dissection import (
        Dissection,
        Map,
        Slices,
        Training,
        Transfer,
        Unseen,
        What,
        When,
        Where,
    )
    from weightspace.meta import Evaluation, Regression

_MOST = 1000
"""Rows that a notebook is given; the frame has them all."""


@dataclass(frozen=True, eq=False)
class EvaluationDisplay:
    """How much of each property an evaluation reads, off a `unit` ("slice" or "net").

    `plot("classifier")` draws all classifiers side by side.
    """

    evaluation: Evaluation
    unit: str = "slice"

    def frame(self) -> pl.DataFrame:
        """The evaluation's frame."""
        return self.evaluation.frame()

    def plot(self, by: str = "property") -> Figure:
        """Accuracy by property as dots with intervals; `by` is "property" or "classifier"."""
        if by == "classifier":
            beside = classifiers.side_by_side(self.evaluation)
            return classifiers.figure(beside, _properties(self.frame()))
        return drawings.much(headline(self.frame(), self.unit))

    def _repr_html_(self) -> str:
        return _html(self, findings.much(headline(self.frame(), self.unit)))


@dataclass(frozen=True, eq=False)
class WhereDisplay:
    """Accuracy by place. `facts` of a dissection add the layers' borders.

    `plot("part")` draws parts and depth instead of positions along the vector.
    """

    where: Where
    facts: dict[str, Any] = field(default_factory=dict)

    def frame(self) -> pl.DataFrame:
        """The where frame."""
        return self.where.frame()

    def plot(self, by: str = "position") -> Figure:
        """Small multiples by property; `by` is "position" or "part"."""
        order = _properties(self.frame())
        if by == "part":
            return drawings.part(self.frame(), order)
        return drawings.where(self.frame(), order, self.facts)

    def _repr_html_(self) -> str:
        return _html(self, findings.where(self.frame()))


@dataclass(frozen=True, eq=False)
class WhenDisplay:
    """Accuracy by snapshot."""

    when: When

    def frame(self) -> pl.DataFrame:
        """The when frame."""
        return self.when.frame()

    def plot(self) -> Figure:
        """Small multiples by property over training."""
        return drawings.when(self.frame(), _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, findings.when(self.frame()))


@dataclass(frozen=True, eq=False)
class SlicesDisplay:
    """Accuracy by the length and the number of slices."""

    slices: Slices

    def frame(self) -> pl.DataFrame:
        """The slices frame."""
        return self.slices.frame()

    def plot(self) -> Figure:
        """Small multiples by property, a line a number of slices."""
        return slices.figure(self.frame(), _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, slices.finding(self.frame()))


@dataclass(frozen=True, eq=False)
class TransferDisplay:
    """Accuracy of what was learned at one snapshot and tested at another."""

    transfer: Transfer

    def frame(self) -> pl.DataFrame:
        """The transfer frame."""
        return self.transfer.frame()

    def plot(self) -> Figure:
        """A map of moments a property."""
        return transfer.figure(self.frame(), _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, transfer.finding(self.frame()))


@dataclass(frozen=True, eq=False)
class RegressionDisplay:
    """What is read off as numbers. `plot("guess")` draws guesses beside the truth."""

    regression: Regression

    def frame(self) -> pl.DataFrame:
        """The regression's frame."""
        return self.regression.frame()

    def plot(self, by: str = "measure") -> Figure:
        """R2 and Kendall's tau by target; `by` is "measure" or "guess"."""
        if by == "guess":
            return guesses.figure(guesses.guesses(self.regression))
        return numbers.figure(self.regression)

    def _repr_html_(self) -> str:
        return _html(self, numbers.finding(self.regression))


@dataclass(frozen=True, eq=False)
class CalibrationDisplay:
    """What the probabilities of an evaluation are worth, of the classifier that reads nets best."""

    evaluation: Evaluation

    def frame(self) -> pl.DataFrame:
        """Errors by property; UsageError where the evaluation kept none."""
        return self._tables()[0]

    def plot(self) -> Figure:
        """Claimed against right, a panel a property."""
        return calibration.figure(*self._tables(), _properties(self.frame()))

    def _tables(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        found = calibration.figures_of(self.evaluation)
        if found is None:
            raise UsageError("calibration: this evaluation kept none; evaluate anew")
        return found

    def _repr_html_(self) -> str:
        return _html(self, calibration.finding(self.frame()))


@dataclass(frozen=True, eq=False)
class BareDisplay:
    """An evaluation with (`full`) beside one without (`bare`) running statistics."""

    full: Evaluation
    bare: Evaluation

    def frame(self) -> pl.DataFrame:
        """The rows of both; `running_stats` tells them apart."""
        return pl.concat([self.full.frame(), self.bare.frame()])

    def plot(self) -> Figure:
        """Paired dots by property."""
        return bare.figure(self._pairs())

    def _pairs(self) -> list[Pair]:
        return bare.pairs(self.full, self.bare, headline(self.full.frame()))

    def _repr_html_(self) -> str:
        return _html(self, bare.finding(self._pairs()))


@dataclass(frozen=True, eq=False)
class WhatDisplay:
    """What carries a property. `kind`: "slice" or "net" (groups of features) or "tampering"."""

    what: What
    kind: str = "slice"

    def frame(self) -> pl.DataFrame:
        """The rows of this kind."""
        return self.what.frame().filter(kind=self.kind)

    def plot(self) -> Figure:
        """A cell a group and property."""
        (kind,) = [kind for kind in what.KINDS if kind.kind == self.kind]
        return what.figure(self.what.frame(), kind, _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, what.finding(self.what.frame(), self.kind))


@dataclass(frozen=True, eq=False)
class UnseenDisplay:
    """Accuracy on nets of a level never taught. `unit`: "net" or "slice"."""

    unseen: Unseen
    unit: str = "net"

    def frame(self) -> pl.DataFrame:
        """The rows of this unit."""
        return self.unseen.frame().filter(unit=self.unit)

    def plot(self) -> Figure:
        """A cell a property and property left out."""
        return unseen.figure(self.unseen.frame(), self.unit, _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, unseen.finding(self.unseen.frame(), self.unit))


@dataclass(frozen=True, eq=False)
class MapDisplay:
    """A map of nets. `plot("path")` draws the paths of training."""

    map: Map

    def frame(self) -> pl.DataFrame:
        """The map's frame."""
        return self.map.frame()

    def plot(self, by: str = "property") -> Figure:
        """The nets coloured by each property, or their paths; `by` is "property" or "path"."""
        if by == "path":
            return maps.paths_figure(self.frame())
        return maps.figure(self.frame(), [])

    def _repr_html_(self) -> str:
        return _html(self, maps.finding(self.frame(), []))


@dataclass(frozen=True, eq=False)
class TrainingDisplay:
    """The nets' own test accuracy while they trained."""

    training: Training

    def frame(self) -> pl.DataFrame:
        """The training frame."""
        return self.training.frame()

    def plot(self) -> Figure:
        """A panel a data set."""
        return drawings.training(self.frame())

    def _repr_html_(self) -> str:
        return _html(self, findings.training(self.frame()))


class Display(Protocol):
    """What all displays have in common."""

    def frame(self) -> pl.DataFrame:
        """The numbers."""

    def plot(self) -> Figure:
        """Them drawn."""

    def _repr_html_(self) -> str: ...


def displays(dissection: Dissection) -> dict[str, Display]:
    """A display of every part that a dissection holds, by the part's name."""
    whole = dissection
    found: dict[str, Display] = {
        "much": EvaluationDisplay(whole.much),
        "where": WhereDisplay(whole.where, whole.facts),
        "when": WhenDisplay(whole.when),
        "training": TrainingDisplay(whole.training),
    }
    if whole.bare is not None:
        found["bare"] = BareDisplay(whole.much, whole.bare)
    if whole.numbers is not None:
        found["numbers"] = RegressionDisplay(whole.numbers)
    if whole.slices is not None:
        found["slices"] = SlicesDisplay(whole.slices)
    if whole.transfer is not None:
        found["transfer"] = TransferDisplay(whole.transfer)
    if whole.what is not None:
        found["what"] = WhatDisplay(whole.what)
    if whole.map is not None:
        found["map"] = MapDisplay(whole.map)
    if whole.unseen is not None:
        found["unseen"] = UnseenDisplay(whole.unseen)
    if whole.much.calibration is not None:
        found["calibration"] = CalibrationDisplay(whole.much)
    return found


def _properties(frame: pl.DataFrame) -> list[str]:
    return frame["property"].unique(maintain_order=True).to_list()


def _html(display: Display, finding: str) -> str:
    """The figure as an image that cannot run anything, and the numbers folded below it."""
    drawing = io.BytesIO()
    display.plot().savefig(drawing, format="png", dpi=150)
    image = base64.b64encode(drawing.getvalue()).decode()
    frame = display.frame()
    headings, lines = rows.cells(frame.head(_MOST))
    told = f"{len(lines)}" if frame.height <= _MOST else f"{_MOST} of {frame.height:,}"
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    return (
        f'<img alt="{escape(finding)}" style="max-width:760px;width:100%;background:#fff" '
        f'src="data:image/png;base64,{image}">'
        f"<details><summary>{told} rows of numbers (shares in percent)</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
