"""Labels of a population: levels by the space, thirds of ranges, and what is left out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from support.populations import synthetic_zoo
from weightspace.errors import UsageError
from weightspace.meta.design.labels import joined, labels_from, labels_of
from weightspace.space import Choice, Constant, Space, Uniform, Unknown

SPACE = Space(
    "few",
    {
        "dataset": Choice(("one", "two", "three")),
        "learning_rate": Uniform(0.0005, 0.01, "log"),
        "augmentation": Choice((False, True)),
        "filter_size": Choice((3, 5)),
        "epochs": Constant(3),
    },
)


def table(n=60, **columns):
    rows = [
        {"net": f"net{i}", "diverged": False, "dead": i == 1, **recipe.to_dict()}
        for i, recipe in enumerate(SPACE.draw(n, 0))
    ]
    frame = pl.DataFrame(rows)
    return frame.with_columns(pl.Series(name, values) for name, values in columns.items())


def test_levels_are_named_and_counted_in_the_spaces_order():
    nets = table()
    labels = labels_from(nets, SPACE)
    assert labels.properties == ("dataset", "learning_rate", "augmentation", "filter_size")
    assert labels.levels["dataset"] == ("one", "two", "three")
    assert labels.levels["augmentation"] == ("false", "true")
    assert labels.levels["filter_size"] == ("3", "5")
    for name in ("dataset", "filter_size"):
        named = [labels.levels[name][code] for code in labels.codes[name]]
        assert named == [str(value) for value in nets[name]]
    assert (len(labels.nets), labels.dead, labels.diverged) == (60, 1, 0)


def test_a_range_is_cut_into_equally_likely_thirds():
    nets = table(900)
    labels = labels_from(nets, SPACE, ["learning_rate"])
    assert labels.levels["learning_rate"] == ("0.0005-0.0014", "0.0014-0.0037", "0.0037-0.01")
    assert np.abs(np.bincount(labels.codes["learning_rate"]) / 900 - 1 / 3).max() < 0.05
    rates = nets["learning_rate"].to_numpy()
    codes = labels.codes["learning_rate"]
    assert rates[codes == 0].max() < rates[codes == 1].min()
    assert rates[codes == 1].max() < rates[codes == 2].min()


@pytest.mark.parametrize("low", [0.001, 1.0])
def test_borders_of_a_narrow_range_are_told_apart(low):
    rate = Uniform(low, low * 1.00003)
    space = Space("narrow", {"dataset": Constant("one"), "learning_rate": rate})
    rates = np.linspace(low, low * 1.00003, 30)
    nets = pl.DataFrame({"net": [f"net{i}" for i in range(30)], "learning_rate": rates})
    nets = nets.with_columns(diverged=pl.lit(False), seed=pl.int_range(30))
    levels = labels_from(nets, space).levels["learning_rate"]
    assert len(levels) == 3
    borders = [float(border) for name in levels for border in name.split("-") if border]
    assert borders == sorted(borders)
    assert len(set(borders)) == 4


def test_diverged_nets_are_left_out_and_counted():
    labels = labels_from(table(diverged=[i < 7 for i in range(60)]), SPACE)
    assert (labels.diverged, len(labels.nets), labels.nets[0]) == (7, 53, "net7")
    assert labels.dead == 0


def test_levels_that_no_net_has_do_not_count_for_chance():
    nets = table().filter(pl.col("dataset") != "two")
    labels = labels_from(nets, SPACE)
    assert labels.levels["dataset"] == ("one", "three")
    assert set(labels.codes["dataset"]) == {0, 1}


def test_nets_of_one_seed_are_a_family():
    seeds = [i // 2 for i in range(58)] + [None, None]
    groups = labels_from(table(seed=seeds), SPACE).groups
    assert len(set(groups)) == 29 + 2
    assert groups[4] == groups[5] != groups[6]
    # A population whose seeds were never recorded is no single family.
    assert len(set(labels_from(table(seed=[0] * 60), SPACE).groups)) == 60


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["speed"], "speed: no property of the space few; known are dataset, learning_rate, "),
        (["epochs"], "epochs: no property of the space few"),
        ([], "properties: none to predict"),
    ],
)
def test_unknown_properties_are_refused_with_the_known(names, message):
    with pytest.raises(UsageError, match=message):
        labels_from(table(), SPACE, names)


def test_values_beyond_the_space_are_refused():
    with pytest.raises(UsageError, match=r"dataset: 'four' of a net is not in the zoo's space"):
        labels_from(table(dataset=["four"] * 60), SPACE)


def test_what_is_not_on_record_is_predicted_where_it_is():
    nets = table(filter_size=[None] * 20 + [3, 5] * 20)
    by_default = labels_from(nets, SPACE)
    assert "filter_size" not in by_default.properties
    assert len(by_default.properties) == len(SPACE.properties) - 1
    assert (len(by_default.nets), by_default.unrecorded) == (60, 0)
    asked = labels_from(nets, SPACE, ["filter_size", "dataset"])
    assert (len(asked.nets), asked.unrecorded) == (40, 20)
    assert asked.nets == tuple(nets["net"][20:])
    with pytest.raises(UsageError, match=r"40 usable \(20 without a record of it\), 9 folds"):
        asked.require(9)
    alone = Space("one", {"dataset": Unknown(), "filter_size": Choice((3, 5))})
    with pytest.raises(UsageError, match=r"none is on record for every net; .* of filter_size"):
        labels_from(nets, alone)


def test_refusals_name_the_level():
    labels = labels_from(table(filter_size=[3] * 58 + [5] * 2), SPACE)
    with pytest.raises(UsageError, match=r"filter_size 5 has 2 of 60 nets, 5 folds need 5"):
        labels.require(5)
    labels.require(2)
    with pytest.raises(UsageError, match=r"filter_size: every net has 3, so there is nothing"):
        labels_from(table(filter_size=[3] * 60), SPACE).require(5)
    gone = labels_from(
        table(filter_size=[3] * 50 + [5] * 10, diverged=[False] * 50 + [True] * 10), SPACE
    )
    with pytest.raises(
        UsageError, match=r"filter_size: every net has 3 \(others were left out: 10 diverged\)"
    ):
        gone.require(5)
    few = labels_from(table(30, diverged=[i < 9 for i in range(30)]), SPACE)
    with pytest.raises(UsageError, match=r"21 usable \(9 diverged\), 5 folds need 25"):
        few.require(5)


def test_nets_that_began_from_one_vector_are_one_group():
    groups = np.arange(6)
    np.testing.assert_array_equal(
        joined(groups, ["a", "b", None, "a", None, "b"]), [0, 1, 2, 0, 4, 1]
    )
    # Through a seed, too: 0 and 1 share a seed, 1 and 2 a start.
    seeds = np.array([0, 0, 2, 3])
    np.testing.assert_array_equal(joined(seeds, ["a", "b", "b", "c"]), [0, 0, 0, 3])


def test_a_shared_start_counts_unless_it_is_a_constant(tmp_path, monkeypatch):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=40)
    assert len(set(labels_of(zoo).groups)) == 40
    for initialization, groups in (("normal", 39), ("constant", 40)):
        pair = zoo.nets.filter(initialization=initialization)["net"].to_list()[:2]
        same = pl.when(pl.col("net").is_in(pair) & (pl.col("step") == 0)).then(pl.lit("0" * 16))
        changed = zoo.snapshots.with_columns(same.otherwise("checksum").alias("checksum"))
        with monkeypatch.context() as patch:
            patch.setattr(zoo, "snapshots", changed)
            assert len(set(labels_of(zoo).groups)) == groups
