"""Splits of nets into training and test nets: the stored one, and those that leave a level out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from weightspace.arrays import Int
from weightspace.errors import UsageError

BLOCK = 5
"""One of so many consecutive nets is a test net."""


@dataclass(frozen=True)
class Split:
    """Training nets and test nets; no net is in both, and some nets may be in neither.

    Parameters
    ----------
    train, test : tuple of str
        Names of nets.
    name : str
        How the nets were split, such as "stored" or "depth_conv=5".
    by : str, optional
        The hyper-parameter of which one level is on one side only, if there is one.

    Raises
    ------
    UsageError
        If a side is empty or a net is on both sides.

    Examples
    --------
    >>> Split(train=("net-a", "net-b"), test=("net-c",), name="by hand").test
    ('net-c',)
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    name: str = "by hand"
    by: str | None = None

    def __post_init__(self) -> None:
        if not self.train or not self.test:
            side = "test" if self.train else "train"
            raise UsageError(f"split {self.name}", f"no net is in {side}", "put some there")
        both = set(self.train) & set(self.test)
        if both:
            raise UsageError(f"split {self.name}", f"net {min(both)} is in train and in test")


def stratified(levels: Int[np.ndarray, "n q"], seed: int) -> list[str]:
    """Split consecutive nets: one of every five is "test", the other four are "train".

    Of each five nets, the test net is the one whose levels have been chosen least often so far;
    ties are decided at random. Later nets do not change the split of earlier nets, so nets keep
    their split when a zoo grows.

    Parameters
    ----------
    levels : ndarray of int, shape (n, q)
        The level, from 0, of each of n nets in each of q properties; -1 where it is unknown.
    seed : int
        The seed of the random ties.

    Returns
    -------
    list of str, length n
        "train" or "test" for each net.

    Examples
    --------
    >>> stratified(np.arange(10).reshape(10, 1) % 2, seed=0).count("test")
    2
    """
    levels = np.asarray(levels, np.int64)
    rng = np.random.default_rng([seed, 0x5B117])
    # How many test nets each level has beyond its share, times five; -1 is the last column.
    excess = np.zeros((levels.shape[1], int(levels.max(initial=0)) + 2), np.int64)
    properties = np.arange(levels.shape[1])
    split = ["train"] * len(levels)
    for start in range(0, len(levels), BLOCK):
        block = levels[start : start + BLOCK]
        for own in block:
            excess[properties, own] -= 1
        order = rng.permutation(BLOCK)
        order = order[order < len(block)]
        excess[:, -1] = 0
        chosen = order[excess[properties, block[order]].sum(axis=1).argmin()]
        excess[properties, block[chosen]] += BLOCK
        split[start + chosen] = "test"
    return split


def stored(nets: pl.DataFrame) -> Split:
    """The split that is stored in a zoo's table of nets."""
    train, test = (nets.filter(pl.col("split") == side)["net"] for side in ("train", "test"))
    return Split(tuple(train), tuple(test), "stored")


def leaving_out(nets: pl.DataFrame, name: str, level: Any) -> Split:
    """Train on the nets that have other levels of a hyper-parameter, test on those with this level.

    Nets for which the hyper-parameter is unknown are on neither side. `level` may be text, as in
    tables.
    """
    if name not in nets.columns:
        raise UsageError(
            "leave_out", f"nets have no {name!r}", "name a column of the table of nets"
        )
    wanted = _text(level)
    has = pl.Series([None if value is None else _text(value) == wanted for value in nets[name]])
    if not has.any() or has.all():
        levels = sorted({_text(value) for value in nets[name] if value is not None})[:20]
        who = "every net" if has.any() else "no net"
        raise UsageError(
            "leave_out", f"{who} has {name} {wanted}", f"levels are {', '.join(levels)}"
        )
    train, test = (nets.filter(side)["net"] for side in (~has, has))
    return Split(tuple(train), tuple(test), f"{name}={wanted}", by=name)


def _text(value: Any) -> str:
    """One spelling of a level, for values and for text that a user typed: true, 5, 0.001."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text
