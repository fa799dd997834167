"""Splits by net: the one that a zoo stores, and those that leave one level out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError

BLOCK = 5
"""Of so many nets in a row one is a test net."""


@dataclass(frozen=True)
class Split:
    """Nets that teach and nets that are tested: no net is both, and some may be neither.

    `name` says how they were told apart, such as "stored" or "depth_conv=5"; `by` is the
    hyper-parameter of which one level stands on one side only, where there is one.
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    name: str = "by hand"
    by: str | None = None

    def __post_init__(self) -> None:
        if not self.train or not self.test:
            side = "test" if self.train else "train"
            raise UsageError(f"split {self.name}: no net is in {side}; put some there")
        both = set(self.train) & set(self.test)
        if both:
            raise UsageError(f"split {self.name}: net {min(both)} is in train and in test")


def stratified(levels: np.ndarray, seed: int) -> list[str]:
    """Split nets in a row: of every five one is set aside as "test", the others are "train".

    `levels` int [n, q]: the level, from 0, that each net has of each of q properties, or -1 where
    that is unknown. Of five nets the one is chosen whose levels have been set aside least; chance
    decides among equals. What comes after the five does not matter, so that nets keep their
    split when a zoo grows.

    >>> stratified(np.arange(10).reshape(10, 1) % 2, seed=0).count("test")
    2
    """
    levels = np.asarray(levels, np.int64)
    rng = np.random.default_rng([seed, 0x5B117])
    # What each level has of test nets beyond its share, times five. -1 finds the last column.
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
    """The split in a zoo's table of nets."""
    train, test = (nets.filter(pl.col("split") == side)["net"] for side in ("train", "test"))
    return Split(tuple(train), tuple(test), "stored")


def leaving_out(nets: pl.DataFrame, name: str, level: Any) -> Split:
    """Train on the nets without a level of a hyper-parameter, test on those that have it.

    Nets of which it is not known are on neither side. `level` may be text, as tables show it.
    """
    if name not in nets.columns:
        raise UsageError(f"leave_out: nets have no {name!r}; name a column of the table of nets")
    wanted = _text(level)
    has = pl.Series([None if value is None else _text(value) == wanted for value in nets[name]])
    if not has.any() or has.all():
        levels = sorted({_text(value) for value in nets[name] if value is not None})[:20]
        who = "every net" if has.any() else "no net"
        raise UsageError(f"leave_out: {who} has {name} {wanted}; levels are {', '.join(levels)}")
    train, test = (nets.filter(side)["net"] for side in (~has, has))
    return Split(tuple(train), tuple(test), f"{name}={wanted}", by=name)


def _text(value: Any) -> str:
    """One spelling of a level, whether it is a value or was typed: true, 5, 0.001."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        return f"{float(text):.12g}"
    except ValueError:
        return text
