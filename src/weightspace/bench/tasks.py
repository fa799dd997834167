"""The tasks of a population: what an encoder is taught, and what it is judged by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from weightspace.arrays import Bool, Int64, Shaped
from weightspace.bench.outside import outside_nets
from weightspace.bench.rows import Rows
from weightspace.meta.design.labels import labels_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from weightspace.bench.populations import Population
    from weightspace.zoo import Zoo

ACCURACY, PROGRESS = "test_accuracy", "progress"
JUDGES = ("test", "validation")
"""The nets that can judge. An encoder is designed on validation nets; test nets judge it once."""


@dataclass(frozen=True, eq=False)
class Target:
    """What is to be predicted of each row: a level or a number.

    Parameters
    ----------
    name : str
        The name, such as "optimizer".
    levels : tuple of str
        The names of the levels; empty for a number.
    values : ndarray, shape (n,)
        For each row the position of its level, int64, or the number, float64.
    """

    name: str
    levels: tuple[str, ...]
    values: Shaped[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Examples:
    """Rows with what is true of them."""

    rows: Rows
    targets: tuple[Target, ...]


@dataclass(frozen=True, eq=False)
class Lesson:
    """One training of an encoder, and the tasks in which it is judged.

    Parameters
    ----------
    name : str
        "properties", "progress", "control", or "without PROPERTY=LEVEL".
    taught : Examples
        What it is trained on.
    judged : dict of str to Examples
        What it is judged on, by the name of the task. No net is taught and judged.
    """

    name: str
    taught: Examples
    judged: dict[str, Examples]


def lessons_of(zoo: Zoo, population: Population, judge: str = "test") -> Iterator[Lesson]:
    """Give the lessons of a population, one after the other.

    Parameters
    ----------
    zoo : Zoo
        The population, complete.
    population : Population
        What it is.
    judge : {"test", "validation"}
        With "test" validation nets are taught as well. With "validation" no test net is read, and
        none of an outside program.

    Yields
    ------
    Lesson
    """
    book = _Book(zoo, population, judge)
    taught, judged = book.examples(book.taught), {"properties": book.examples(book.judged)}
    if population.outside and judge == "test":
        judged["outside"] = _outside(population)
    yield Lesson("properties", taught, judged)
    control = {"control": _permuted(judged["properties"])}
    yield Lesson("control", _permuted(taught), control)
    for name, level in population.unseen.items():
        yield book.without(name, level)
    progress = {"progress": book.snapshots(book.judged)}
    yield Lesson("progress", book.snapshots(book.taught), progress)


class _Book:
    """The labels of a zoo's nets, and which of them are taught and judged."""

    def __init__(self, zoo: Zoo, population: Population, judge: str) -> None:
        self.zoo, self.labels = zoo, population.labels
        nets = zoo.nets.filter(~pl.col("diverged").fill_null(False))
        lasting = set(nets["net"].to_list())
        there = np.array([net in lasting for net in self.labels.nets])
        sides = np.array([population.split[net] for net in self.labels.nets])
        self.judged = there & (sides == judge)
        self.taught = there & ~self.judged & (sides != "test")
        self.ids = np.array(self.labels.nets)
        ends = zoo.snapshots.sort("snapshot").group_by("net").last()
        last = dict(ends.select("net", ACCURACY).iter_rows())
        self.accuracy = np.array([last.get(net, np.nan) for net in self.labels.nets], float)

    def examples(self, chosen: Bool[np.ndarray, " nets"], *without: str) -> Examples:
        """The last snapshots of the chosen nets, with their properties and their accuracy."""
        rows = Rows(self.zoo, self.ids[chosen], np.full(int(chosen.sum()), -1))
        found = [
            Target(name, self.labels.levels[name], codes[chosen])
            for name, codes in self.labels.codes.items()
            if name not in without
        ]
        if not without:
            found.append(Target(ACCURACY, (), self.accuracy[chosen]))
        return Examples(rows, tuple(found))

    def without(self, name: str, level: str) -> Lesson:
        """The other properties, taught without a level and judged on all that have it."""
        has = self.labels.codes[name] == self.labels.levels[name].index(level)
        judged = {f"without {name}={level}": self.examples(has & (self.taught | self.judged), name)}
        return Lesson(f"without {name}={level}", self.examples(self.taught & ~has, name), judged)

    def snapshots(self, chosen: Bool[np.ndarray, " nets"]) -> Examples:
        """All snapshots of the chosen nets, with the fraction of the training that was over."""
        own = self.zoo.snapshots.filter(pl.col("net").is_in(self.ids[chosen].tolist()))
        own = own.with_columns(done=pl.col("step") / pl.col("step").max().over("net"))
        own = own.sort("net", "snapshot")
        rows = Rows(self.zoo, own["net"].to_numpy(), own["snapshot"].cast(pl.Int64).to_numpy())
        return Examples(rows, (Target(PROGRESS, (), own["done"].to_numpy()),))


def _outside(population: Population) -> Examples:
    """The nets of an outside program, with their properties."""
    zoo = outside_nets(population.name)
    labels = labels_from(zoo.nets, population.space, population.labels.properties)
    assert labels.levels == population.labels.levels, "outside nets have every level"
    rows = Rows(zoo, np.array(labels.nets), np.full(len(labels.nets), -1))
    found = [Target(name, labels.levels[name], codes) for name, codes in labels.codes.items()]
    return Examples(rows, tuple(found))


def control_order(rows: int) -> Int64[np.ndarray, " rows"]:
    """The order in which the control gives labels to rows.

    Parameters
    ----------
    rows : int
        The number of rows.

    Returns
    -------
    ndarray of int64, shape (rows,)
        Row i gets the labels of row `order[i]`.
    """
    return np.random.default_rng(0xC0).permutation(rows)


def _permuted(given: Examples) -> Examples:
    """The same rows with the properties of others.

    Both what is taught and what is judged gets them. With true labels in the test, a property that
    is plain to see would be a lottery: each of its levels is learned as some level, right or wrong.
    """
    order = control_order(len(given.rows))
    found = [replace(one, values=one.values[order]) for one in given.targets if one.levels]
    return Examples(given.rows, tuple(found))
