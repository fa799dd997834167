"""Zoos that released versions wrote: they open for ever, and say what they said."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path

import pytest

from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Zoo, check

ASSETS = Path(__file__).parents[1] / "assets"
KEPT = sorted(path.parent for path in ASSETS.glob("*/zoo.json"))


@pytest.fixture(params=KEPT, ids=lambda path: path.name)
def kept(request) -> Path:
    return request.param


def test_a_zoo_of_this_version_is_kept():
    version = importlib.metadata.version("weightspace")
    assert {f"zoo-{version}", f"zoo-{version}-bfloat16"} <= {path.name for path in KEPT}


def test_it_opens_and_says_what_it_said(kept):
    told = json.loads((ASSETS / f"{kept.name}.json").read_text())
    zoo = Zoo(kept)
    for found, row in zip(zoo.nets.to_dicts(), told["nets"], strict=True):
        assert row.items() <= found.items()
    read = {
        f"{net} {k}": hashlib.sha256(zoo.vector(net, k).tobytes()).hexdigest()
        for net, k in zoo.snapshots.select("net", "snapshot").rows()
    }
    assert read == told["vectors"]
    assert check(kept, full=True) == []


def test_its_nets_are_those_that_are_drawn_today(kept):
    zoo = Zoo(kept)
    recipes = [Recipe(**row) for row in zoo.nets.select(*FIELDS).iter_rows(named=True)]
    assert [recipe.net for recipe in recipes] == zoo.nets["net"].to_list()
    assert recipes == zoo.space.draw(len(recipes), zoo.meta["seed"])
    assert sum(one.count for one in zoo.rounds.values()) == len(recipes)


def test_it_has_what_is_read_off_and_dissected(kept):
    zoo = Zoo(kept)
    assert set(zoo.space.properties) <= set(zoo.nets.columns)
    assert {"split", "steps", "diverged", "dead", "test_accuracy"} <= set(zoo.nets.columns)
    measured = [f"{of}_{w}" for of in ("train", "validation", "test") for w in ("loss", "accuracy")]
    assert zoo.snapshots.select(*measured, "step", "epoch").null_count().sum_horizontal()[0] == 0
    for net in zoo.nets["net"]:
        assert {t.part for t in zoo.layout(net).tensors} == {"conv", "fc"}
