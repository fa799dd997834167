"""Rounds: which nets of the draw a sampling run set out to train, one small file for each run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from weightspace import disk
from weightspace.arrays import Bool, Int, Int64
from weightspace.disk import InnerPath, write_file
from weightspace.errors import DataError
from weightspace.zoo.files import places
from weightspace.zoo.files.sealed import seal, unseal

_LARGEST = 2**26  # bytes of a round's file
_ENTRIES = ("nets", "images", "info")


@dataclass(frozen=True)
class Round:
    """The nets that one call of `sample` set out to train; no two rounds of a zoo share a net.

    A round never changes after it is written.

    Parameters
    ----------
    nets : tuple of (int, int)
        Ascending ranges (first, stop) of positions in the draw.
    images : mapping of str to str
        For each image set the hash of its images. Later rounds must use images with the same
        hashes.
    info : mapping
        Further facts, plain JSON values.

    Examples
    --------
    >>> one = Round.of([0, 1, 2, 7], images={}, info={})
    >>> one.nets
    ((0, 3), (7, 8))
    >>> one.count
    4
    >>> one.held(np.array([2, 3])).tolist()
    [True, False]
    """

    nets: tuple[tuple[int, int], ...]
    images: Mapping[str, str] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, indices: Iterable[int], images: Mapping[str, str], info: Mapping[str, Any]
    ) -> Round:
        """Make the round of the nets at these positions in the draw.

        Parameters
        ----------
        indices : iterable of int
            Positions in the draw, in any order.
        images : mapping of str to str
            For each image set the hash of its images.
        info : mapping
            Further facts, plain JSON values.

        Returns
        -------
        Round
        """
        at = np.unique(np.fromiter(indices, np.int64))
        pieces = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
        return cls(tuple((int(p[0]), int(p[-1]) + 1) for p in pieces if len(p)), images, info)

    @property
    def count(self) -> int:
        """The number of its nets."""
        return sum(stop - first for first, stop in self.nets)

    def held(self, indices: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Which of these positions in the draw belong to the round.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,)
            Positions in the draw.

        Returns
        -------
        ndarray of bool, shape (n,)
        """
        spans = np.array(self.nets, np.int64).reshape(-1, 2)
        at = np.searchsorted(spans[:, 0], indices, side="right") - 1
        inside: np.ndarray = (at >= 0) & (indices < spans[at, 1])
        return inside

    @property
    def indices(self) -> Int64[np.ndarray, " nets"]:
        """The positions of its nets in the draw, ascending."""
        return np.concatenate([np.arange(*span, dtype=np.int64) for span in self.nets])


def read(path: Path) -> dict[int, Round]:
    """Read the rounds of a zoo.

    Parameters
    ----------
    path : Path
        The folder of the zoo.

    Returns
    -------
    dict of int to Round
        The rounds by their numbers, in ascending order.

    Raises
    ------
    DataError
        If a file of a round is damaged or cannot be read.
    """
    found = {}
    for stem in places.units(path, places.ROUNDS):
        if stem.isdecimal():
            found[int(stem)] = _read(places.part(path, places.ROUNDS, stem))
    refuse_overlap((file_of(path, number), one) for number, one in found.items())
    return dict(sorted(found.items()))


def not_held(indices: Iterable[int], rounds: Iterable[Round]) -> list[int]:
    """Those of these positions in the draw that belong to no round, ascending."""
    left = np.unique(np.fromiter(indices, np.int64))
    for one in rounds:
        left = left[~one.held(left)]
    positions: list[int] = left.tolist()
    return positions


def add(path: Path, number: int, added: Round) -> bool:
    """Write round `number` of the zoo at `path`; False, and nothing is written, if it exists."""
    text = json.dumps(seal(asdict(added))).encode() + b"\n"
    return write_file(file_of(path, number), text, replace=False)


def file_of(path: Path, number: int) -> InnerPath:
    """The file of a round."""
    return places.part(path, places.ROUNDS, f"{number:06d}")


def refuse_overlap(named: Iterable[tuple[object, Round]]) -> None:
    """Raise DataError if two different rounds hold the same net; messages use the given names."""
    spans = sorted((*span, str(name)) for name, one in named for span in one.nets)
    for (_, stop, one), (first, _, other) in pairwise(spans):
        if first < stop:
            raise DataError(
                other, f"holds net number {first} of the draw, which {one} also holds", _AGAIN
            )


_AGAIN = "delete it and run the same command again: missing nets then get a new round"


def _read(file: InnerPath) -> Round:
    try:
        plain = unseal(json.loads(disk.read_text(file, _LARGEST)), _ENTRIES)
        nets = tuple((first, stop) for first, stop in plain["nets"])
        images, info = plain["images"], plain["info"]
        ends = [end for span in nets for end in span]
        sound = (
            bool(nets)
            and all(type(end) is int and 0 <= end <= places.MOST_NETS for end in ends)
            and all(first < stop for first, stop in nets)
            and all(one[1] < other[0] for one, other in pairwise(nets))
            and isinstance(info, dict)
            and isinstance(images, dict)
            and all(isinstance(digest, str) for digest in images.values())
        )
    except OSError as error:
        raise DataError(file, f"cannot be read ({error.strerror})", "check permissions") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        raise DataError(file, "is damaged, it does not say which nets it holds", _AGAIN)
    return Round(nets, images, info)
