"""Run work units: in this process, or in several that each train one stack on one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from queue import Empty
from typing import Any

from loky import ProcessPoolExecutor
from loky.backend.context import LokyContext

from weightspace.errors import DataError
from weightspace.progress import Progress
from weightspace.sampling.calibration import one_thread
from weightspace.sampling.plan import Unit
from weightspace.sampling.work import Job, start, train_unit, work
from weightspace.training import Pool
from weightspace.zoo import Writer

POLL_SECONDS = 0.2


class Bar:
    """Turns fractions of units into nets done, weighted by cost so that time left is steady."""

    def __init__(self, units: Sequence[Unit], kept: int, progress: Progress) -> None:
        self._cost = {unit.name: unit.cost for unit in units}
        self._done = dict.fromkeys(self._cost, 0.0)
        self._nets = sum(len(unit.recipes) for unit in units)
        self._kept, self._progress = kept, progress
        self.show()

    def __call__(self, unit: str, fraction: float) -> None:
        """`unit` has come this far."""
        self._done[unit] = max(self._done[unit], fraction)
        self.show()

    def show(self) -> None:
        """Report nets done, those of earlier runs included."""
        whole = sum(self._cost.values())
        share = sum(self._cost[name] * done for name, done in self._done.items()) / whole
        self._progress("training nets", self._kept + share * self._nets, self._kept + self._nets)


def run_here(
    job: Job, pool: Pool, writer: Writer, units: Sequence[Unit], kept: int, progress: Progress
) -> None:
    """Train the units one after the other in this process."""
    bar = Bar(units, kept, progress)
    with one_thread(job.device):
        for unit in units:
            train_unit(job, pool, unit, writer, bar)
            bar(unit.name, 1.0)


def run_in_processes(
    job: Job,
    writer: Callable[[], Writer],
    units: Sequence[Unit],
    workers: int,
    kept: int,
    progress: Progress,
) -> None:
    """Train the units in `workers` fresh processes; the first failure stops the run."""
    # loky rather than concurrent.futures: its workers do not import the caller's main module (a
    # script needs no guard), and the whole pool can be ended at once. The context is made here
    # because asking for it by name may give that of joblib's own copy of loky.
    context = LokyContext()
    queue = context.Queue()
    pool = ProcessPoolExecutor(
        workers,
        context=context,
        initializer=start,
        initargs=(job, writer, queue, os.getpid()),
    )
    try:
        bar = Bar(units, kept, progress)
        waiting = {pool.submit(work, unit): unit for unit in units}
        while waiting:
            done, _ = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
            _hear(queue, bar)
            for future in done:
                bar(_result(future, waiting.pop(future)), 1.0)
    finally:
        pool.shutdown(kill_workers=True)


def _result(future: Future[str], unit: Unit) -> str:
    try:
        return future.result()
    except BrokenProcessPool:
        raise DataError(
            f"{unit.name}: a worker process died (killed, or out of memory); finished nets are "
            "kept, run the same command to continue, with fewer --workers if memory is short"
        ) from None


def _hear(queue: Any, bar: Bar) -> None:
    while True:
        try:
            bar(*queue.get_nowait())
        except Empty:
            return
