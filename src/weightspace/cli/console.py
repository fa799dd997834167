"""Progress on standard error: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.progress import (
    Progress as Bars,
)
from rich.text import Text

from weightspace.cli.timeleft import TimeLeft, clock_face
from weightspace.progress import Progress

LINE_SECONDS = 15.0


@contextmanager
def bars() -> Iterator[Progress]:
    """A listener to hand to long work; what it showed stays on the screen.

    Yields
    ------
    Progress
        Shows each task with the time that is left: from what the work expects, where it does, and
        from its pace, once enough was measured.

    Examples
    --------
    >>> from weightspace import bars, sample
    >>> with bars() as progress:  # doctest: +SKIP
    ...     zoo = sample("demo", nets=300, out="my-zoo", progress=progress)
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines(console)
        return
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        _Times(),
    )
    with Bars(*columns, console=console) as drawn:
        yield _Terminal(drawn)


class _Times(ProgressColumn):
    """How long a task has taken and, until it is over, how long it will still take."""

    def render(self, task: Task) -> Text:
        """Both, with hours; without the second where nobody can know it."""
        times: TimeLeft = task.fields["times"]
        elapsed = task.finished_time if task.finished else task.elapsed
        shown = [(_hours(elapsed or 0.0), "progress.elapsed"), (" elapsed", "")]
        left = None if task.finished else times.seconds()
        if left is not None:
            shown += [(", ", ""), (_hours(left), "progress.remaining"), (" left", "")]
        return Text.assemble(*shown)


class _Terminal:
    """One bar a task."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._times: dict[str, TimeLeft] = {}

    def foresee(self, task: str, left: float, whole: float) -> None:
        """Expect the task to take so many seconds."""
        self._times.setdefault(task, TimeLeft()).foresee(left, whole)

    def __call__(self, task: str, done: float, total: float) -> None:
        """Move the task's bar, which appears with the first call."""
        times = self._times.setdefault(task, TimeLeft())
        times.hear(done, total)
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, times=times)
        # A task that begins anew (a second data set, a second seed) gets its time anew.
        finished = self._bars.tasks[self._bars.task_ids.index(self._tasks[task])].finished
        if finished and done < total:
            self._bars.reset(self._tasks[task], total=total)
        self._bars.update(self._tasks[task], completed=done, total=total)


class Lines:
    """A line every quarter of a minute, and one at the end of what took more than a second.

    Parameters
    ----------
    console
        Where the lines go.
    clock
        Gives the time in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._times: dict[str, TimeLeft] = {}
        self._said: dict[str, float] = {}

    def foresee(self, task: str, left: float, whole: float) -> None:
        """Expect the task to take so many seconds."""
        self._of(task).foresee(left, whole)

    def __call__(self, task: str, done: float, total: float) -> None:
        """Say where the task stands, if there is reason to."""
        times = self._of(task)
        times.hear(done, total)
        elapsed = times.elapsed
        if times.over:
            self._times.pop(task)
        since = self._said.pop(task, 0.0)
        if (times.over and elapsed > 1) or elapsed - since >= LINE_SECONDS:
            self._say(task, done / total if total else 1.0, times)
            since = elapsed
        if not times.over:
            self._said[task] = since

    def _of(self, task: str) -> TimeLeft:
        return self._times.setdefault(task, TimeLeft(self._clock))

    def _say(self, task: str, share: float, times: TimeLeft) -> None:
        left = None if times.over else times.seconds()
        told = "" if left is None else f", {clock_face(left)} left"
        self._console.print(
            f"{task}: {share:.0%}, {clock_face(times.elapsed)} elapsed{told}", highlight=False
        )


def _hours(seconds: float) -> str:
    """Hours, minutes and seconds, such as 1:01:07."""
    return str(timedelta(seconds=int(seconds)))
