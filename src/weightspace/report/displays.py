"""Displays: one result each that gives its frame, its figure and itself in a notebook."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl
from matplotlib.figure import Figure

from weightspace.report import figures, findings, rows
from weightspace.report.headline import headline

if TYPE_CHECKING:
    from weightspace.dissection import When, Where
    from weightspace.meta import Evaluation


@dataclass(frozen=True, eq=False)
class EvaluationDisplay:
    """How much of each property an evaluation reads, off a `unit` ("slice" or "net")."""

    evaluation: Evaluation
    unit: str = "slice"

    def frame(self) -> pl.DataFrame:
        """The evaluation's frame."""
        return self.evaluation.frame()

    def plot(self) -> Figure:
        """Accuracy by property as dots with intervals."""
        return figures.much(headline(self.frame(), self.unit))

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
            return figures.part(self.frame(), order)
        return figures.where(self.frame(), order, self.facts)

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
        return figures.when(self.frame(), _properties(self.frame()))

    def _repr_html_(self) -> str:
        return _html(self, findings.when(self.frame()))


def _properties(frame: pl.DataFrame) -> list[str]:
    return frame["property"].unique(maintain_order=True).to_list()


def _html(display: EvaluationDisplay | WhereDisplay | WhenDisplay, finding: str) -> str:
    """The figure as an image that cannot run anything, and the numbers folded below it."""
    drawing = io.BytesIO()
    display.plot().savefig(drawing, format="png", dpi=150)
    image = base64.b64encode(drawing.getvalue()).decode()
    headings, lines = rows.cells(display.frame())
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines
    )
    return (
        f'<img alt="{escape(finding)}" style="max-width:760px;width:100%;background:#fff" '
        f'src="data:image/png;base64,{image}">'
        f"<details><summary>{len(lines)} rows of numbers (shares in percent)</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></details>"
    )
