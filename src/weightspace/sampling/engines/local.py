"""Train stacks on this machine: in this process, or in worker processes with one thread each."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from queue import Empty
from typing import Any, ClassVar

import loky
import torch
from loky import ProcessPoolExecutor
from loky.backend.context import LokyContext

from weightspace.errors import DataError, UsageError
from weightspace.progress import Progress
from weightspace.sampling.calibration import Pace, calibrate, one_thread
from weightspace.sampling.engines.engine import Bar, Work
from weightspace.sampling.plan import Unit
from weightspace.sampling.work import start, train_unit, work
from weightspace.space import Recipe

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Local:
    """`asked` processes, or one per core; for one worker or one stack, this process trains."""

    here: ClassVar[bool] = True
    asked: int | None = None

    def device(self, asked: str) -> str:
        """A GPU if torch finds one, unless `asked` is cpu."""
        return device_of(asked)

    def workers(self, device: str) -> int:
        """How many units train at once."""
        return self.asked or (1 if device == "cuda" else loky.cpu_count())

    def calibrate(self, recipes: Sequence[Recipe], device: str) -> dict[str, Pace]:
        """Stack sizes and seconds a step, measured in this process."""
        return calibrate(recipes, device)

    def train(self, work: Work, progress: Progress) -> None:
        """Train every stack; the first failure stops the run."""
        count = min(self.workers(work.job.device), len(work.units))
        if count == 1:
            _train_here(work, progress)
        elif count:
            del work.pool  # the workers hold their own
            _train_in_processes(work, count, progress)


def device_of(name: str) -> str:
    """The device that auto, cpu or cuda means on this machine."""
    check_device(name)
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("device", "torch finds no CUDA device", 'use `device="cpu"`')
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def check_device(name: str) -> None:
    """Raise UsageError for an unknown kind of device."""
    if name not in ("auto", "cpu", "cuda"):
        raise UsageError("device", f"{name!r} is none of auto, cpu, cuda")


def _train_here(work: Work, progress: Progress) -> None:
    """Train the stacks one after the other in this process."""
    bar = Bar(work, progress)
    with one_thread(work.job.device):
        for unit in work.units:
            train_unit(work.job, work.pool, unit, work.writer, bar)
            bar(unit.name, 1.0)


def _train_in_processes(task: Work, workers: int, progress: Progress) -> None:
    """Train the stacks in `workers` new processes."""
    # loky rather than concurrent.futures: its workers do not import the caller's main module (a
    # script needs no guard), and the whole pool can be ended at once. The context is made here
    # because asking for it by name may give that of joblib's own copy of loky.
    context = LokyContext()
    queue = context.Queue()
    pool = ProcessPoolExecutor(
        workers,
        context=context,
        initializer=start,
        initargs=(task.job, task.writer, queue, os.getpid()),
    )
    try:
        bar = Bar(task, progress)
        with _deaf_to_interrupts():
            waiting = {pool.submit(work, unit): unit for unit in task.units}
        while waiting:
            done, _ = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
            _hear(queue, bar)
            for future in done:
                bar(_result(future, waiting.pop(future)), 1.0)
    finally:
        pool.shutdown(kill_workers=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in this block never get Ctrl-C, whose signal goes to all processes.

    They inherit that the signal is blocked. This process handles the signal and ends them; a
    Ctrl-C within the block waits for its end, and is not lost.
    """
    # Python's tracker of semaphores unblocks the signal when it starts: it must run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _result(future: Future[str], unit: Unit) -> str:
    try:
        return future.result()
    except BrokenProcessPool:
        raise DataError(
            unit.name,
            "a worker process died (killed, or out of memory)",
            "finished nets are kept, run the same command to continue, with fewer `workers=` if "
            "memory is short",
        ) from None


def _hear(queue: Any, bar: Bar) -> None:
    """Note all reports of workers, and show the progress once."""
    try:
        while True:
            bar.note(*queue.get_nowait())
    except Empty:
        bar.show()
