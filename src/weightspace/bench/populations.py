"""The populations of the benchmark: what is sampled, and the hash that pins it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path

import polars as pl

from weightspace.errors import DataError, UsageError
from weightspace.meta.design.labels import Labels, labels_from
from weightspace.progress import Progress, silent
from weightspace.sampling.drawing import Draw
from weightspace.space import Space, load_space
from weightspace.zoo import Zoo, opened

VALIDATION = 5
"""One of so many training nets is a validation net."""
SNAPSHOTS = 5
"""The snapshots of each net, at equal fractions of its training."""
_EVALUATION_IMAGES = 1000


@dataclass(frozen=True)
class Population:
    """A population that everyone samples alike.

    Parameters
    ----------
    name : str
        The name of its space, `spaces/NAME.yaml`.
    nets : int
        The number of nets.
    unseen : mapping of str to str
        Levels that one task each leaves out of the training, by property.
    pin : str
        What `pin_of` gives for it: SHA-256 of its recipes and image sets.
    outside : bool
        Whether nets of an outside program come with it.
    """

    name: str
    nets: int
    unseen: Mapping[str, str]
    pin: str
    outside: bool = False

    @property
    def space(self) -> Space:
        """The space of the population."""
        spaces = resources.files("weightspace.bench") / "spaces"
        with resources.as_file(spaces / f"{self.name}.yaml") as path:
            return load_space(path)

    def sample(
        self, out: str | Path, data_dir: str | None = None, progress: Progress = silent
    ) -> Zoo:
        """Sample the population, or go on with one that is not complete.

        Parameters
        ----------
        out : str or Path
            The zoo's folder.
        data_dir : str, optional
            The first folder in which image files are searched.
        progress : callable
            Called with a task, the number of trained nets, and the total.

        Returns
        -------
        Zoo

        Raises
        ------
        UsageError, DataError
            As `weightspace.sample`; also if the zoo is not the pinned population, because the image
            files differ.
        """
        from weightspace.sampling import sample  # loads torch

        zoo = sample(
            self.space, nets=self.nets, out=out, data_dir=data_dir, snapshots=SNAPSHOTS,
            evaluation_images=_EVALUATION_IMAGES, progress=progress,
        )  # fmt: skip
        self.require(zoo)
        return zoo

    @cached_property
    def labels(self) -> Labels:
        """The labels of all nets, as their recipes say."""
        drawn = [asdict(recipe) | {"net": recipe.net} for recipe in self._draw.first(self.nets)]
        table = pl.DataFrame(drawn, infer_schema_length=None)
        return labels_from(table.with_columns(diverged=False), self.space)

    @cached_property
    def split(self) -> Mapping[str, str]:
        """Whether a net is for training, validation or the test, by net."""
        sides = list(self._draw.splits(self.nets))
        taught = [i for i, side in enumerate(sides) if side == "train"]
        for i in taught[::VALIDATION]:
            sides[i] = "validation"
        return dict(zip(self.labels.nets, sides, strict=True))

    @cached_property
    def _draw(self) -> Draw:
        return Draw(self.space, seed=0, expected=self.nets)

    def require(self, zoo: Zoo) -> None:
        """Raise DataError if a zoo is not this population, complete.

        Parameters
        ----------
        zoo : Zoo
            An open zoo.

        Raises
        ------
        DataError
            With what differs.
        """
        again = f"sample it with `weightspace bench sample {self.name}`"
        if len(zoo.nets) != self.nets:
            raise DataError(zoo.name, f"has {len(zoo.nets)} of {self.nets} nets", again)
        if pin_of(zoo) != self.pin:
            raise DataError(
                zoo.name,
                f"is not the population {self.name}: its recipes or its images differ",
                f"{again}, with the image sets as their authors published them",
            )


def pin_of(zoo: Zoo) -> str:
    """What pins a population: SHA-256 of its recipes, its split and its image sets.

    Weights are not part of it, because processors round differently; `weights_of` has them.

    Parameters
    ----------
    zoo : Zoo
        An open zoo.

    Returns
    -------
    str
        64 hex digits.
    """
    images: dict[str, str] = {}
    for one in zoo.rounds.values():
        images |= one.images
    return pin(zoo.nets.select("net", "split").rows(), images)


def pin(nets: Iterable[tuple[str, str]], images: Mapping[str, str]) -> str:
    """SHA-256 of nets, each with its side of the split, and of the hashes of image sets.

    Parameters
    ----------
    nets : iterable of (str, str)
        The id of each net, which is a hash of its recipe, and "train" or "test".
    images : mapping of str to str
        For each image set the hash that a zoo keeps of it.

    Returns
    -------
    str
        64 hex digits.
    """
    facts = {"nets": sorted(map(list, nets)), "images": dict(images)}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def weights_of(zoo: Zoo) -> str:
    """SHA-256 of the checksums of all vectors: whether two zoos are equal bit by bit.

    Parameters
    ----------
    zoo : Zoo
        An open zoo.

    Returns
    -------
    str
        64 hex digits.
    """
    rows = zoo.snapshots.select("net", "snapshot", "checksum").sort("net", "snapshot").rows()
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def population(name: str) -> Population:
    """Return the population of this name.

    Parameters
    ----------
    name : str
        A key of `POPULATIONS`.

    Returns
    -------
    Population

    Raises
    ------
    UsageError
        If there is none of this name.
    """
    if name not in POPULATIONS:
        raise UsageError(name, "no such population", f"known are {', '.join(POPULATIONS)}")
    return POPULATIONS[name]


def population_of(zoo: Zoo | str | Path) -> Population:
    """Return the population that a zoo holds, complete.

    Parameters
    ----------
    zoo : Zoo, str or Path
        A zoo that `weightspace bench sample` made.

    Returns
    -------
    Population

    Raises
    ------
    DataError
        If the zoo is none of the benchmark's populations, or not complete.
    """
    zoo = opened(zoo)
    if zoo.space.name not in POPULATIONS:
        raise DataError(
            zoo.name,
            "is none of the benchmark's populations",
            f"sample one with `weightspace bench sample {next(iter(POPULATIONS))}`",
        )
    found = POPULATIONS[zoo.space.name]
    found.require(zoo)
    return found


POPULATIONS: dict[str, Population] = {
    one.name: one
    for one in (
        Population(
            "bench-small",
            1000,
            {"dataset": "fashion_mnist", "activation": "tanh"},
            "7cbf791565bc9a34b0df8dc6c8a53d800e2c3d94ac0fe05d4b8c124beae51900",
            outside=True,
        ),
        Population(
            "bench",
            1500,
            {"dataset": "fashion_mnist", "depth_conv": "4"},
            "9820765409fe452633c564da201a535eddaf96328e9e32dc58f802781a7bfca4",
        ),
        Population(
            "bench-wild",
            1000,
            {"dataset": "fashion_mnist", "architecture": "lenet"},
            "881db5b3912dd12c6fba39c0e4baf99d6005d3add36438fc469e136e85c176af",
        ),
    )
}
"""The populations by name."""
