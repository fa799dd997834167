"""Folds by net that are balanced in every property, and permutations that keep the balance."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import loky
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

_MOST_CELLS = 4
_CELL_GROUPS = 6


@dataclass(frozen=True)
class Cells:
    """A fixed partition of the nets into small cells, each balanced in every property.

    Folds of any seed are unions of cells, and labels are permuted within cells. Permuted labels are
    therefore as balanced over the folds of every seed as the true labels. Without that balance, a
    class that is frequent in the test fold is rare in training, and accuracies from permuted labels
    lie below chance. Under the null hypothesis the nets of a cell are exchangeable, so the control
    is exact.
    """

    cell: NDArray[np.int64]
    folds: int

    @property
    def tested(self) -> np.ndarray:
        """Which nets are tested: bool [N], here all."""
        return np.ones(len(self.cell), bool)

    @classmethod
    def build(cls, codes: np.ndarray, groups: np.ndarray, folds: int) -> Cells:
        """Partition nets by their labels `codes` int [N, q]; `groups` int [N] stay together."""
        scarcest = min(
            int(count) for column in codes.T for count in np.bincount(column) if count > 0
        )
        # Count groups, not nets: a few large groups in many cells would make unequal folds.
        own = len(np.unique(groups))
        split = min(_MOST_CELLS, own // (folds * _CELL_GROUPS), scarcest // folds)
        cells = folds * max(1, split)
        table = np.ascontiguousarray(np.column_stack([groups, codes]), np.int64)
        return cls(_balanced(table.tobytes(), table.shape[1], cells), folds)

    def fold_of(self, seed: int) -> np.ndarray:
        """The fold, 0..folds-1, of each net under a seed: int64 [N]."""
        count = int(self.cell.max()) + 1
        order = np.random.default_rng([seed, 0xF01D]).permutation(count)
        return order[self.cell] % self.folds

    def permutation(self, index: int) -> np.ndarray:
        """Permutation `index` of the nets within cells: int64 [N], where each label comes from."""
        rng = np.random.default_rng([index, 0x9E57])
        origin = np.arange(len(self.cell))
        for cell in np.unique(self.cell):
            members = np.flatnonzero(self.cell == cell)
            origin[members] = rng.permutation(members)
        return origin


class HeldOut(Cells):
    """Two cells for every seed: the nets to train on and the nets to test on.

    Labels are permuted within each cell, so that both keep their balance.
    """

    @classmethod
    def of(cls, tested: np.ndarray) -> HeldOut:
        """Test the nets of `tested`, bool [N], with classifiers trained on all other nets."""
        return cls(tested.astype(np.int64), 1)

    @property
    def tested(self) -> np.ndarray:
        """Which nets are tested: bool [N]."""
        tested: np.ndarray = self.cell == 1
        return tested

    def fold_of(self, seed: int) -> np.ndarray:
        """0 for a net to test on, -1 for a net to train on: int64 [N]."""
        return self.cell - 1


@lru_cache(maxsize=64)
def _balanced(table: bytes, width: int, cells: int) -> np.ndarray:
    """Assign groups to cells, the rarest labels first, each to the cell that lacks them most.

    `table` are the bytes of int64 [N, width], a net's group and then its labels: a dissection asks
    for the same cells a hundred times.
    """
    groups, *columns = np.frombuffer(table, np.int64).reshape(-1, width).T
    codes = np.stack(columns, axis=1)
    rng = np.random.default_rng([len(codes), cells])
    starts = np.concatenate([[0], np.cumsum(codes.max(axis=0) + 1)])
    flat = codes + starts[:-1]
    totals = np.bincount(flat.ravel(), minlength=starts[-1]).astype(float)
    rarity = totals[flat].min(axis=1)
    members: dict[int, list[int]] = {}
    for net in rng.permutation(len(codes)):
        members.setdefault(int(groups[net]), []).append(int(net))
    order = sorted(members.values(), key=lambda nets: (-len(nets), min(rarity[n] for n in nets)))
    counts = np.zeros((cells, starts[-1]))
    sizes = np.zeros(cells)
    cell = np.empty(len(codes), np.int64)
    for nets in order:
        labels = flat[nets].ravel()
        # Sizes may differ by one net, so that labels decide among the cells of the two least sizes.
        open_cells = np.flatnonzero(sizes <= sizes.min() + 1)
        load = (counts[np.ix_(open_cells, labels)] / totals[labels]).sum(axis=1)
        load += 1e-3 * sizes[open_cells] + 1e-9 * rng.random(len(open_cells))
        best = open_cells[load.argmin()]
        cell[nets] = best
        np.add.at(counts[best], labels, 1.0)
        sizes[best] += len(nets)
    cell.flags.writeable = False
    return cell


def each_fold(
    fold: np.ndarray, groups: np.ndarray, call: Callable[[int, np.ndarray], None]
) -> None:
    """Call `call(part, nets)` for every fold of `fold` int [N] from 0 up, folds in parallel.

    `nets` are the positions of the nets to test on; all other nets may be trained on. Raises
    AssertionError where that would separate a group (`groups` int [N]).
    """

    def apart(part: int) -> None:
        nets = np.flatnonzero(fold == part)
        assert_apart(np.flatnonzero(fold != part), nets, groups)
        call(part, nets)

    # One fold per core with single-threaded algebra. That is faster than threads within small
    # matrices, most of all on a busy machine, and equal to the last bit on any number of cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(loky.cpu_count()) as pool:
        list(pool.map(apart, np.unique(fold[fold >= 0])))


def assert_apart(train: np.ndarray, test: np.ndarray, groups: np.ndarray) -> None:
    """Raise AssertionError where a net, or nets of one group, are on both sides of a split."""
    both = np.intersect1d(train, test)
    if len(both):
        raise AssertionError(f"net {both[0]} is on both sides of a split")
    shared = np.intersect1d(groups[train], groups[test])
    if len(shared):
        raise AssertionError(f"nets of one seed or start (group {shared[0]}) are on both sides")
