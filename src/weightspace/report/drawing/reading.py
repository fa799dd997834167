"""How to read each figure, in plain words, with the numbers that it rests on."""

from __future__ import annotations

import polars as pl

from weightspace.report.claims.headline import Headline
from weightspace.report.claims.words import count

_GREY = "grey band: what meaningless labels reach; dashed: chance"


def much(head: Headline) -> str:
    """How to read the figure of how much."""
    text = (
        "Dots: how often the right answer is given for nets never seen before, with 95 % "
        "intervals over nets; the further right of the chance mark, the more the weights tell."
    )
    if any(line.control for line in head.lines):
        text += " Grey bars: 95 % of what meaningless (permuted) labels reach."
    if not all(line.shown for line in head.lines):
        text += " Properties in grey are not shown to be in the weights."
    return text


def where(frame: pl.DataFrame) -> str:
    """How to read the figure along the vector."""
    return (
        f"From left to right: the net's vector of weights from its first layer to its last, read "
        f"{_values(frame)} at a time. Line: accuracy there; blue band: 95 % interval over nets; "
        f"{_GREY}. Strip below: conv and fc layers, borders on average over nets."
    )


def part(frame: pl.DataFrame) -> str:
    """How to read the figure by part and depth."""
    text = (
        "Each row reads only one kind of layer. Dots: accuracy; lines: 95 % intervals over nets; "
        "dashed: chance."
    )
    if not frame["running_stats"].all():
        text += " Hollow dots leave out batch norm's running statistics."
    lengths = frame.filter(pl.col("axis") == "part")["slice_length"].unique()
    if len(lengths) == 1:
        text += f" All of a part is read {int(lengths[0]):,} weights at a time"
        text += ", a layer as many as stand behind its name."
    return text


def when(frame: pl.DataFrame) -> str:
    """How to read the figure over training."""
    moments = count(frame["snapshot"].n_unique(), "snapshot")
    return (
        f"Accuracy from {_values(frame)} at a time, at equal distances from the first to the last "
        "(both ends always among them, which need not tell the same as places at random), at one "
        f"moment of training; learned and tested at that moment, {moments}. "
        f"Blue band: 95 % interval over nets; {_GREY}."
    )


def training() -> str:
    """How to read the figure of the nets' own training."""
    return (
        "What the nets themselves learned: test accuracy on their own task, a panel a data set. "
        "Line: median over nets; band: the middle 80 % of the nets. Above: where it ends."
    )


def _values(frame: pl.DataFrame) -> str:
    lengths = frame["slice_length"].unique().sort().to_list()
    if len(lengths) == 1:
        return count(lengths[0], "weight")
    return f"{lengths[0]:,} to {lengths[-1]:,} weights"
