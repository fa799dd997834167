"""How many nets share a stack: what is tried, and what is chosen."""

from __future__ import annotations

import pytest

from weightspace.sampling import calibration
from weightspace.space import Recipe

NETS = [Recipe(dataset="digits", input_size=8, channels=1, outputs=10) for _ in range(20)]


def chosen(monkeypatch, seconds):
    """The pace of 20 equal nets and the sizes tried, where a step of n takes `seconds(n)`."""
    tried = []

    def step(recipes, device):
        tried.append(len(recipes))
        return seconds(len(recipes)), None

    monkeypatch.setattr(calibration, "_seconds_per_step", step)
    (pace,) = calibration.calibrate(NETS, "cpu").values()
    return pace, tried[1:]  # the first step only loads code


def test_the_fastest_size_is_chosen(monkeypatch):
    pace, tried = chosen(monkeypatch, lambda n: 0.001 + 0.0001 * n)
    assert (pace.stack, tried) == (16, [1, 2, 4, 8, 16])
    assert pace.seconds == pytest.approx(0.0026 / 16)


def test_a_larger_stack_must_save_time(monkeypatch):
    pace, _ = chosen(monkeypatch, lambda n: 0.001 * n)
    assert pace.stack == 1


def test_nets_with_long_steps_are_not_tried_in_larger_stacks(monkeypatch):
    pace, tried = chosen(monkeypatch, lambda n: 2 * calibration.LONG * n)
    assert (pace.stack, tried) == (1, [1])
