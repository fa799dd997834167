"""The time that progress says is left, in simulated runs: sane from the first line to the end."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from rich.console import Console

from support.simulating import Clock, Watched, run_of
from weightspace.cli import console
from weightspace.cli.console import bars
from weightspace.cli.timeleft import TimeLeft
from weightspace.progress import foresee, silent

LAST = 5.0
"""Seconds before the end in which a factor means nothing: times are told in whole seconds."""

EQUAL = [63.0] * 20
UNEQUAL = sorted(np.random.default_rng(1).lognormal(3.0, 1.5, 40).tolist(), reverse=True)


def factors(watched: Watched, since: float = 0.0) -> list[float]:
    """How far each line was from the truth; every line tells a time."""
    found = []
    for now, truth, told in watched.told:
        assert told is not None
        if now >= since and truth > LAST:
            found.append(max(told / truth, truth / max(told, 1e-9)))
    assert len(found) > 3
    return found


def excess(watched: Watched, estimate: float) -> float:
    """The most that a line told, in units of what was estimated or what was true then."""
    return max(told / max(estimate, truth) for _, truth, told in watched.told if told is not None)


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("costs", [EQUAL, UNEQUAL, UNEQUAL[::-1]], ids=["equal", "few", "small"])
def test_a_run_as_estimated(costs: Sequence[float], workers: int) -> None:
    watched, estimate = run_of(costs, workers=workers)
    assert max(factors(watched)) < 2
    assert excess(watched, estimate) < 1.5


@pytest.mark.parametrize("start", [8.0, 60.0])
def test_a_run_that_starts_slowly(start: float) -> None:
    watched, estimate = run_of(EQUAL, workers=2, start=start)
    assert max(factors(watched)) < 2
    assert excess(watched, estimate) < 1.5


@pytest.mark.parametrize("workers", [1, 4])
def test_a_run_that_goes_on_within_units_and_after_others(workers: int) -> None:
    rng = np.random.default_rng(0)
    before = [0.9, 0.8, 0.95, 0.3, *[0.0] * 16]
    watched, estimate = run_of(EQUAL, workers=workers, before=before, kept=30)
    assert max(factors(watched)) < 2
    assert excess(watched, estimate) < 1.5
    mixed = rng.uniform(0, 1, len(UNEQUAL)).tolist()
    watched, estimate = run_of(UNEQUAL, workers=workers, before=mixed, kept=3)
    assert excess(watched, estimate) < 1.5


@pytest.mark.parametrize("times", [0.1, 0.2, 0.5, 2.0, 5.0, 10.0])
def test_a_wrong_estimate_is_left_behind(times: float) -> None:
    watched, estimate = run_of(EQUAL, true=[times * cost for cost in EQUAL])
    end = watched.clock.now
    assert max(factors(watched, since=end / 5)) < 2
    assert max(factors(watched)) <= max(times, 1 / times) * 1.05
    assert excess(watched, estimate) < 1.5


@pytest.mark.parametrize("times", [10, 20])
def test_one_slow_unit_at_the_beginning_moves_little(times: int) -> None:
    watched, estimate = run_of(EQUAL, true=[times * EQUAL[0], *EQUAL[1:]])
    assert excess(watched, estimate) < 3
    unit = times * EQUAL[0]
    assert max(factors(watched, since=unit + 0.5 * (watched.clock.now - unit))) < 2


def test_units_that_each_take_another_time_than_they_should() -> None:
    true = [63.0 * times for times in np.random.default_rng(2).lognormal(0, 1, len(EQUAL))]
    watched, estimate = run_of(EQUAL, true=true, workers=2)
    assert excess(watched, estimate) < 3


def test_a_machine_that_becomes_slower() -> None:
    watched, estimate = run_of(EQUAL, slower=(630, 4.0))
    assert max(factors(watched, since=0.6 * watched.clock.now)) < 2
    assert excess(watched, estimate) < 1.5


def test_a_machine_that_stands_still_takes_longer_with_every_look() -> None:
    clock = Clock()
    times = TimeLeft(clock)
    for second in range(60):
        clock.now = second
        times.hear(second, 100)
    told = []
    for minute in range(1, 10):
        clock.now = 60 + 60 * minute
        told.append(times.seconds())
    assert told == sorted(told)
    assert told[-1] > 300


# ---- tasks of which nothing is expected


@pytest.mark.parametrize("start", [0.0, 30.0])
def test_nothing_is_told_before_enough_was_measured(start: float) -> None:
    watched = Watched()
    steps = 3000
    watched.lines("task", 0, steps)
    watched.clock.now = start
    for done in range(1, steps + 1):
        watched.clock.now += 1.0
        watched.lines("task", done, steps)
        watched.look()
    share = [(now - start) / steps for now, _, _ in watched.told]
    early = [told for at, (_, _, told) in zip(share, watched.told, strict=True) if at < 0.02]
    assert early
    assert set(early) == {None}
    for at, (_, truth, told) in zip(share, watched.told, strict=True):
        if at > 0.021 and truth > LAST:
            assert told is not None
            assert truth / 2 < told < 2 * truth


def test_two_seconds_are_measured_before_a_time_is_told() -> None:
    clock = Clock()
    times = TimeLeft(clock)
    times.hear(0, 10)
    told = []
    for done in range(1, 7):
        clock.now += 0.5
        times.hear(done, 10)
        told.append(times.seconds())
    assert told == [None, None, None, 3.0, 2.5, 2.0]


def test_what_was_there_before_is_not_measured() -> None:
    clock = Clock()
    times = TimeLeft(clock)
    times.hear(80, 100)
    assert times.seconds() is None
    for done in range(81, 91):
        clock.now += 10
        times.hear(done, 100)
    assert times.seconds() == pytest.approx(100)
    clock.now += 5
    assert times.seconds() == pytest.approx(95)


def test_a_task_that_begins_anew_is_measured_anew() -> None:
    clock = Clock()
    times = TimeLeft(clock)
    for done in range(11):
        clock.now += 10
        times.hear(done, 10)
    assert times.over
    times.foresee(30, 30)
    times.hear(0, 10)
    assert not times.over
    assert times.elapsed == 0
    assert times.seconds() == 30


# ---- who listens


def test_a_listener_without_interest_hears_no_estimate() -> None:
    foresee(silent, "task", 1, 2)
    told = []

    class Curious:
        def __call__(self, task: str, done: float, total: float) -> None: ...

        def foresee(self, task: str, left: float, whole: float) -> None:
            told.append((task, left, whole))

    foresee(Curious(), "task", 1, 2)
    assert told == [("task", 1, 2)]


def test_bars_on_a_terminal_begin_from_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    terminal = Console(file=text, force_terminal=True, width=120, color_system=None)
    monkeypatch.setattr(console, "Console", lambda **_: terminal)
    with bars() as listener:
        foresee(listener, "training nets", 1260, 1260)
        listener("training nets", 0, 300)
        listener("reading", 0, 10)
    expected, unknown = text.getvalue().splitlines()[-3:-1]
    assert "0% 0:00:00 elapsed, 0:21:00 left" in expected
    assert unknown.rstrip().endswith("0% 0:00:00 elapsed")
