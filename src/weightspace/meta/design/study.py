"""`Study`: labels, groups, folds and slices of a zoo, worked out once for several analyses."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from weightspace.errors import UsageError
from weightspace.features import SHORTEST
from weightspace.markup import summary
from weightspace.meta.design.folds import Cells, HeldOut
from weightspace.meta.design.labelings import Labelings
from weightspace.meta.design.labels import Labels, labels_of
from weightspace.meta.design.slices import Source
from weightspace.zoo import Split, Zoo, opened

USUAL_LENGTH = 5000
"""The default length of a slice; shorter if the shortest vector has fewer values."""
FEWEST_PERMUTATIONS = 5
"""Fewer permutations say too little about the spread of the control."""


@dataclass(frozen=True, eq=False)
class Study:
    """Which nets of a zoo are read, which of their values, which properties, and the split.

    Make one with `Study.of` and give it to `evaluate`, `regress`, `fit` and `dissect`. Labels,
    groups and folds are then worked out once for all of them.

    Parameters
    ----------
    zoo : Zoo
        An open zoo.
    labels : Labels
        The nets that take part, with their level of each property and their groups.
    source : Source
        Which values of which vectors are read.
    slices_per_net : int
        The number of random slices of each net, for each seed.
    folds : int
        The number of folds. Folds are by net, and nets of one group are in one fold.
    seeds : tuple of int
        The whole procedure (folds, slices and estimators) runs once for each seed.
    permutations : int
        How often the procedure is repeated with labels permuted over nets, as the control: 0, or
        at least 5.
    split : Split or None
        Nets to train on and nets to test on, instead of folds.
    """

    zoo: Zoo
    labels: Labels
    source: Source
    slices_per_net: int
    folds: int
    seeds: tuple[int, ...]
    permutations: int
    split: Split | None

    def _repr_html_(self) -> str:
        facts = [
            ("zoo", self.zoo.name),
            ("nets", len(self.labels.nets)),
            ("diverged, left out", self.labels.diverged),
            ("slices of a net", self.slices_per_net),
            ("folds", self.folds if self.split is None else "a split instead"),
            ("seeds", ", ".join(map(str, self.seeds))),
            ("permutations", self.permutations),
        ]
        rows = [(name, ", ".join(levels)) for name, levels in self.labels.levels.items()]
        return summary("Study", facts, ("property", "levels"), rows)

    @classmethod
    def of(
        cls,
        zoo: Study | Zoo | str | Path,
        *,
        properties: Sequence[str] | None = None,
        slice_length: int | None = None,
        snapshots: Sequence[int] = (-1,),
        part: str = "all",
        running_stats: bool = True,
        slices_per_net: int = 8,
        folds: int = 5,
        seeds: Sequence[int] = (0, 1, 2),
        permutations: int = 10,
        split: Split | None = None,
    ) -> Study:
        """Work out a study of a zoo; return a given study as it is.

        Parameters
        ----------
        zoo : Zoo, str, Path or Study
            With a study all other arguments must be left out, because the study holds them.
        properties : sequence of str, optional
            By default all that vary in the zoo's space and are on record for every net.
        slice_length : int, optional
            Values of a slice. By default 5,000, or as many as the shortest vector has.
        snapshots : sequence of int
            From 1, or back from -1, the last. Nets that have none of them are left out.
        part : {"all", "conv", "fc"}
            Which layers are read.
        running_stats : bool
            Whether running means and variances of batch norm are read.
        slices_per_net, folds, seeds, permutations, split
            As the attributes of these names.

        Returns
        -------
        Study

        Raises
        ------
        UsageError
            For unknown names, for numbers that are too small for an interval, and if the shortest
            vector is too short for a slice.

        Examples
        --------
        >>> import weightspace as ws
        >>> study = ws.Study.of("my-zoo", slice_length=1000)  # doctest: +SKIP
        >>> ws.evaluate(study), ws.regress(study)  # doctest: +SKIP
        """
        given = {k: v for k, v in locals().items() if k in _DEFAULTS}
        if isinstance(zoo, Study):
            for name, value in given.items():
                if value is not _DEFAULTS[name] and value != _DEFAULTS[name]:
                    raise UsageError(name, "the study already has it", "leave it out")
            return zoo
        seeds = tuple(int(seed) for seed in seeds)
        _require_counts(slices_per_net, seeds, permutations)
        zoo = opened(zoo)
        labels = labels_of(zoo, properties, snapshots, split)
        length = USUAL_LENGTH if slice_length is None else slice_length
        source = Source(length, tuple(snapshots), part, running_stats)
        if slice_length is None and labels.nets:
            source = _fitted(source, zoo, labels.nets)
        return cls(zoo, labels, source, slices_per_net, folds, seeds, permutations, split)

    def require(self) -> None:
        """Raise UsageError if there are too few nets for an interval, or slices do not fit.

        Raises
        ------
        UsageError
            With the numbers and the remedy.
        """
        self.labels.require(self.folds)
        self.source.require(self.zoo, self.labels.nets)

    def reading(self, **changed: Any) -> Study:
        """Return the same study with another source.

        Parameters
        ----------
        **changed
            New values of `slice_length`, `part` or `running_stats`.

        Returns
        -------
        Study
        """
        return replace(self, source=replace(self.source, **changed))

    @cached_property
    def cells(self) -> Cells:
        """The folds, or the nets to train on and the nets to test on."""
        if self.split is None:
            return Cells.build(self.labels.matrix, self.labels.groups, self.folds)
        tested = np.isin(self.labels.nets, self.split.test)
        self.labels.require_sides(tested, self.folds)
        return HeldOut.of(tested)

    def labelings(self, permutations: int | None = None) -> Labelings:
        """Return the true labels together with permuted labels.

        Parameters
        ----------
        permutations : int, optional
            How many permutations, by default those of the study.

        Returns
        -------
        Labelings
            With codes int64 [net, labeling, property]; labeling 0 is the true one.
        """
        count = self.permutations if permutations is None else permutations
        return Labelings.of(self.labels.matrix, self.cells, count)

    @property
    def facts(self) -> dict[str, Any]:
        """What the tables of results say about the study, by the names of their columns."""
        return {
            "slice_length": self.source.slice_length,
            "part": self.source.part,
            "running_stats": self.source.running_stats,
            "snapshots": ", ".join(map(str, self.source.snapshots)),
            "folds": None if self.split else self.folds,
            "split": self.split.name if self.split else "cross-fitted",
            "seeds": ", ".join(map(str, self.seeds)),
        }


_DEFAULTS = {
    name: parameter.default
    for name, parameter in inspect.signature(Study.of).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def _fitted(source: Source, zoo: Zoo, nets: Sequence[str]) -> Source:
    """The source with slices short enough for the shortest of the nets' vectors."""
    shortest = min(source.slice_length, source.shortest(zoo, nets)[0])
    if shortest < SHORTEST:
        raise UsageError(
            "part",
            f"{source.part} has {shortest} values in the shortest net, a slice needs {SHORTEST} "
            "or more",
            "read another part, or leave that net out",
        )
    return replace(source, slice_length=shortest)


def _require_counts(slices_per_net: int, seeds: tuple[int, ...], permutations: int) -> None:
    """Raise UsageError for numbers of repetitions that allow no interval."""
    if slices_per_net < 1:
        raise UsageError("slices_per_net", slices_per_net, "give at least 1")
    if not seeds or len(set(seeds)) < len(seeds) or min(seeds) < 0:
        raise UsageError("seeds", list(seeds), "give distinct whole numbers from 0, at least one")
    if permutations < FEWEST_PERMUTATIONS and permutations != 0:
        raise UsageError(
            "permutations",
            f"{permutations} are too few for an interval",
            f"give at least {FEWEST_PERMUTATIONS}, or 0",
        )
