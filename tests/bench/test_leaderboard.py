"""The leaderboard of the docs is what the stored results give, and each of them is sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weightspace.bench import POPULATIONS, leaderboard, read_result
from weightspace.bench.outside import outside_nets

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FILES = sorted((RESULTS / "bench").glob("*.json"))


def test_the_page_is_what_the_results_give():
    page = (RESULTS / "bench.md").read_text(encoding="utf-8")
    assert len(FILES) >= 8
    assert page.endswith(leaderboard([read_result(path) for path in FILES]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_control_of_an_encoder_is_chance(path):
    result = read_result(path)
    assert result.judged == "test"
    chance = np.mean([one.chance for one in result.of("control") if one.levels])
    assert abs(result.mean("control").value - chance) < 0.04


@pytest.mark.parametrize("name", [one.name for one in POPULATIONS.values() if one.outside])
def test_outside_nets_are_none_of_the_population(name):
    zoo, known = outside_nets(name), POPULATIONS[name]
    nets = {net.removesuffix(".pt") for net in zoo.nets["net"]}
    assert len(nets) >= 100
    assert not nets & set(known.labels.nets)
    for property_ in known.labels.properties:
        values = zoo.nets[property_]
        assert not values.null_count()
        levels = known.space.distributions[property_].levels(values.to_list())
        assert set(levels) == set(range(len(known.labels.levels[property_])))
