"""Progress on standard error: bars on a terminal, lines at intervals elsewhere."""

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
    """Show the progress of long work as bars; the last state stays on the screen.

    Yields
    ------
    Progress
        A listener for functions that take `progress`. It shows each task with the time left,
        which comes from the task's own estimate, if there is one, and from its measured pace.

    Examples
    --------
    >>> from weightspace import bars, sample
    >>> with bars() as progress:  # doctest: +SKIP
    ...     zoo = sample("demo", nets=300, out="my-zoo", progress=progress)
    """
    console = Console(stderr=True)
    if console.is_jupyter:  # lines on standard error, as a file gets them, and not as results
        console = Console(stderr=True, force_jupyter=False, force_terminal=False)
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
    """The time that a task has taken and, until it is over, the time left."""

    def render(self, task: Task) -> Text:
        """Both times, with hours; without the time left where it is unknown."""
        times: TimeLeft = task.fields["times"]
        elapsed = task.finished_time if task.finished else task.elapsed
        shown = [(_hours(elapsed or 0.0), "progress.elapsed"), (" elapsed", "")]
        left = None if task.finished else times.seconds()
        if left is not None:
            shown += [(", ", ""), (_hours(left), "progress.remaining"), (" left", "")]
        return Text.assemble(*shown)


class _Terminal:
    """One bar for each task."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._times: dict[str, TimeLeft] = {}

    def foresee(self, task: str, left: float, whole: float) -> None:
        """Take note of the estimated seconds of the task."""
        self._times.setdefault(task, TimeLeft()).foresee(left, whole)

    def __call__(self, task: str, done: float, total: float) -> None:
        """Move the task's bar, which appears with the first call."""
        times = self._times.setdefault(task, TimeLeft())
        times.hear(done, total)
        if task not in self._tasks:
            self._tasks[task] = self._bars.add_task(task, total=total, times=times)
        # A task that starts again (a second data set, a second seed) is timed from its new start.
        finished = self._bars.tasks[self._bars.task_ids.index(self._tasks[task])].finished
        if finished and done < total:
            self._bars.reset(self._tasks[task], total=total)
        self._bars.update(self._tasks[task], completed=done, total=total)


class Lines:
    """A line every 15 seconds, and one at the end of each task that took more than a second.

    Parameters
    ----------
    console
        Where the lines go.
    clock
        Returns the time in seconds.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._times: dict[str, TimeLeft] = {}
        self._said: dict[str, float] = {}

    def foresee(self, task: str, left: float, whole: float) -> None:
        """Take note of the estimated seconds of the task."""
        self._of(task).foresee(left, whole)

    def __call__(self, task: str, done: float, total: float) -> None:
        """Take note of the progress of a task, and print a line if it is time to."""
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
