"""Populations are pinned: what is sampled today is what was sampled when results were written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.benchmarks import UNSEEN, MadeUp
from support.populations import ALIGNED, synthetic_zoo
from weightspace.bench.populations import POPULATIONS, pin, pin_of, population, population_of
from weightspace.errors import DataError, UsageError
from weightspace.sampling.work import digest, prepared

# The hashes of the image sets at 16x16 grey. MNIST and Fashion-MNIST are the published files.
IMAGES = {
    "fashion_mnist": "5c15d437ae74c404",
    "mnist": "b3e7f7e9a8b342c6",
    "textures": "2f240e30f20c920b",
}
NAMES = ("bench-small", "bench", "bench-wild")


@pytest.mark.parametrize("name", NAMES)
def test_recipes_and_splits_are_those_of_the_pin(name):
    known = population(name)
    sides = ["test" if known.split[net] == "test" else "train" for net in known.labels.nets]
    assert pin(zip(known.labels.nets, sides, strict=True), IMAGES) == known.pin
    assert len(known.labels.properties) == 12
    for property_, level in known.unseen.items():
        assert level in known.labels.levels[property_]


def test_generated_images_are_those_of_the_pin():
    assert digest(prepared("textures", None, (16, 1))) == IMAGES["textures"]


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_published_images_are_those_of_the_pin(name):
    try:
        images = prepared(name, None, (16, 1))
    except DataError:
        pytest.skip(f"no {name} here")
    assert digest(images) == IMAGES[name]


def test_an_unknown_name_is_refused():
    with pytest.raises(UsageError, match="known are bench-small, bench, bench-wild"):
        population("big")


def test_a_zoo_of_the_population_is_recognised(zoo):
    assert population_of(zoo).name == "aligned"
    assert pin_of(zoo) == population_of(zoo).pin


def test_other_zoos_are_refused(zoo, tmp_path, monkeypatch):
    foreign = replace(ALIGNED, name="mine")
    with pytest.raises(DataError, match="none of the benchmark's populations"):
        population_of(synthetic_zoo(tmp_path / "mine", 20, space=foreign))
    with pytest.raises(DataError, match="has 60 of 100 nets"):
        population_of(synthetic_zoo(tmp_path / "few", 60, space=ALIGNED))
    with pytest.raises(DataError, match="its recipes or its images differ"):
        population_of(synthetic_zoo(tmp_path / "other", 100, seed=1, space=ALIGNED))
    monkeypatch.setitem(POPULATIONS, "aligned", MadeUp("aligned", 100, UNSEEN, "0" * 64))
    with pytest.raises(DataError, match="sample it with `weightspace bench sample aligned`"):
        population_of(zoo)
