"""Run the analyses of a dissection side by side, in processes.

An analysis is many short steps of Python between short operations on arrays. Threads take turns at
the steps, so that two cores do little more than one; processes do twice as much.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import loky
from loky.backend.context import get_context

from weightspace.dissection.analyses import BY_NAME, Analysis, Work
from weightspace.errors import UsageError
from weightspace.learners.registry import CLASSIFIERS
from weightspace.progress import Progress, silent

FEWEST = 100
"""For fewer nets, starting processes takes longer than they save."""

_MOST = 4
"""Processes: the longest analysis is a quarter of all, so more would wait for it."""

_DECLARED = dict(CLASSIFIERS)


def outcomes(work: Work, analyses: Sequence[Analysis]) -> Iterator[Any]:
    """The result of each analysis in order, or its UsageError where it may lack."""
    workers = min(_MOST, loky.cpu_count(), len(analyses))
    # What was registered in this process is not known in others.
    if workers < 2 or len(work.reader.labels.nets) < FEWEST or CLASSIFIERS != _DECLARED:
        yield from (_outcome(analysis, work) for analysis in analyses)
        return
    told = get_context("loky").SimpleQueue()
    listener = threading.Thread(target=_listen, args=(told, work.progress), daemon=True)
    listener.start()
    # The cores are shared out; each process lets threads use its share.
    env = {"LOKY_MAX_CPU_COUNT": str(max(1, loky.cpu_count() // workers))}
    pool = loky.ProcessPoolExecutor(
        workers, initializer=_open, initargs=(replace(work, progress=silent), told), env=env
    )
    longest_first = sorted(analyses, key=lambda analysis: -analysis.share)
    try:
        started = {one.name: pool.submit(_in_worker, one.name) for one in longest_first}
        yield from (started[analysis.name].result() for analysis in analyses)
        told.put(None)
        listener.join()
    finally:
        # A process that is killed may hold the lock of the queue, so nothing is put after this.
        pool.shutdown(kill_workers=True)


def _outcome(analysis: Analysis, work: Work) -> Any:
    try:
        return analysis.run(work)
    except UsageError as error:
        if not analysis.may_lack:
            raise
        return error


_opened: list[Work] = []


def _open(work: Work, told: Any) -> None:
    def progress(task: str, done: float, total: float) -> None:
        told.put((task, done, total))

    _opened[:] = [replace(work, progress=progress)]


def _in_worker(name: str) -> Any:
    return _outcome(BY_NAME[name], _opened[0])


def _listen(told: Any, progress: Progress) -> None:
    while (item := told.get()) is not None:
        progress(*item)
