"""Progress on standard error: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as Bars,
)

from weightspace.progress import Progress

LINE_SECONDS = 15.0


@contextmanager
def bars() -> Iterator[Progress]:
    """A listener to hand to long work; what it showed stays on the screen.

    >>> from weightspace import bars, sample
    >>> with bars() as progress:  # doctest: +SKIP
    ...     zoo = sample("demo", nets=300, out="my-zoo", progress=progress)
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Bars(*columns, console=console) as drawn:
        yield _Terminal(drawn)


class _Terminal:
    """One bar a task."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, task: str, done: float, total: float) -> None:
        """Move the task's bar, which appears with the first call."""
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total)
        # A task that begins anew (a second data set, a second seed) gets its time anew.
        finished = self._bars.tasks[self._bars.task_ids.index(self._tasks[task])].finished
        if finished and done < total:
            self._bars.reset(self._tasks[task], total=total)
        self._bars.update(self._tasks[task], completed=done, total=total)


class _Lines:
    """A line every quarter of a minute, and one at the end of what took more than a second."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun: dict[str, tuple[float, float]] = {}
        self._said: dict[str, float] = {}

    def __call__(self, task: str, done: float, total: float) -> None:
        """Say where the task stands, if there is reason to."""
        now = time.monotonic()
        start, first = self._begun.setdefault(task, (now, done))
        over = done >= total
        if over:
            self._begun.pop(task)
        since = self._said.pop(task, start)
        if (over and now - start > 1) or now - since >= LINE_SECONDS:
            self._say(task, done / total if total else 1.0, now - start, first / (total or 1))
            since = now
        if not over:
            self._said[task] = since

    def _say(self, task: str, share: float, elapsed: float, first: float) -> None:
        left = ""
        if first < share < 1:
            left = f", {_clock(elapsed * (1 - share) / (share - first))} left"
        self._console.print(
            f"{task}: {share:.0%}, {_clock(elapsed)} elapsed{left}", highlight=False
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
