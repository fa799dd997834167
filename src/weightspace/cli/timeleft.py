"""`TimeLeft`: how long a task will still take, from what was expected and from how fast it goes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

FIRST_SHARE, FIRST_SECONDS = 0.02, 2.0
"""Of a task of which nothing was expected, this much is measured before a time is told."""

DOUBT = 0.12
"""The share of a task after which what was measured counts as much as what was expected."""

MOMENTS = 200
"""Of the time measured: moments nearer to each other than this part of it are kept as one."""


class TimeLeft:
    """Follows one task and says how many seconds of it are left.

    The pace is that of the last half of the time since the first sign of work: a slow start is not
    measured, and a machine that becomes slower is soon noticed. Where a time was expected
    (`foresee`), pace and expectation are multiplied, each raised to a weight: the more of the task
    has been measured, the more the pace counts. So one slow unit at the beginning moves the result
    little, and a machine ten times as slow as expected is found out after a fifth of the task.
    What earlier runs did is no part of the measured work. Any number of threads may call.

    Parameters
    ----------
    clock
        Gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._start = self._clock()
        self._first: float | None = None  # what was done when the task was first heard of
        self._whole: float | None = None  # seconds expected of this run's work
        self._left = 0.0  # of those
        self._begun = (self._start, 0.0)  # the first sign of work: time, share
        self._moments = deque([self._begun])
        self._gap = 0.0  # the longest time between two moments
        self.over = False

    @property
    def elapsed(self) -> float:
        """Seconds since the task was first heard of."""
        return self._clock() - self._start

    def foresee(self, left: float, whole: float) -> None:
        """Expect `left` seconds from here, of `whole` seconds for all of this run's work."""
        with self._lock:
            if self.over:
                self._begin()
            self._left, self._whole = left, whole

    def hear(self, done: float, total: float) -> None:
        """The task stands at `done` of `total`; one that was over begins anew."""
        with self._lock:
            if self.over and done < total:
                self._begin()
            if self._first is None:
                self._first = done
            self.over = done >= total
            self._measure(self._share(done, total))

    def seconds(self) -> float | None:
        """Seconds left at this moment; None as long as nobody can know."""
        with self._lock:
            at, share = self._moments[-1]
            measured = share - self._begun[1]
            short = measured < FIRST_SHARE or at - self._begun[0] < FIRST_SECONDS
            if self._whole is None and short:
                return None
            if measured <= 0:
                return self._whole and self._whole * (1 - share)
            since = self._clock() - at
            pace = self._pace(late=max(0.0, since - self._gap))
            return max(0.0, pace * (1 - share) - min(since, self._gap))

    def _pace(self, late: float) -> float:
        """Seconds that all of the work takes; news that are `late` are time without work."""
        (earlier, then), (at, share) = self._moments[0], self._moments[-1]
        pace = (at + late - earlier) / (share - then)
        if not self._whole:
            return pace
        measured = share - self._begun[1]
        weight = measured**2 / (measured**2 + DOUBT**2)
        return float(self._whole ** (1 - weight) * pace**weight)

    def _share(self, done: float, total: float) -> float:
        """How much of this run's work is done, 0..1."""
        if self._whole is not None:
            return 1 - self._left / self._whole if self._whole > 0 else 1.0
        first = self._first or 0.0
        return (done - first) / (total - first) if total > first else 1.0

    def _measure(self, share: float) -> None:
        """Note when so much was done; moments from which no pace is measured are dropped."""
        now, moments = self._clock(), self._moments
        before, last = moments[-1]
        if share <= last:
            return
        if last == 0 and share <= FIRST_SHARE:  # what came before was no work
            self._begun = (now, share)
            self._moments = deque([self._begun])
            return
        self._gap = max(self._gap, now - before)
        begun = self._begun[0]
        if len(moments) > 2 and moments[-1][0] - moments[-2][0] < (now - begun) / MOMENTS:
            moments.pop()
        moments.append((now, share))
        while len(moments) > 2 and moments[1][0] <= (begun + now) / 2:
            moments.popleft()


def clock_face(seconds: float) -> str:
    """Minutes and seconds, such as 61:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
