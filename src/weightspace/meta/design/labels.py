"""Labels: for each property, which level each net of a population has."""

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

    `nets`: ids [N]. `levels`: property -> names of its levels, those that occur, in the space's
    order. `codes`: property -> int64 [N], positions in `levels`. `groups` int64 [N]: nets that
    were trained from one seed, or began from one vector, share a number and never stand on both
    sides of a split.
    `diverged` counts the nets left out, `lacking` those left out as they have none of the snapshots
    asked for, `unrecorded` those left out as it is not on record which level they have, `dead` the
    nets among `nets` that stayed at chance (or never moved).
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
        """Names of the properties, in the space's order or the order asked for."""
        return tuple(self.codes)

    @property
    def matrix(self) -> np.ndarray:
        """The codes side by side: int64 [N, properties]."""
        return np.stack(list(self.codes.values()), axis=1)

    def require(self, folds: int) -> None:
        """Refuse, with the numbers, where no interval could mean anything; see `require`."""
        require(self.codes, folds, self.levels, self.diverged, self.lacking, self.unrecorded)
        require_groups(self.groups, folds)

    def require_sides(self, tested: np.ndarray, folds: int) -> None:
        """The same of each side of a split: nets `tested` bool [N], and the others."""
        for side, own in (("train", ~tested), ("test", tested)):
            codes = {name: column[own] for name, column in self.codes.items()}
            try:
                require(codes, folds, self.levels, who="a side needs")
            except UsageError as error:
                raise UsageError(f"split, side {side}: {error}") from None
        if len(shared := np.intersect1d(self.groups[tested], self.groups[~tested])):
            nets = [self.nets[i] for i in np.flatnonzero(self.groups == shared[0])]
            raise UsageError(
                f"split: nets {', '.join(nets[:3])} were trained from one seed and stand on both "
                "sides; put them on one"
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
    """Refuse, with the numbers, where no interval could mean anything.

    `codes`: property -> int [N]; `levels`, the numbers of nets left out and `who` needs so many
    nets make the messages say more. Raises UsageError for fewer than two folds, a property with
    one level, fewer than 5 x folds nets, and a level with fewer nets than folds.
    """
    if folds < 2:
        raise UsageError(f"folds: {folds} cannot be split; give at least 2")
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
            f"too few nets for an interval: {nets} usable{left_out}, "
            f"{who} {5 * folds}; sample more nets"
        )
    for name, column in codes.items():
        counts = np.bincount(column, minlength=len(levels[name]) if levels else 0)
        names = levels[name] if levels else [f"level {i}" for i in range(len(counts))]
        if len(counts) < 2:
            left_out = f" (others were left out: {reasons})" if reasons else ""
            raise UsageError(
                f"{name}: every net has {names[0]}{left_out}, so there is nothing to predict; "
                "leave it out or sample a space in which it varies"
            )
        scarce = int(counts.argmin())
        if counts[scarce] < folds:
            raise UsageError(
                f"too few nets for an interval: {name} {names[scarce]} has "
                f"{counts[scarce]} of {nets} nets, {who} {folds}; "
                f"sample more nets or leave {name} out"
            )


def require_groups(groups: np.ndarray, folds: int) -> None:
    """UsageError where nets of one seed, which stay together, are too few groups for the folds."""
    if (own := len(np.unique(groups))) < folds:
        raise UsageError(
            f"too few seeds for an interval: the {len(groups)} nets were trained from {own}, and "
            f"nets of one seed stay together; {folds} folds need {folds}; sample nets of more seeds"
        )


def labels_of(
    zoo: Zoo,
    properties: Sequence[str] | None = None,
    snapshots: Sequence[int] = (-1,),
    split: Split | None = None,
) -> Labels:
    """The labels of a zoo's nets; diverged nets are left out, dead nets stay.

    `properties`: names to label, by default all that vary in the zoo's space and are on record for
    every net; nets without a record of a property that is named are left out and counted, as are
    those that have none of `snapshots` (from 1, or back from -1). With a `split` only its nets take
    part, and of all properties not the one by which it was made. Raises UsageError for a name that
    does not vary, listing those that do.
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
    """What each net's initial vector hashes to; None where it is not kept, or is a constant.

    Constant initialisations of one architecture are equal because of the recipe, not of a seed.
    """
    own = zoo.nets.select("net", "initialization").join(
        zoo.snapshots.filter(pl.col("step") == 0).unique("net").select("net", "checksum"), on="net"
    )
    kept = own.filter(pl.col("initialization").fill_null("") != "constant")
    known = dict(kept.select("net", "checksum").iter_rows())
    return [known.get(net) for net in nets]


def joined(groups: np.ndarray, starts: Sequence[str | None]) -> np.ndarray:
    """Groups int [N], joined where nets of two of them began from one vector."""
    first: dict[str, int] = {}
    found = groups.copy()
    for i, start in enumerate(starts):
        if start is not None and found[i] != (other := found[first.setdefault(start, i)]):
            found[found == found[i]] = other
    return found


def labels_from(
    nets: pl.DataFrame, space: Space, properties: Sequence[str] | None = None
) -> Labels:
    """The same from a table of nets (one row a net: net, diverged, dead, seed, recipe fields)."""
    if isinstance(properties, str):
        properties = (properties,)
    names = _on_record(nets, space) if properties is None else tuple(dict.fromkeys(properties))
    for name in names:
        if name not in space.properties:
            raise UsageError(
                f"{name}: no property of the space {space.name}; "
                f"known are {', '.join(space.properties) or 'none'}"
            )
    if not names:
        raise UsageError("properties: none to predict; name at least one")
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
    """The properties that every net has a record of; refused where only some nets have one."""
    names = tuple(name for name in space.properties if not nets[name].null_count())
    if space.properties and not names:
        raise UsageError(
            "properties: none is on record for every net; name one that some have of "
            f"{', '.join(space.properties)}"
        )
    return names


def _levels(name: str, values: list[Any], space: Space) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the levels that occur and each net's position among them."""
    distribution = space.distributions[name]
    if isinstance(distribution, Uniform):
        borders = (distribution.low, *distribution.edges(THIRDS), distribution.high)
        every = [f"{a}-{b}" for a, b in pairwise(_apart(borders))]
    else:
        assert isinstance(distribution, Choice)
        every = [level_name(value) for value in distribution.values]
    codes = distribution.levels(values)
    if (codes < 0).any():
        raise UsageError(
            f"{name}: {values[int(codes.argmin())]!r} of a net is not in the zoo's space "
            f"({', '.join(every)}); correct the space or leave {name} out"
        )
    present = np.flatnonzero(np.bincount(codes, minlength=len(every)) > 0)
    return tuple(every[i] for i in present), np.searchsorted(present, codes).astype(np.int64)


def _apart(borders: Sequence[float]) -> list[str]:
    """The borders as text, with two digits or as many more as tell them apart."""
    for digits in range(2, 17):
        names = [f"{border:.{digits}g}" for border in borders]
        if len(set(names)) == len(names):
            return names
    return [repr(float(border)) for border in borders]


def level_name(value: Any) -> str:
    """How a level is written everywhere: words as they are, switches as true and false."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _groups(seeds: Sequence[int | None]) -> np.ndarray:
    """One number for nets of one seed; where all nets share a seed, each is a group by itself."""
    if len(set(seeds)) == 1:
        return np.arange(len(seeds))
    known: dict[int, int] = {}
    return np.array(
        [i if seed is None else known.setdefault(seed, i) for i, seed in enumerate(seeds)], np.int64
    )
