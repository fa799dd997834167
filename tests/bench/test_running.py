"""Encoders learn what is there, chance where nothing is, and are held to their contract."""

from __future__ import annotations

import time

import numpy as np
import pytest

from weightspace.bench import OWN, encoder, read_result, run
from weightspace.errors import UsageError

ABSENT = ("dataset", "learning_rate", "batch_size", "activation")
"""What the made-up nets do not encode."""


class Made:
    """An encoder whose answers a test makes."""

    name, about = "made", "for tests"

    def __init__(self, answer, spend=0.0):
        self.answer, self.spend = answer, spend

    def fit(self, rows, targets, *, seed, seconds):
        end = time.process_time() + self.spend
        while time.process_time() < end:
            pass
        return lambda others: [self.answer(one, len(others)) for one in targets]


def flat(target, n):
    return np.zeros((n, len(target.levels))) if target.levels else np.zeros(n)


def test_what_is_encoded_is_found_and_the_rest_is_chance(result):
    found = {one.target: one.score for one in result.of("properties")}
    assert found["initialization"].low > 0.6
    absent = [one for one in result.of("properties") if one.target in ABSENT]
    assert abs(np.mean([one.score.value - one.chance for one in absent])) < 0.15
    assert result.mean("properties").low > 0.42
    control = result.mean("control")
    chance = np.mean([one.chance for one in result.of("control")])
    assert control.low < chance < control.high
    assert found["test_accuracy"].value < 0.5
    (progress,) = result.of("progress")
    assert progress.score.low > 0.5
    assert progress.tau > 0.5


def test_held_out_levels_are_judged_on_all_their_nets(result):
    own = result.of("without ")
    assert {one.task for one in own} == {"without activation=tanh"}
    assert {len(one.nets) for one in own} == {50}
    assert next(one for one in own if one.target == "initialization").score.low > 0.6


TREES = ("boosted", "boosted-layers")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in TREES else ()) for n in OWN]
)
def test_each_classifier_is_an_encoder(zoo, name, tmp_path):
    found = run(zoo, encoder(name), judge="validation")
    found.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == found
    assert found.encoder == name
    assert {one.task for one in found.answered} == {
        "properties", "control", "progress", "without activation=tanh"
    }  # fmt: skip
    scores = {one.target: one.score.value for one in found.of("properties")}
    assert scores["initialization"] > 0.4


def test_a_run_can_be_repeated(zoo, result):
    assert run(zoo, encoder("layers")).answered == result.answered


def test_no_answer_is_chance(zoo):
    found = run(zoo, Made(flat))
    for one in found.of("properties"):
        assert one.score.value == pytest.approx(one.chance) if one.levels else one.score.value <= 0


def test_time_of_an_encoder_is_its_own(zoo):
    found = run(zoo, Made(flat, spend=0.2), judge="validation")
    for fact in found.lessons.values():
        assert 0.2 <= fact["seconds"] < 0.6


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda target, n: flat(target, n)[:-1], "have the shape"),
        (lambda target, n: flat(target, n) * np.nan, "not finite"),
        (lambda target, n: np.zeros((n, 99)), r"give finite numbers of shape \(20, 3\)"),
    ],
)
def test_answers_of_another_form_are_refused(zoo, answer, said):
    with pytest.raises(UsageError, match=said):
        run(zoo, Made(answer))


def test_too_few_answers_and_names_that_are_none_are_refused(zoo):
    short = Made(flat)
    short.fit = lambda rows, targets, seed, seconds: lambda others: []
    with pytest.raises(UsageError, match="gave 0 answers for 8 targets"):
        run(zoo, short)
    bad = Made(flat)
    bad.name = "<b>best</b>"
    with pytest.raises(UsageError, match="no name for the leaderboard"):
        run(zoo, bad)
    with pytest.raises(UsageError, match="known are test, validation"):
        run(zoo, Made(flat), judge="train")
