"""Rows of the features `layers`: computed once for an open zoo, on all cores if there are many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import loky
import numpy as np
from threadpoolctl import threadpool_limits

from weightspace.features import layers
from weightspace.meta.design.slices import Source, held
from weightspace.progress import Progress, silent

if TYPE_CHECKING:
    from weightspace.zoo import Zoo

Snapshot = tuple[str, int]
"""A net and the number of one of its snapshots."""

_KEPT = 2**15  # rows, about 75 MB
_MANY = 400  # for fewer rows, starting processes takes longer than they save
_AT_ONCE = 25

_rows_of: WeakKeyDictionary[Zoo, dict[tuple[Any, ...], np.ndarray]] = WeakKeyDictionary()
"""Rows of open zoos that were computed before: a dissection needs the same rows many times."""


def net_rows(
    zoo: Zoo, nets: Sequence[str], source: Source, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Per-layer features of whole nets, a row for each net and snapshot.

    Returns features float32 [n, F] and the positions of their nets, int64 [n]. The latest rows of
    a zoo are kept in memory as long as the zoo is open.
    """
    snapshots = held(zoo, source.snapshots)
    owners = np.repeat(np.arange(len(nets)), [len(snapshots[net]) for net in nets])
    wanted = [(net, snapshot) for net in nets for snapshot in snapshots[net]]
    kept = _rows_of.setdefault(zoo, {})
    view = (source.part, source.running_stats)
    missing = [one for one in wanted if (*one, *view) not in kept]
    for done, (one, row) in enumerate(zip(missing, _taken(zoo, missing, view), strict=True)):
        kept[*one, *view] = row
        progress("reading layers", done + 1, len(missing))
    rows = np.stack([kept[*one, *view] for one in wanted])
    for key in list(kept)[: max(0, len(kept) - _KEPT)]:
        del kept[key]
    return rows, owners


def _taken(zoo: Zoo, missing: Sequence[Snapshot], view: tuple[str, bool]) -> Iterator[np.ndarray]:
    """Compute the rows in order."""
    workers = loky.cpu_count()
    if workers < 2 or len(missing) < _MANY:
        yield from _row_by_row(zoo, missing, view)
        return
    # The work is many small steps of Python, which threads cannot run in parallel; processes can.
    chunks = [missing[i : i + _AT_ONCE] for i in range(0, len(missing), _AT_ONCE)]
    with loky.ProcessPoolExecutor(workers, initializer=_open, initargs=(zoo, view)) as pool:
        for rows in pool.map(_in_worker, chunks):
            yield from rows


def _row_by_row(
    zoo: Zoo, wanted: Sequence[Snapshot], view: tuple[str, bool]
) -> Iterator[np.ndarray]:
    part, running_stats = view
    with threadpool_limits(1, "blas"):  # matrices are small: threads would cost more than they save
        for net, snapshot in wanted:
            vector, layout = zoo.vector(net, snapshot), zoo.layout(net)
            yield layers(vector, layout, part=part, running_stats=running_stats)


_opened: list[Any] = []


def _open(zoo: Zoo, view: tuple[str, bool]) -> None:
    _opened[:] = [zoo, view]


def _in_worker(wanted: Sequence[Snapshot]) -> list[np.ndarray]:
    zoo, view = _opened
    return list(_row_by_row(zoo, wanted, view))
