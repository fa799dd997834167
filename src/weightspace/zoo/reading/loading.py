"""Slices to learn from: a map-style data set for torch's `DataLoader`, and batches for NumPy.

Neither needs torch. Which slice has which number is a function of the seed, the epoch, the net's
name and the number alone: not of the order in which they are asked for, of who asks, or of which
other nets there are.
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

from weightspace.errors import UsageError
from weightspace.zoo.reading.reader import Zoo, opened
from weightspace.zoo.reading.slices import Slices

_PICK, _START = 1, 2  # what a random number is for


@dataclass(frozen=True)
class Batch(Slices):
    """Slices with what is to be learnt: `labels[name]` [n] for each property asked for."""

    labels: Mapping[str, np.ndarray]


class SliceDataset:
    """`per_net` slices of each net, as a map-style data set: net i has the items i, i + nets, ...

    An item is a dict: `values` float32 [length], `net` (text), `snapshot` and `start` (int), and
    each of `labels`: columns of the table of nets, numbers as they are, text and truth as the
    position in `levels[name]` (int). Arguments are those of `Zoo.slices`; `nets` may also be
    "train" or "test", the zoo's stored split. Raises `UsageError` for arguments that make no
    sense, and where a net's label is unknown.

    `torch.utils.data.DataLoader(dataset, batch_size=256, shuffle=True, num_workers=2)` takes it as
    it is. Set `epoch` before each pass for new slices.
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
            raise UsageError(f"per_net: {per_net} slices of a net; ask for at least one")
        if not 0 <= seed < 2**63:
            raise UsageError(f"seed: {seed} is not from 0 to 2^63 - 1; give such a number")
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
        """The items of these numbers, read together; the form in which a `DataLoader` asks."""
        batch = self.batch(np.asarray(indices, np.int64))
        columns = {"snapshot": batch.snapshot, "start": batch.start, **batch.labels}
        plain = {name: column.tolist() for name, column in columns.items()}
        nets = batch.net.tolist()
        return [
            {"values": values, "net": nets[i], **{name: plain[name][i] for name in plain}}
            for i, values in enumerate(batch.values)
        ]

    def batch(self, indices: np.ndarray) -> Batch:
        """The items of these numbers, int64 [n], negative from the end, as arrays."""
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
        """All items once, `size` at a time (the last may be fewer), read ahead by threads.

        In an order that seed and epoch decide, or in ascending order without `shuffle`. Memory is
        that of `workers` + 2 batches.
        """
        if size < 1 or workers < 1:
            raise UsageError(f"batches of {size} by {workers} workers; give at least one of both")
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

    def _uniform(self, net: np.ndarray, number: np.ndarray, purpose: int) -> np.ndarray:
        """Numbers in [0, 1), float64: SplitMix64 of all that a slice depends on."""
        state = self._keys[net]
        for more in (self.seed, self.epoch, purpose, number):
            state = _mixed(state + np.asarray(more).astype(np.uint64))
        return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def _coded(self, name: str) -> np.ndarray:
        if name not in self.zoo.nets.columns:
            raise UsageError(f"label {name!r}: is no column of the nets; see `zoo.nets`")
        column = self.zoo.nets[name].gather(self._selected.nets)
        if column.null_count():
            net = self._names[int(column.is_null().arg_true()[0])]
            raise UsageError(
                f"label {name!r}: is unknown for {column.null_count():,} nets, such as {net}; "
                "leave them out with nets="
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
        raise UsageError(f"nets {nets!r}: give train, test or a list of nets")
    return sides[nets]


def _key(net: str) -> int:
    return int.from_bytes(hashlib.blake2b(net.encode(), digest_size=8).digest(), "little")


def _mixed(state: np.ndarray) -> np.ndarray:
    """One step of SplitMix64 (Steele, Lea and Flood 2014), on uint64 that wrap."""
    state = state + np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
