"""A result is checked wherever it is read, and its scores are computed, never believed."""

from __future__ import annotations

import json

import pytest

from weightspace.bench import leaderboard, read_result
from weightspace.bench.populations import POPULATIONS
from weightspace.bench.results import _sealed
from weightspace.errors import DataError, UsageError
from weightspace.meta.statistics.intervals import Interval


def altered(file, change, seal=True):
    plain = json.loads(file.read_text())
    del plain["sha256"]
    change(plain)
    file.write_text(json.dumps(_sealed(plain) if seal else plain))
    return file


def test_a_result_is_the_same_after_a_round_trip(file, result):
    assert read_result(file) == result
    assert file.stat().st_size < 40_000


def test_a_changed_file_is_noticed(file):
    text = file.read_text()
    changed = text.replace('"limit": null', '"limit": 9', 1)
    assert changed != text
    file.write_text(changed)
    with pytest.raises(DataError, match="was changed after it was written"):
        read_result(file)
    with pytest.raises(DataError, match="was changed after it was written"):
        read_result(altered(file, lambda plain: None, seal=False))


def test_scores_in_the_file_are_not_believed(file, result):
    def praise(plain):
        for one in plain["tasks"]["properties"]["targets"].values():
            one["score"] = [1.0, 1.0, 1.0]

    assert read_result(altered(file, praise)).mean("properties") == result.mean("properties")


def test_a_truth_that_the_recipes_deny_is_refused(file):
    def lie(plain):
        one = plain["tasks"]["properties"]["targets"]["optimizer"]
        one["truth"] = one["answers"]

    with pytest.raises(DataError, match=r"properties: \w{16} is not \d of optimizer"):
        read_result(altered(file, lie))


def test_training_nets_cannot_judge(file):
    def swap(plain):
        known = POPULATIONS["aligned"]
        taught = [net for net, side in known.split.items() if side == "train"]
        task = plain["tasks"]["properties"]
        task["nets"] = taught[: len(task["nets"])]
        place = {net: i for i, net in enumerate(known.labels.nets)}
        for name, one in task["targets"].items():
            if one["levels"]:
                one["truth"] = [int(known.labels.codes[name][place[n]]) for n in task["nets"]]

    with pytest.raises(DataError, match="is no test net"):
        read_result(altered(file, swap))


def mean_of(result):
    return result.mean("properties").value


def set_(name, value):
    return lambda plain: plain.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_("encoder", "<script>"), "is no name of an encoder"),
        (set_("judged", "train"), "cannot judge"),
        (set_("lessons", {}), "is damaged"),
        (set_("limit", "fast"), "is damaged"),
        (set_("population", "mine"), "does not know"),
        (set_("pin", "0" * 64), "does not know"),
        (set_("format", "other"), "is no weightspace-bench-result"),
        (set_("tasks", []), "is damaged"),
        (lambda p: p["tasks"]["progress"]["targets"]["progress"]["answers"].pop(), "damaged"),
        (lambda p: p["tasks"]["properties"]["targets"]["optimizer"]["answers"].__setitem__(0, 7),
         "no level of optimizer"),
        (lambda p: p.__setitem__("more", 1), "is damaged"),
    ],
)  # fmt: skip
def test_what_a_result_cannot_hold_is_refused(file, change, said):
    with pytest.raises(DataError, match=said):
        read_result(altered(file, change))


def test_files_that_are_no_results_are_refused(tmp_path):
    for text in ("", "[", "[]", "{}", "[" * 10_000, '{"format": NaN}'):
        (tmp_path / "file").write_text(text)
        with pytest.raises(DataError, match=r"is no"):
            read_result(tmp_path / "file")
    with pytest.raises(DataError, match="No such file"):
        read_result(tmp_path / "none")


def test_the_leaderboard_has_the_best_first(file, result):
    def guess(plain):
        plain["encoder"], plain["limit"] = "guess", 60.0
        for one in plain["tasks"]["properties"]["targets"].values():
            one["answers"] = [0] * len(one["answers"])

    worse = read_result(altered(file, guess))
    text = leaderboard([worse, result])
    assert text == leaderboard([result, worse])
    lines = [line for line in text.splitlines() if line.startswith(("| layers", "| guess"))]
    assert [line.split("|")[1].strip() for line in lines] == ["layers", "guess, 60 s"]
    assert worse.less(result).high < 0 < result.less(worse).low
    assert result.less(result) == Interval(0.0, 0.0, 0.0)
    less = worse.less(result)
    assert less.value == pytest.approx(worse.mean("properties").value - mean_of(result))
    assert f"| {100 * less.value:+.1f} (" in lines[1]
    mean = result.mean("properties")
    assert f"{100 * mean.value:.1f} ({100 * mean.low:.1f}–{100 * mean.high:.1f})" in lines[0]
    assert "80 taught, 20 test nets judged" in text
    assert "| `initialization` | 25 |" in text


def test_leaderboards_do_not_mix_judges(file, result):
    with pytest.raises(UsageError, match="some are of test nets"):
        leaderboard([result, read_result(_judged_by_validation(file))])
    with pytest.raises(UsageError, match="there are none"):
        leaderboard([])


def _judged_by_validation(file):
    def change(plain):
        plain["judged"] = "validation"
        del plain["tasks"]["properties"], plain["tasks"]["control"]

    return altered(file, change)
