"""The encoders of `benchmarks/encoders` keep the contract and learn what is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from weightspace.bench import encoder, read_result, run

ENCODERS = Path(__file__).parents[2] / "benchmarks" / "encoders"
NAMES = {
    "linear_probe.py:LinearProbe": 0.0,  # a scale is not linear in weights
    "statistics_trees.py:StatisticsTrees": 0.6,
    "transformer.py:Transformer": 0.4,
    "graph_net.py:GraphNet": 0.4,
    "neural_functional.py:Nfn": 0.4,
}
"""The encoders, and what they read of an initialization at least; chance is 0.25."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), NAMES.items())
def test_an_outside_encoder_learns_in_the_time_it_has(zoo, name, least, tmp_path):
    if name.endswith("Nfn") and importlib.util.find_spec("nfn") is None:
        pytest.skip("needs nfn")
    found = run(zoo, encoder(f"{ENCODERS}/{name}"), judge="validation", seconds=8)
    found.write(tmp_path / "result.json")
    assert read_result(tmp_path / "result.json") == found
    scores = {one.target: one.score.value for one in found.of("properties")}
    assert scores["initialization"] > least
    assert all(fact["seconds"] < 12 for fact in found.lessons.values())
