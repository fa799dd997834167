"""Rows of `layers`: each taken once of an open zoo, by all cores where there are many."""

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

Moment = tuple[str, int]
"""A net and the number of one of its snapshots."""

_KEPT = 2**15  # rows, some 75 MB
_MANY = 400  # rows below which to start processes takes longer than they save
_AT_ONCE = 25

_rows_of: WeakKeyDictionary[Zoo, dict[tuple[Any, ...], np.ndarray]] = WeakKeyDictionary()
"""What was taken of open zoos: a dissection asks for the same rows many times."""


def net_rows(
    zoo: Zoo, nets: Sequence[str], source: Source, progress: Progress = silent
) -> tuple[np.ndarray, np.ndarray]:
    """Per-layer features of whole nets, one row a net and snapshot: float32 [n, F], int64 [n].

    The latest rows of a zoo are remembered as long as it is open.
    """
    moments = held(zoo, source.snapshots)
    owners = np.repeat(np.arange(len(nets)), [len(moments[net]) for net in nets])
    wanted = [(net, snapshot) for net in nets for snapshot in moments[net]]
    kept = _rows_of.setdefault(zoo, {})
    view = (source.part, source.running_stats)
    missing = [moment for moment in wanted if (*moment, *view) not in kept]
    for done, (moment, row) in enumerate(zip(missing, _taken(zoo, missing, view), strict=True)):
        kept[*moment, *view] = row
        progress("reading layers", done + 1, len(missing))
    rows = np.stack([kept[*moment, *view] for moment in wanted])
    for key in list(kept)[: max(0, len(kept) - _KEPT)]:
        del kept[key]
    return rows, owners


def _taken(zoo: Zoo, missing: Sequence[Moment], view: tuple[str, bool]) -> Iterator[np.ndarray]:
    """Rows of `layers` in order."""
    workers = loky.cpu_count()
    if workers < 2 or len(missing) < _MANY:
        yield from _row_by_row(zoo, missing, view)
        return
    # Processes, as the work is in many small steps of Python, and those of threads take turns.
    chunks = [missing[i : i + _AT_ONCE] for i in range(0, len(missing), _AT_ONCE)]
    with loky.ProcessPoolExecutor(workers, initializer=_open, initargs=(zoo, view)) as pool:
        for rows in pool.map(_in_worker, chunks):
            yield from rows


def _row_by_row(
    zoo: Zoo, moments: Sequence[Moment], view: tuple[str, bool]
) -> Iterator[np.ndarray]:
    part, running_stats = view
    with threadpool_limits(1, "blas"):  # small matrices: threads would cost more than they do
        for net, snapshot in moments:
            vector, layout = zoo.vector(net, snapshot), zoo.layout(net)
            yield layers(vector, layout, part=part, running_stats=running_stats)


_opened: list[Any] = []


def _open(zoo: Zoo, view: tuple[str, bool]) -> None:
    _opened[:] = [zoo, view]


def _in_worker(moments: Sequence[Moment]) -> list[np.ndarray]:
    zoo, view = _opened
    return list(_row_by_row(zoo, moments, view))
