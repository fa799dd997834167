"""Folds by net, balanced in every property at once, and permutations that keep them balanced."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

_MOST_CELLS = 4
_CELL_GROUPS = 6


@dataclass(frozen=True)
class Cells:
    """A fixed partition of the nets into small cells, each like the whole in every property.

    Folds of any seed are unions of cells, and labels are permuted within cells. So permuted
    labels are as balanced over the folds of every seed as the true ones: without that, a class
    that is frequent in the test fold is scarce in training, and permuted labels score below
    chance. Under the null hypothesis nets of a cell are exchangeable, so the control is exact.
    """

    cell: NDArray[np.int64]
    folds: int

    @property
    def judged(self) -> np.ndarray:
        """Which nets are tested: bool [N], here all."""
        return np.ones(len(self.cell), bool)

    @classmethod
    def build(cls, codes: np.ndarray, groups: np.ndarray, folds: int) -> Cells:
        """Partition nets with labels `codes` int [N, q]; `groups` of nets int [N] stay together."""
        scarcest = min(
            int(count) for column in codes.T for count in np.bincount(column) if count > 0
        )
        # Groups, not nets: a few large ones in many cells would make folds of any size.
        own = len(np.unique(groups))
        split = min(_MOST_CELLS, own // (folds * _CELL_GROUPS), scarcest // folds)
        cells = folds * max(1, split)
        return cls(_balanced(codes, groups, cells), folds)

    def fold_of(self, seed: int) -> np.ndarray:
        """The fold, 0..folds-1, of each net under a seed: int64 [N]."""
        count = int(self.cell.max()) + 1
        order = np.random.default_rng([seed, 0xF01D]).permutation(count)
        return order[self.cell] % self.folds

    def permutation(self, index: int) -> np.ndarray:
        """Permutation `index` of the nets within cells: int64 [N], a net's place of origin."""
        rng = np.random.default_rng([index, 0x9E57])
        origin = np.arange(len(self.cell))
        for cell in np.unique(self.cell):
            members = np.flatnonzero(self.cell == cell)
            origin[members] = rng.permutation(members)
        return origin


class HeldOut(Cells):
    """Two cells, the nets to train on and the nets to test, whatever the seed.

    Labels are permuted on each side by itself, so that both keep their balance.
    """

    @classmethod
    def of(cls, judged: np.ndarray) -> HeldOut:
        """The nets of `judged`, bool [N], are tested by classifiers trained on the others."""
        return cls(judged.astype(np.int64), 1)

    @property
    def judged(self) -> np.ndarray:
        """Which nets are tested: bool [N]."""
        tested: np.ndarray = self.cell == 1
        return tested

    def fold_of(self, seed: int) -> np.ndarray:
        """0 for a net that is tested, -1 for one that is only trained on: int64 [N]."""
        return self.cell - 1


def _balanced(codes: np.ndarray, groups: np.ndarray, cells: int) -> np.ndarray:
    """Deal groups to cells, the rarest labels first, each to where its labels are scarcest."""
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
        # Cells may differ by one net, so that labels, not sizes, decide among the emptiest two.
        open_cells = np.flatnonzero(sizes <= sizes.min() + 1)
        load = (counts[np.ix_(open_cells, labels)] / totals[labels]).sum(axis=1)
        load += 1e-3 * sizes[open_cells] + 1e-9 * rng.random(len(open_cells))
        best = open_cells[load.argmin()]
        cell[nets] = best
        np.add.at(counts[best], labels, 1.0)
        sizes[best] += len(nets)
    return cell


def each_fold(
    fold: np.ndarray, groups: np.ndarray, judge: Callable[[int, np.ndarray], None]
) -> None:
    """Call `judge(part, nets)` for every fold of `fold` int [N] from 0 up, folds side by side.

    `nets` are the places of those that are tested; all others may be trained on. Raises
    AssertionError where that would part a group (`groups` int [N]).
    """

    def apart(part: int) -> None:
        nets = np.flatnonzero(fold == part)
        assert_apart(np.flatnonzero(fold != part), nets, groups)
        judge(part, nets)

    # One fold a core with single-threaded algebra: faster than threads within small matrices,
    # above all on a busy machine, and the same to the last bit on any number of cores.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(apart, np.unique(fold[fold >= 0])))


def assert_apart(train: np.ndarray, test: np.ndarray, groups: np.ndarray) -> None:
    """Raise AssertionError where a net, a seed or an initial vector stands on both sides."""
    both = np.intersect1d(train, test)
    if len(both):
        raise AssertionError(f"net {both[0]} stands on both sides of a split")
    shared = np.intersect1d(groups[train], groups[test])
    if len(shared):
        raise AssertionError(f"nets of one seed or start (group {shared[0]}) stand on both sides")
