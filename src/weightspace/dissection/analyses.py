"""The analyses of a dissection. To add one, write a module and add its entry to `ANALYSES`."""

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
    """The input of an analysis.

    Parameters
    ----------
    reader : Reader
        Reads places of vectors; holds the study.
    whole : Place
        Slices over the whole vector.
    moments : dict of int to float
        The snapshots to read: number to fraction of training, 0..1.
    positions : int
        The number of windows along the vector.
    slice_length : int
        The requested length of a slice; places with fewer values are read whole.
    classifiers : sequence of str or None
        The classifiers that evaluations compare.
    progress : callable
        Called with a task, how much is done, and the total.
    """

    reader: Reader
    whole: Place
    moments: dict[int, float]
    positions: int
    slice_length: int
    classifiers: Sequence[str] | None
    progress: Progress


class Kept(Protocol):
    """The result of an analysis, which can be saved and read."""

    @classmethod
    def files(cls) -> dict[str, Columns]:
        """The columns of each file by the file's name."""

    def to_bytes(self) -> dict[str, bytes]:
        """The content of each file by the file's name."""

    @classmethod
    def read_in(cls, folder: InnerPath) -> Self:
        """Read the result that is saved in a folder."""


@dataclass(frozen=True)
class Analysis:
    """One analysis of a dissection.

    Parameters
    ----------
    name : str
        The attribute of a `Dissection`, and the name in `also`.
    kind : type
        The class of its result.
    run : function
        Takes `Work`; returns the result, or None where the analysis does not apply.
    about : str
        Its question in a few words.
    folder : str
        The folder of its files below that of the dissection; "" for the same folder.
    always : bool
        Whether it always runs. A saved dissection must have its file, so no new analysis sets it:
        dissections that are already saved could not be read.
    may_lack : bool
        Whether some zoos do not allow it. Its UsageError is then kept in the facts.
    share : int
        About how many % of the time of a dissection it takes. Side by side, the longest start
        first.
    """

    name: str
    kind: type[Kept]
    run: Callable[[Work], Any]
    about: str
    folder: str = ""
    always: bool = False
    may_lack: bool = False
    share: int = 0

    def files(self) -> dict[str, Columns]:
        """Return the columns of each of its files.

        Returns
        -------
        dict of str to dict
            Columns by the file's name below the folder of the dissection.
        """
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
    Analysis("much", Evaluation, _much, "how much of each property is read", always=True, share=9),
    Analysis("where", Where, _where, "where in the vector", always=True, share=24),
    Analysis(
        "when",
        When,
        lambda w: when(w.reader, w.whole, w.moments, w.progress),
        "when in training",
        always=True,
        share=7,
    ),
    Analysis(
        "bare", Evaluation, _bare, "how much, without running statistics", folder="bare", share=9
    ),
    Analysis(
        "numbers",
        Regression,
        lambda w: regress(w.reader.study, progress=w.progress),
        "how well numbers are read",
        folder="numbers",
        may_lack=True,
        share=5,
    ),
    Analysis(
        "slices",
        Slices,
        lambda w: slices(w.reader, w.progress),
        "accuracy by length of slice",
        share=21,
    ),
    Analysis(
        "transfer", Transfer, _transfer, "trained on one snapshot, tested on another", share=2
    ),
    Analysis(
        "what",
        What,
        lambda w: what(w.reader, w.whole.length, w.whole.count, w.progress),
        "which features carry a property",
        share=12,
    ),
    Analysis(
        "map",
        Map,
        lambda w: map_of(w.reader, w.whole.length, w.moments, w.progress),
        "nets as points in the plane",
        share=2,
    ),
    Analysis(
        "unseen",
        Unseen,
        lambda w: unseen(w.reader, w.whole, w.progress),
        "nets of a level left out of training",
        share=9,
    ),
    Analysis(
        "training",
        Training,
        lambda w: training(w.reader.zoo, w.reader.labels),
        "test accuracy of the nets",
        always=True,
    ),
)
"""The analyses of a dissection, in the order in which they run."""
BY_NAME = {analysis.name: analysis for analysis in ANALYSES}
ALSO = tuple(analysis.name for analysis in ANALYSES if not analysis.always)
"""The names of the optional analyses: see `dissect`."""
