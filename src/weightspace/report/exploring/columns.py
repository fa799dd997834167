"""The columns of the table of nets, as a page colours and filters by them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from weightspace.printable import printable
from weightspace.report.claims.words import label
from weightspace.space import Space

_FEW = 8
"""Numbers with at most so many values are shown as levels, each with its colour."""
_MOST_LEVELS = 1000
_EXACT = 2**53
"""Up to here a float64, as JavaScript has it, holds every whole number."""
_LONGEST = 300
NAMELESS = ("net",)
_NAMES = ("index", "unit", "split", "layout")


@dataclass(frozen=True)
class Column:
    """A column of the table of nets.

    Parameters
    ----------
    key : str
        Its name in the table; "" if it is not from the table.
    name : str
        As it is shown.
    group : {"varied", "other", "outcome", "read"}
        Properties of the space, other hyper-parameters and names, what training led to and what
        else is on record, and what a model reads.
    kind : {"levels", "numbers", "constant", "text"}
        `levels` has codes, `numbers` has values, a constant column has one text, and text is
        shown with the details of a net.
    levels : tuple of str
        The names of levels; of a constant column its only text.
    values : ndarray
        Codes uint16, where 65535 is a missing level, or values float64, where NaN is missing.
    """

    key: str
    name: str
    group: str
    kind: str
    levels: tuple[str, ...] = ()
    values: np.ndarray | None = None

    def about(self) -> dict[str, Any]:
        """What the page knows of it, without its values."""
        return {"name": self.name, "group": self.group, "kind": self.kind, "levels": self.levels}


def columns_of(nets: pl.DataFrame, space: Space, hyper: Collection[str]) -> list[Column]:
    """The columns of the table of nets, properties first; `hyper` are names of hyper-parameters."""
    names = [name for name in space.properties if name in nets.columns]
    names += [name for name in nets.columns if name not in (*names, *NAMELESS)]
    known = dict.fromkeys((*hyper, *_NAMES), "other") | dict.fromkeys(space.properties, "varied")
    return [_column(nets[name], known.get(name, "outcome")) for name in names]


def levels_column(name: str, group: str, texts: list[str | None]) -> Column:
    """A column of texts that are levels, the first seen first."""
    order = {text: code for code, text in enumerate(dict.fromkeys(t for t in texts if t))}
    codes = [0xFFFF if not text else order[text] for text in texts]
    return Column("", name, group, "levels", tuple(order), np.array(codes, np.uint16))


def _column(column: pl.Series, group: str) -> Column:
    key, name = column.name, printable(label(column.name), 60)
    distinct = column.drop_nulls().unique()
    if not len(distinct):
        return Column(key, name, group, "constant", ("",))
    if not column.null_count() and len(distinct) == 1:
        return Column(key, name, group, "constant", (shown(distinct[0]),))
    if column.dtype.is_numeric():
        if len(distinct) > _FEW:
            ordered = distinct.sort().to_list()
            if column.dtype.is_integer() and max(-ordered[0], ordered[-1]) > _EXACT:
                return Column(key, name, group, "text")
            values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
            return Column(key, name, group, "numbers", (), values.astype(np.float64))
    elif len(distinct) > _MOST_LEVELS or len(distinct) == len(column) > _FEW:
        return Column(key, name, group, "text")
    ordered = distinct.sort().to_list()
    codes = {value: code for code, value in enumerate(ordered)}
    found = [0xFFFF if value is None else codes[value] for value in column.to_list()]
    texts = tuple(shown(value) for value in ordered)
    return Column(key, name, group, "levels", texts, np.array(found, np.uint16))


def shown(value: Any) -> str:
    """A value of the table as text.

    >>> shown(True), shown(0.001), shown(None)
    ('true', '0.001', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else printable(value, _LONGEST)
