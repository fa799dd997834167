"""Labels: the level of each net of a population, for each property."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from weightspace.errors import UsageError
from weightspace.meta.design.slices import held
from weightspace.space import THIRDS, Choice, Space, Uniform

if TYPE_CHECKING:
    from weightspace.zoo import Split, Zoo


@dataclass(frozen=True)
class Labels:
    """The nets that take part, in the zoo's order, and their level of each property.

    Parameters
    ----------
    nets : tuple of str
        The ids of the N nets.
    levels : dict of str to tuple of str
        For each property the names of the levels that occur, in the space's order.
    codes : dict of str to int64 [N]
        For each property the position of each net's level in `levels`.
    groups : int64 [N]
        Nets that were trained from one seed, or began from one vector, share a number. They are
        never on both sides of a split.
    diverged : int
        How many nets were left out because their training diverged.
    dead : int
        How many nets among `nets` stayed at chance, or never moved.
    lacking : int
        How many nets were left out because they have none of the requested snapshots.
    unrecorded : int
        How many nets were left out because their level of a property is not on record.
    """

    nets: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    codes: dict[str, np.ndarray]
    groups: np.ndarray
    diverged: int = 0
    dead: int = 0
    lacking: int = 0
    unrecorded: int = 0

    @property
    def properties(self) -> tuple[str, ...]:
        """Names of the properties, in the space's order or in the requested order."""
        return tuple(self.codes)

    @property
    def matrix(self) -> np.ndarray:
        """The codes side by side: int64 [N, properties]."""
        return np.stack(list(self.codes.values()), axis=1)

    def require(self, folds: int) -> None:
        """Raise UsageError if there are too few nets for an interval.

        Parameters
        ----------
        folds : int
            The number of folds: every level needs a net in each, and each fold 5 nets.

        Raises
        ------
        UsageError
            With the numbers and the remedy.
        """
        require(self.codes, folds, self.levels, self.diverged, self.lacking, self.unrecorded)
        require_groups(self.groups, folds)

    def require_sides(self, tested: np.ndarray, folds: int) -> None:
        """Raise UsageError if one side of a split has too few nets, or if sides share a group.

        Parameters
        ----------
        tested : bool [N]
            The nets to test on; all others are trained on.
        folds : int
            As for `require`.

        Raises
        ------
        UsageError
            With the side, the numbers and the remedy.
        """
        for side, own in (("train", ~tested), ("test", tested)):
            codes = {name: column[own] for name, column in self.codes.items()}
            try:
                require(codes, folds, self.levels, who="a side needs")
            except UsageError as error:
                raise error.within(f"split, side {side}") from None
        if len(shared := np.intersect1d(self.groups[tested], self.groups[~tested])):
            nets = [self.nets[i] for i in np.flatnonzero(self.groups == shared[0])]
            raise UsageError(
                "split",
                f"nets {', '.join(nets[:3])} were trained from one seed and are on both sides",
                "put them on one side",
            )


def require(
    codes: Mapping[str, np.ndarray],
    folds: int,
    levels: Mapping[str, Sequence[str]] | None = None,
    diverged: int = 0,
    lacking: int = 0,
    unrecorded: int = 0,
    who: str | None = None,
) -> None:
    """Raise UsageError if there are too few nets for an interval.

    That is: fewer than two folds, a property with one level, fewer than 5 x folds nets, or a level
    with fewer nets than folds. `codes`: property -> int [N]. The other arguments only add to the
    messages: names of levels, numbers of nets left out, and `who` needs so many nets.
    """
    if folds < 2:
        raise UsageError("folds", f"{folds} cannot be split", "give at least 2")
    nets = len(next(iter(codes.values())))
    who = who or f"{folds} folds need"
    without = (
        (diverged, "diverged"),
        (lacking, "without these snapshots"),
        (unrecorded, "without a record of it"),
    )
    reasons = ", ".join(f"{count} {reason}" for count, reason in without if count)
    if nets < 5 * folds:
        left_out = f" ({reasons})" if reasons else ""
        raise UsageError(
            "too few nets for an interval",
            f"{nets} usable{left_out}, {who} {5 * folds}",
            "sample more nets",
        )
    for name, column in codes.items():
        counts = np.bincount(column, minlength=len(levels[name]) if levels else 0)
        names = levels[name] if levels else [f"level {i}" for i in range(len(counts))]
        if len(counts) < 2:
            left_out = f" (others were left out: {reasons})" if reasons else ""
            raise UsageError(
                name,
                f"every net has {names[0]}{left_out}, so there is nothing to predict",
                "leave it out or sample a space in which it varies",
            )
        scarce = int(counts.argmin())
        if counts[scarce] < folds:
            raise UsageError(
                "too few nets for an interval",
                f"{name} {names[scarce]} has {counts[scarce]} of {nets} nets, {who} {folds}",
                f"sample more nets or leave {name} out",
            )


def require_groups(groups: np.ndarray, folds: int) -> None:
    """Raise UsageError if there are fewer groups than folds; nets of one seed are one group."""
    if (own := len(np.unique(groups))) < folds:
        raise UsageError(
            "too few seeds for an interval",
            f"the {len(groups)} nets were trained from {own}, and nets of one seed stay in one "
            f"fold; {folds} folds need {folds}",
            "sample more seeds",
        )


def labels_of(
    zoo: Zoo,
    properties: Sequence[str] | None = None,
    snapshots: Sequence[int] = (-1,),
    split: Split | None = None,
) -> Labels:
    """Work out the labels of a zoo's nets; diverged nets are left out, dead nets stay.

    Parameters
    ----------
    zoo : Zoo
        An open zoo.
    properties : sequence of str, optional
        By default all properties that vary in the zoo's space and are on record for every net.
        Nets without a record of a named property are left out and counted.
    snapshots : sequence of int
        Numbers from 1, or back from -1, the last. Nets that have none of these are left out.
    split : Split, optional
        Only the nets of the split take part. The property that made the split is no default
        property.

    Returns
    -------
    Labels

    Raises
    ------
    UsageError
        For a name that does not vary; the message lists the properties that vary.
    """
    nets = zoo.nets
    if split is not None:
        nets = nets.filter(pl.col("net").is_in([*split.train, *split.test]))
        properties = properties or [n for n in _on_record(nets, zoo.space) if n != split.by]
    has = nets["net"].is_in(list(held(zoo, snapshots)))
    labels = labels_from(nets.filter(has), zoo.space, properties)
    lost = nets.filter(~has)["diverged"].fill_null(False)
    return replace(
        labels,
        groups=joined(labels.groups, _starts(zoo, labels.nets)),
        diverged=labels.diverged + int(lost.sum()),
        lacking=int((~lost).sum()),
    )


def _starts(zoo: Zoo, nets: Sequence[str]) -> list[str | None]:
    """The checksum of each net's initial vector; None where it is not kept, or is a constant.

    Constant initialisations of one architecture are equal because of the recipe, not of the seed.
    """
    own = zoo.nets.select("net", "initialization").join(
        zoo.snapshots.filter(pl.col("step") == 0).unique("net").select("net", "checksum"), on="net"
    )
    kept = own.filter(pl.col("initialization").fill_null("") != "constant")
    known = dict(kept.select("net", "checksum").iter_rows())
    return [known.get(net) for net in nets]


def joined(groups: np.ndarray, starts: Sequence[str | None]) -> np.ndarray:
    """Groups int [N], with two groups joined where they have nets that began from one vector."""
    first: dict[str, int] = {}
    found = groups.copy()
    for i, start in enumerate(starts):
        if start is not None and found[i] != (other := found[first.setdefault(start, i)]):
            found[found == found[i]] = other
    return found


def labels_from(
    nets: pl.DataFrame, space: Space, properties: Sequence[str] | None = None
) -> Labels:
    """Labels from a table with a row for each net: net, diverged, dead, seed, recipe fields."""
    if isinstance(properties, str):
        properties = (properties,)
    names = _on_record(nets, space) if properties is None else tuple(dict.fromkeys(properties))
    for name in names:
        if name not in space.properties:
            raise UsageError(
                name,
                f"no property of the space {space.name}",
                f"known are {', '.join(space.properties) or 'none'}",
            )
    if not names:
        raise UsageError("properties", "none to predict", "name at least one")
    whole = nets.drop_nulls(names)
    unrecorded, nets = len(nets) - len(whole), whole
    diverged = nets["diverged"].fill_null(False).to_numpy()
    kept = nets.filter(~diverged)
    levels: dict[str, tuple[str, ...]] = {}
    codes: dict[str, np.ndarray] = {}
    for name in names:
        levels[name], codes[name] = _levels(name, kept[name].to_list(), space)
    return Labels(
        nets=tuple(kept["net"].to_list()),
        levels=levels,
        codes=codes,
        groups=_groups(kept["seed"].to_list()),
        diverged=int(diverged.sum()),
        dead=int(kept["dead"].fill_null(False).sum()) if "dead" in kept.columns else 0,
        unrecorded=unrecorded,
    )


def _on_record(nets: pl.DataFrame, space: Space) -> tuple[str, ...]:
    """The properties on record for every net; UsageError if there is none."""
    names = tuple(name for name in space.properties if not nets[name].null_count())
    if space.properties and not names:
        raise UsageError(
            "properties",
            "none is on record for every net",
            f"name one that some nets have, of {', '.join(space.properties)}",
        )
    return names


def _levels(name: str, values: list[Any], space: Space) -> tuple[tuple[str, ...], np.ndarray]:
    """The names of the levels that occur, and the position of each net's level among them."""
    distribution = space.distributions[name]
    if isinstance(distribution, Uniform):
        low, high = distribution.limits
        borders = (low, *distribution.edges(THIRDS), high)
        every = [f"{a}-{b}" for a, b in pairwise(_apart(borders))]
    else:
        assert isinstance(distribution, Choice)
        every = [level_name(value) for value in distribution.values]
    codes = distribution.levels(values)
    if (codes < 0).any():
        raise UsageError(
            name,
            f"{values[int(codes.argmin())]!r} of a net is not in the zoo's space "
            f"({', '.join(every)})",
            f"correct the space or leave {name} out",
        )
    present = np.flatnonzero(np.bincount(codes, minlength=len(every)) > 0)
    return tuple(every[i] for i in present), np.searchsorted(present, codes).astype(np.int64)


def _apart(borders: Sequence[float]) -> list[str]:
    """The borders as text, with two digits or as many more as make them different."""
    for digits in range(2, 17):
        names = [f"{border:.{digits}g}" for border in borders]
        if len(set(names)) == len(names):
            return names
    return [repr(float(border)) for border in borders]


def level_name(value: Any) -> str:
    """The text of a level: names as they are, switches as true and false."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _groups(seeds: Sequence[int | None]) -> np.ndarray:
    """One number for all nets of a seed; where all nets share a seed, one number for each net."""
    if len(set(seeds)) == 1:
        return np.arange(len(seeds))
    known: dict[int, int] = {}
    return np.array(
        [i if seed is None else known.setdefault(seed, i) for i, seed in enumerate(seeds)], np.int64
    )
