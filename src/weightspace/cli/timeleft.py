"""`TimeLeft`: how long a task will still take, from its estimate and from its measured pace."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

FIRST_SHARE, FIRST_SECONDS = 0.02, 2.0
"""For a task without an estimate, this share and time are measured before a time is shown."""

DOUBT = 0.12
"""The share of a task after which the measured pace has the same weight as the estimate."""

MOMENTS = 200
"""Measurements closer together than the measured time divided by this number are merged."""


class TimeLeft:
    """Follows one task and computes how many seconds of it are left.

    The pace is measured over the last half of the time since the first progress, so that a slow
    start does not count and a machine that slows down is soon noticed. Where there is an estimate
    (`foresee`), the result is the weighted geometric mean of pace and estimate, in which the weight
    of the pace grows with the measured share of the task. One slow stack at the beginning thus
    changes the result little, and a machine ten times as slow as estimated is noticed after a fifth
    of the task. Work of earlier runs is not part of the measured work. Calls are thread-safe.

    Parameters
    ----------
    clock
        Returns the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        self._start = self._clock()
        self._first: float | None = None  # how much was done at the first report
        self._whole: float | None = None  # estimated seconds of this run's work
        self._left = 0.0  # estimated seconds left
        self._begun = (self._start, 0.0)  # the first progress: time, share
        self._moments = deque([self._begun])
        self._gap = 0.0  # the longest time between two measurements
        self.over = False

    @property
    def elapsed(self) -> float:
        """Seconds since the first report of the task."""
        return self._clock() - self._start

    def foresee(self, left: float, whole: float) -> None:
        """Note an estimate: `left` seconds from now, of `whole` seconds for this run's work."""
        with self._lock:
            if self.over:
                self._begin()
            self._left, self._whole = left, whole

    def hear(self, done: float, total: float) -> None:
        """Note that `done` of `total` is done; a task that was over starts again."""
        with self._lock:
            if self.over and done < total:
                self._begin()
            if self._first is None:
                self._first = done
            self.over = done >= total
            self._measure(self._share(done, total))

    def seconds(self) -> float | None:
        """Seconds left now; None as long as too little was measured."""
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
        """Seconds for all of the work; `late` is the overdue time since the last report."""
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
        """Note the time of this share; measurements that are no longer needed are dropped."""
        now, moments = self._clock(), self._moments
        before, last = moments[-1]
        if share <= last:
            return
        if last == 0 and share <= FIRST_SHARE:  # the time before was no work
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
