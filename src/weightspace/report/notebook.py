"""`Display`: one result with its frame and its figures, which a notebook shows."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl
from matplotlib.figure import Figure

from weightspace.dissection import ANALYSES, Dissection
from weightspace.errors import UsageError
from weightspace.report.claims.headline import headline
from weightspace.report.contents import CONTENTS
from weightspace.report.drawing import rows
from weightspace.report.drawing.section import Section

if TYPE_CHECKING:
    from weightspace.dissection.part import Part
    from weightspace.meta import Evaluation, Regression

_MOST = 1000
"""The most rows that a notebook shows; the frame has all rows."""


@dataclass(frozen=True, eq=False)
class Display:
    """One result: `.frame()` returns its numbers, `.plot()` draws them, a notebook shows both.

    Parameters
    ----------
    table : DataFrame
        The numbers.
    sections : tuple of Section
        Its figures, each with its finding; the main one first.

    Examples
    --------
    >>> import weightspace as ws
    >>> from weightspace.report import displays
    >>> where = displays(ws.Dissection.load("results"))["where"]  # doctest: +SKIP
    >>> where.figures, where.plot("part")  # doctest: +SKIP
    """

    table: pl.DataFrame
    sections: tuple[Section, ...]

    @property
    def figures(self) -> tuple[str, ...]:
        """The names of its figures, the main one first."""
        return tuple(section.name for section in self.sections)

    def frame(self) -> pl.DataFrame:
        """Return the numbers.

        Returns
        -------
        DataFrame
            A row for each number that the figures show; accuracies are shares from 0 to 1.
        """
        return self.table

    def plot(self, figure: str | None = None) -> Figure:
        """Draw one of its figures, by default the main one.

        Parameters
        ----------
        figure : str, optional
            One of `figures`.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        UsageError
            If the name is not in `figures`.
        """
        if figure is None:
            return self.sections[0].draw()
        for section in self.sections:
            if section.name == figure:
                return section.draw()
        raise UsageError("plot", f"no figure {figure}", f"there are {', '.join(self.figures)}")

    def _repr_html_(self) -> str:
        return _html(self.plot(), self.table, self.sections[0].title)


def displays(dissection: Dissection) -> dict[str, Display]:
    """Make a display of every result of a dissection that has numbers.

    Parameters
    ----------
    dissection : Dissection
        As `dissect` or `Dissection.load` returns it.

    Returns
    -------
    dict of str to Display
        The displays by their names, such as "much", "where" and "when".
    """
    return _made(dissection, headline(dissection.much.frame()).properties)


def display(result: Evaluation | Regression | Part, facts: dict[str, Any] | None = None) -> Display:
    """Make the display of one result.

    Parameters
    ----------
    result : Evaluation, Regression or part of a dissection
        As `evaluate`, `regress` or an attribute of a dissection returns it.
    facts : dict, optional
        The facts of a dissection. The figure "where" takes the borders of layers from them.

    Returns
    -------
    Display

    Raises
    ------
    UsageError
        If the result has no numbers.
    """
    (name, *_) = [analysis.name for analysis in ANALYSES if type(result) is analysis.kind]
    frame = result.frame()
    order = frame["property"].unique(maintain_order=True).to_list() if "property" in frame else []
    found = _made(Dissection(facts or {}, {name: result}), order)
    if name not in found:
        raise UsageError(name, "has no numbers to show")
    return found[name]


def _made(whole: Dissection, order: list[str]) -> dict[str, Display]:
    found = {}
    for shown in CONTENTS:
        if shown.analysis in whole.parts and (own := tuple(shown.sections(whole, order))):
            found[shown.name] = Display(shown.numbers(whole), own)
    return found


def _html(drawn: Figure, frame: pl.DataFrame, finding: str) -> str:
    """HTML of the figure as an image, which runs nothing, and of the numbers, folded below it."""
    drawing = io.BytesIO()
    drawn.savefig(drawing, format="png", dpi=150)
    image = base64.b64encode(drawing.getvalue()).decode()
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
