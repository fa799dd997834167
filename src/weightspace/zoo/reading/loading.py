"""Random slices for training: a map-style data set for torch's `DataLoader`, and NumPy batches.

This module does not need torch. A slice depends only on the seed, the epoch, the name of its net
and its number. It does not depend on the order of requests, on the worker, or on other nets.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from weightspace.arrays import Float64, Int, Shaped, UInt64
from weightspace.errors import UsageError
from weightspace.zoo.reading.reader import Zoo, opened
from weightspace.zoo.reading.slices import Slices

_PICK, _START = 1, 2  # the purposes of random numbers


@dataclass(frozen=True)
class Batch(Slices):
    """Slices with labels.

    Attributes
    ----------
    values, net, snapshot, start : ndarray
        As for `Slices`.
    labels : mapping of str to ndarray, shape (n,)
        The labels of each slice, by the name of the property.
    """

    labels: Mapping[str, Shaped[np.ndarray, " n"]]


class SliceDataset:
    """Labelled random slices of a zoo, as a map-style data set.

    There are `per_net` slices of each net; net i has the items i, i + nets, i + 2 nets, and so on.
    An item is a dict: `values` float32 [length], `net` (str), `snapshot` and `start` (int), and one
    entry for each name in `labels`. `torch.utils.data.DataLoader(dataset, batch_size=256,
    shuffle=True)` accepts the data set directly.

    Parameters
    ----------
    zoo : Zoo, str or Path
        The zoo, or where it lies.
    per_net : int
        Slices of each net in one epoch.
    length : int
        Values of a slice.
    seed : int
        From 0 to 2^63 - 1.
    nets : iterable of str, "train" or "test", optional
        Names of nets, or a side of the zoo's stored split. All nets by default.
    snapshots : iterable of int, optional
        As for `Zoo.slices`.
    part : {"all", "conv", "fc"}
        As for `Zoo.slices`.
    running_stats : bool
        As for `Zoo.slices`.
    labels : sequence of str
        Columns of the table of nets. Numbers are given as they are; text and booleans are given as
        the position in `levels[name]`.

    Attributes
    ----------
    epoch : int
        Set it before each pass over the data to get new slices.
    levels : dict of str to list
        The levels of each label that is text or boolean, sorted.

    Raises
    ------
    UsageError
        If an argument is not possible, or a label is unknown for one of the nets.
    """

    def __init__(
        self,
        zoo: Zoo | str | Path,
        per_net: int = 1,
        length: int = 5000,
        seed: int = 0,
        *,
        nets: Iterable[str] | str | None = None,
        snapshots: Iterable[int] | None = None,
        part: str = "all",
        running_stats: bool = True,
        labels: Sequence[str] = (),
    ) -> None:
        if per_net < 1:
            raise UsageError("per_net", f"{per_net} slices of a net", "ask for at least one")
        if not 0 <= seed < 2**63:
            raise UsageError("seed", f"{seed} is not from 0 to 2^63 - 1", "give such a number")
        self.zoo = opened(zoo)
        self.length = length
        self.seed = seed
        self.epoch = 0
        self._selected = self.zoo.select(_named(self.zoo, nets), snapshots, part, running_stats)
        self._room = self.zoo.starts(self._selected, length)
        self._names = self.zoo.nets["net"].to_numpy().astype(str)[self._selected.nets]
        self._keys = np.array([_key(net) for net in self._names.tolist()], np.uint64)
        self._size = per_net * len(self._names)
        self.levels: dict[str, list[Any]] = {}
        self._labels = {name: self._coded(name) for name in labels}

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The items with these numbers, read together; a `DataLoader` calls this method."""
        batch = self.batch(np.asarray(indices, np.int64))
        columns = {"snapshot": batch.snapshot, "start": batch.start, **batch.labels}
        plain = {name: column.tolist() for name, column in columns.items()}
        nets = batch.net.tolist()
        return [
            {"values": values, "net": nets[i], **{name: plain[name][i] for name in plain}}
            for i, values in enumerate(batch.values)
        ]

    def batch(self, indices: Int[np.ndarray, " n"]) -> Batch:
        """Read the items with these numbers as arrays.

        Parameters
        ----------
        indices : ndarray of int64, shape (n,)
            Numbers of items; negative numbers count from the end.

        Returns
        -------
        Batch
        """
        wrong = (indices < -self._size) | (indices >= self._size)
        if wrong.any():
            raise IndexError(f"slice {indices[wrong][0]}: there are {self._size}")
        number, net = np.divmod(indices % self._size, len(self._names))
        selected = self._selected
        pick = (self._uniform(net, number, _PICK) * selected.counts[net]).astype(np.int64)
        start = (self._uniform(net, number, _START) * self._room[net]).astype(np.int64)
        rows = selected.rows[selected.first[net] + pick]
        values = np.empty((len(indices), self.length), np.float32)
        self.zoo.gather(selected, net, rows, start, values)
        labels = {name: column[net] for name, column in self._labels.items()}
        numbers = self.zoo.snapshots["snapshot"].to_numpy()[rows]
        return Batch(values, self._names[net], numbers, start, labels)

    def batches(
        self, size: int = 256, *, shuffle: bool = True, workers: int = 1
    ) -> Iterator[Batch]:
        """Yield all items once, in batches that threads read ahead.

        Parameters
        ----------
        size : int
            Items of a batch; the last batch may have fewer.
        shuffle : bool
            Whether the order is random, decided by seed and epoch. Otherwise it is ascending.
        workers : int
            Threads. `workers` + 2 batches are in memory at a time.

        Yields
        ------
        Batch
        """
        if size < 1 or workers < 1:
            raise UsageError(
                "size, workers",
                f"batches of {size} by {workers} workers",
                "give at least 1 for each",
            )
        order = np.arange(self._size)
        if shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(order)
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for first in range(0, self._size, size):
                    waiting.append(pool.submit(self.batch, order[first : first + size]))
                    if len(waiting) > workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _uniform(
        self, net: Int[np.ndarray, " n"], number: Int[np.ndarray, " n"], purpose: int
    ) -> Float64[np.ndarray, " n"]:
        """Numbers in [0, 1): SplitMix64 of everything that a slice depends on."""
        state: NDArray[np.uint64] = self._keys[net]
        for more in (self.seed, self.epoch, purpose, number):
            state = _mixed(state + np.asarray(more).astype(np.uint64))
        return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _coded(self, name: str) -> Shaped[np.ndarray, " m"]:
        if name not in self.zoo.nets.columns:
            raise UsageError(f"label {name!r}", "is not a column of the nets", "see `zoo.nets`")
        column = self.zoo.nets[name].gather(self._selected.nets)
        if column.null_count():
            net = self._names[int(column.is_null().arg_true()[0])]
            raise UsageError(
                f"label {name!r}",
                f"is unknown for {column.null_count():,} nets, such as {net}",
                "leave them out with nets=",
            )
        if column.dtype not in (pl.String, pl.Boolean):
            return column.to_numpy()
        self.levels[name] = levels = column.unique().sort().to_list()
        return np.searchsorted(np.array(levels), column.to_numpy()).astype(np.int64)


def _named(zoo: Zoo, nets: Iterable[str] | str | None) -> Iterable[str] | None:
    if not isinstance(nets, str):
        return nets
    sides = {"train": zoo.split().train, "test": zoo.split().test}
    if nets not in sides:
        raise UsageError(f"nets {nets!r}", "give train, test or a list of nets")
    return sides[nets]


def _key(net: str) -> int:
    return int.from_bytes(hashlib.blake2b(net.encode(), digest_size=8).digest(), "little")


def _mixed(state: UInt64[NDArray[np.uint64], " n"]) -> UInt64[NDArray[np.uint64], " n"]:
    """One step of SplitMix64 (Steele, Lea and Flood 2014), on numbers that wrap."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
