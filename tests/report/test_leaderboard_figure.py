"""The figure of the leaderboard has the numbers of the results, best encoder first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.text import Text

from weightspace.bench import read_result
from weightspace.errors import UsageError
from weightspace.report import leaderboard_figure, save

STORED = Path(__file__).parents[2] / "docs" / "results" / "bench"


@pytest.fixture(scope="module")
def results():
    return [read_result(STORED / f"bench-small-{name}.json") for name in ("raw", "layers")]


def test_every_number_is_drawn_with_its_interval(results):
    figure = leaderboard_figure(results)
    axes = figure.axes[-1]
    lines = [
        line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "None"
    ]
    spans = {tuple(round(float(x), 9) for x in line.get_xdata()) for line in lines}
    dots = {
        round(float(line.get_xdata()[0]), 9) for line in axes.lines if line.get_marker() != "None"
    }
    for one in results:
        for task in ("properties", "outside", "without ", "control"):
            found = one.mean(task)
            assert (round(found.low, 9), round(found.high, 9)) in spans
            assert round(found.value, 9) in dots
    low, high = axes.get_xlim()
    assert all(low <= x <= high for span in spans for x in span if span != (0.0, 1.0))
    names = [text for text in figure.findobj(Text) if text.get_text() in ("layers", "raw")]
    height = {text.get_text(): text.get_position()[1] for text in names}
    assert height["layers"] > height["raw"]


def test_one_population_and_one_judge(results):
    first, second = results
    with pytest.raises(UsageError, match="of one population and judge"):
        leaderboard_figure([first, replace(second, judged="validation")])
    with pytest.raises(UsageError, match="of one population and judge"):
        leaderboard_figure([])


def test_equal_figures_give_equal_files(results, tmp_path):
    files = [save(leaderboard_figure(results), tmp_path / f"{i}.svg") for i in range(2)]
    assert files[0].read_bytes() == files[1].read_bytes()
