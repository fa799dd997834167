"""Work that takes no time: a clock that is set, and simulated runs that tell of their progress."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from weightspace.cli.console import Lines
from weightspace.sampling.engines.engine import Bar

TICK = 1.0
"""Seconds between two looks at a simulated run."""


class Clock:
    """Says what it was set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """Lines that a run printed, and what it had left at each: (seconds, seconds left, told)."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._text = io.StringIO()
        self.lines = Lines(Console(file=self._text, width=200), self.clock)
        self._seen: list[tuple[float, float | None]] = []

    def look(self) -> None:
        """Note what was printed since this was called last."""
        printed = self._text.getvalue()
        self._text.seek(0)
        self._text.truncate()
        for line in printed.splitlines():
            left = re.search(r"(\d+):(\d\d) left", line)
            told = 60.0 * int(left[1]) + int(left[2]) if left else None
            self._seen.append((self.clock.now, told))

    @property
    def told(self) -> list[tuple[float, float, float | None]]:
        """Each line but the last: when it was printed, the truth then, and what it says is left."""
        end = self.clock.now
        return [(now, end - now, told) for now, told in self._seen if now < end]


def run_of(
    costs: Sequence[float],
    *,
    workers: int = 1,
    before: Sequence[float] | None = None,
    kept: int = 0,
    start: float = 0.0,
    true: Sequence[float] | None = None,
    slower: tuple[float, float] = (1e99, 1.0),
) -> tuple[Watched, float]:
    """A simulated run of `sample`; returns what was watched, and the seconds that it estimated.

    Units of these `costs` are trained by `workers` in turn, from where `before` says an earlier
    run left each, after `kept` nets of earlier runs. Nothing happens for `start` seconds. A unit
    takes `true` seconds where that is not its cost, and `slower` (after, times) that many times
    longer after this moment.
    """
    watched, true = Watched(), list(true or costs)
    estimate = max(sum(costs) / workers, *costs)
    bar = Bar(_work(costs, workers, kept, estimate), watched.lines)
    watched.look()
    done = list(before or [0.0] * len(costs))
    waiting, active = list(range(len(costs))), []
    watched.clock.now = start
    while waiting or active:
        while waiting and len(active) < workers:
            active.append(waiting.pop(0))
            bar(f"{active[-1]}", done[active[-1]], done[active[-1]])
        watched.clock.now += TICK
        for i in active:
            speed = 1 / slower[1] if watched.clock.now > slower[0] else 1.0
            done[i] = min(1.0, done[i] + TICK * speed / true[i])
            bar(f"{i}", done[i], (before or {i: 0.0})[i])
        active = [i for i in active if done[i] < 1 - 1e-9]
        watched.look()
    return watched, estimate


def _work(costs: Sequence[float], workers: int, kept: int, seconds: float) -> Any:
    units = [SimpleNamespace(name=f"{i}", cost=cost, recipes=[0]) for i, cost in enumerate(costs)]
    needs = SimpleNamespace(seconds=seconds, workers=workers)
    return SimpleNamespace(units=units, kept=kept, needs=needs)
