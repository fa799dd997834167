"""The analyses of a dissection: one line each. To add one, write a module and its line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

from weightspace.disk import InnerPath
from weightspace.dissection import places
from weightspace.dissection.map import Map, map_of
from weightspace.dissection.places import Place
from weightspace.dissection.reader import Reader, distinct
from weightspace.dissection.slices import Slices, slices
from weightspace.dissection.training import Training, training
from weightspace.dissection.transfer import Transfer, transfer
from weightspace.dissection.unseen import Unseen, unseen
from weightspace.dissection.what import What, what
from weightspace.dissection.when import When, when
from weightspace.dissection.where import Where, where
from weightspace.meta import Evaluation, Regression, evaluate, regress
from weightspace.meta.evaluation.tables import Columns
from weightspace.progress import Progress


@dataclass(frozen=True)
class Work:
    """What analyses are given.

    Parameters
    ----------
    reader : Reader
        Reads places of vectors; holds the study.
    whole : Place
        Slices over the whole vector.
    moments : dict of int to float
        Snapshot number to fraction of training, of those that are read.
    positions : int
        Windows along the vector.
    slice_length : int
        Values of a slice that were asked for; where there are fewer, all are read.
    classifiers : sequence of str or None
        What evaluations compare.
    progress : callable
        Called with a task, what is done and the total.
    """

    reader: Reader
    whole: Place
    moments: dict[int, float]
    positions: int
    slice_length: int
    classifiers: Sequence[str] | None
    progress: Progress


class Kept(Protocol):
    """What an analysis finds: it knows its files and reads them again."""

    @classmethod
    def files(cls) -> dict[str, Columns]:
        """The files it is kept in, with the columns of their tables."""

    def to_bytes(self) -> dict[str, bytes]:
        """The content of these files."""

    @classmethod
    def read_in(cls, folder: InnerPath) -> Self:
        """What is kept in a folder."""


@dataclass(frozen=True)
class Analysis:
    """One analysis of a dissection.

    Parameters
    ----------
    name : str
        The attribute of a `Dissection`, and what `also` calls it.
    kind : type
        What it finds.
    run : function
        Takes `Work`; gives what it finds, or None where there is nothing to find.
    about : str
        What it asks, in a few words.
    folder : str
        Where its files lie below those of the dissection, "" for beside them.
    always : bool
        Whether it is done whatever was asked for.
    may_lack : bool
        Whether a zoo may not allow it: its UsageError is then kept in the facts.
    """

    name: str
    kind: type[Kept]
    run: Callable[[Work], Any]
    about: str
    folder: str = ""
    always: bool = False
    may_lack: bool = False

    def files(self) -> dict[str, Columns]:
        """Its files by their names below the dissection's folder."""
        own = self.kind.files()
        return {f"{self.folder}/{name}" if self.folder else name: c for name, c in own.items()}


def _much(work: Work) -> Evaluation:
    study = work.reader.study
    return evaluate(study, classifiers=work.classifiers, progress=work.progress)


def _where(work: Work) -> Where:
    kinds = distinct(work.reader.layouts)
    spots = [
        *places.along(kinds, work.slice_length, work.positions),
        *places.parts(kinds, work.slice_length, work.whole.count),
        *places.depths(kinds, work.slice_length),
    ]
    return where(work.reader, spots, work.progress)


def _bare(work: Work) -> Evaluation | None:
    kinds = distinct(work.reader.layouts)
    if all(len(layout.indices("all", False)) == layout.size for layout in kinds):
        return None
    shortest = min(len(layout.indices("all", False)) for layout in kinds)
    length = min(work.whole.length, shortest)
    study = work.reader.study.reading(slice_length=length, running_stats=False)
    return evaluate(study, classifiers=work.classifiers, progress=work.progress)


def _transfer(work: Work) -> Transfer | None:
    if len(work.moments) < 2:
        return None
    return transfer(work.reader, replace(work.whole, count=2), work.moments, work.progress)


ANALYSES = (
    Analysis("much", Evaluation, _much, "how much of each property is read", always=True),
    Analysis("where", Where, _where, "where in the vector", always=True),
    Analysis(
        "when",
        When,
        lambda w: when(w.reader, w.whole, w.moments, w.progress),
        "when in training",
        always=True,
    ),
    Analysis("bare", Evaluation, _bare, "how much without running statistics", folder="bare"),
    Analysis(
        "numbers",
        Regression,
        lambda w: regress(w.reader.study, progress=w.progress),
        "what is read as a number",
        folder="numbers",
        may_lack=True,
    ),
    Analysis("slices", Slices, lambda w: slices(w.reader, w.progress), "how long a slice"),
    Analysis("transfer", Transfer, _transfer, "trained on one snapshot, tested on another"),
    Analysis(
        "what",
        What,
        lambda w: what(w.reader, w.whole.length, w.whole.count, w.progress),
        "which features tell a property",
    ),
    Analysis(
        "map",
        Map,
        lambda w: map_of(w.reader, w.whole.length, w.moments, w.progress),
        "nets as points in the plane",
    ),
    Analysis(
        "unseen",
        Unseen,
        lambda w: unseen(w.reader, w.whole, w.progress),
        "nets of a level that was never trained on",
    ),
    Analysis(
        "training",
        Training,
        lambda w: training(w.reader.zoo, w.reader.labels),
        "how well the nets themselves do",
        always=True,
    ),
)
BY_NAME = {analysis.name: analysis for analysis in ANALYSES}
ALSO = tuple(analysis.name for analysis in ANALYSES if not analysis.always)
"""What a dissection holds besides how much, where and when: see `dissect`."""
