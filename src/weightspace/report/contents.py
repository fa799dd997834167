"""What a page shows of a dissection, in the order of its questions: one entry for each result.

To show a new analysis, write a module in `sections` and add its entry here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from weightspace.report.claims.beside import side_by_side
from weightspace.report.claims.headline import headline
from weightspace.report.drawing.section import Section
from weightspace.report.sections import (
    bare,
    calibration,
    classifiers,
    guesses,
    maps,
    much,
    numbers,
    part,
    slices,
    training,
    transfer,
    unseen,
    what,
    when,
    where,
)

if TYPE_CHECKING:
    from weightspace.dissection import Dissection


@dataclass(frozen=True)
class Shown:
    """How one result of a dissection is shown.

    Parameters
    ----------
    name : str
        The name of its display: the name of the analysis, or of a result derived from it.
    analysis : str
        The part of the dissection that is shown.
    figures : tuple of str
        The names of all figures that can occur, the main one first.
    sections : function
        Takes the dissection and its properties in order; returns the sections that have numbers.
    frame : function or None
        Takes the dissection; returns the numbers. By default they are the frame of the part.
    """

    name: str
    analysis: str
    figures: tuple[str, ...]
    sections: Callable[[Dissection, list[str]], Sequence[Section]]
    frame: Callable[[Dissection], pl.DataFrame] | None = None

    def numbers(self, whole: Dissection) -> pl.DataFrame:
        """The numbers that are shown."""
        frame: pl.DataFrame = (
            self.frame(whole) if self.frame else whole.parts[self.analysis].frame()
        )
        return frame


def _of_table(
    analysis: str, sections: Callable[[pl.DataFrame, list[str], dict[str, Any]], Sequence[Section]]
) -> Callable[[Dissection, list[str]], Sequence[Section]]:
    """Sections of an analysis that is a table: none where it has no rows."""

    def made(whole: Dissection, order: list[str]) -> Sequence[Section]:
        found = whole.parts.get(analysis)
        if found is None or found.frame().is_empty():
            return ()
        return sections(found.frame(), order, whole.facts)

    return made


def _where(frame: pl.DataFrame, order: list[str], facts: dict[str, Any]) -> list[Section]:
    """The sections along the vector, and by part and depth."""
    found, along = [], frame["axis"] == "position"
    if along.any():
        found.append(where.section(frame, order, facts))
    if not along.all():
        found.append(part.section(frame, order))
    return found


def _classifiers(whole: Dissection, order: list[str]) -> list[Section]:
    if whole.much.hits is None:
        return []
    return [classifiers.section(side_by_side(whole.much), order)]


def _bare(whole: Dissection, order: list[str]) -> list[Section]:
    pairs = (
        bare.pairs(whole.much, whole.bare, headline(whole.much.frame()))
        if whole.bare is not None
        else []
    )
    return [bare.section(pairs, whole.bare)] if pairs else []


def _numbers(whole: Dissection, order: list[str]) -> list[Section]:
    if whole.numbers is None or whole.numbers.frame().is_empty():
        return []
    shown = guesses.guesses(whole.numbers)
    found = [numbers.section(whole.numbers)]
    return [*found, guesses.section(whole.numbers, shown)] if shown else found


def _calibration(whole: Dissection, order: list[str]) -> list[Section]:
    known = calibration.figures_of(whole.much)
    return [] if known is None else [calibration.section(*known, order)]


CONTENTS = (
    Shown("much", "much", ("much", "whole"), lambda d, order: much.sections(d.much.frame())),
    Shown(
        "classifiers",
        "much",
        ("classifiers",),
        _classifiers,
        lambda d: side_by_side(d.much),
    ),
    Shown(
        "slices",
        "slices",
        ("slices",),
        _of_table("slices", lambda t, order, _: [slices.section(t, order)]),
    ),
    Shown(
        "bare",
        "bare",
        ("bare",),
        _bare,
        lambda d: pl.concat([d.much.frame(), d.bare.frame()]),
    ),
    Shown("numbers", "numbers", ("numbers", "guesses"), _numbers),
    Shown("where", "where", ("where", "part"), _of_table("where", _where)),
    Shown(
        "when",
        "when",
        ("when",),
        _of_table("when", lambda t, order, _: [when.section(t, order)]),
    ),
    Shown(
        "transfer",
        "transfer",
        ("transfer",),
        _of_table("transfer", lambda t, order, _: [transfer.section(t, order)]),
    ),
    Shown(
        "training",
        "training",
        ("training",),
        _of_table("training", lambda t, order, _: [training.section(t)]),
    ),
    Shown(
        "what",
        "what",
        ("groups", "tensors", "tampering"),
        _of_table(
            "what",
            lambda t, order, _: [what.section(t, kind, order) for kind in what.kinds(t)],
        ),
    ),
    Shown(
        "map",
        "map",
        ("map", "paths"),
        _of_table("map", lambda t, order, _: [maps.section(t, order), maps.paths_section(t)]),
    ),
    Shown(
        "calibration",
        "much",
        ("calibration",),
        _calibration,
        lambda d: d.much.calibration,
    ),
    Shown(
        "unseen",
        "unseen",
        ("unseen", "unseen_whole"),
        _of_table("unseen", lambda t, order, _: unseen.sections(t, order)),
    ),
)
FIGURES = tuple(name for shown in CONTENTS for name in shown.figures)


def sections(dissection: Dissection) -> list[Section]:
    """The figures that have numbers, in the order of the page."""
    order = headline(dissection.much.frame()).properties
    return [section for shown in CONTENTS for section in shown.sections(dissection, order)]
