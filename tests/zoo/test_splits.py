"""Splits by net: stratified, the same when a zoo grows, and one level left out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from support.populations import synthetic_zoo
from weightspace.errors import UsageError
from weightspace.meta import evaluate
from weightspace.space import preset
from weightspace.zoo import Split, Zoo, stratified

ASKED = {"classifiers": ["kernel"], "slices_per_net": 2, "slice_length": 1000}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("splits") / "zoo", nets=150)


# ---- which nets are set aside

SHAPES = st.tuples(st.integers(1, 60), st.integers(0, 4))
TABLES = hnp.arrays(np.int64, SHAPES, elements=st.integers(-1, 6))


@settings(deadline=None)
@given(TABLES, st.integers(0, 2**32), st.integers(0, 60))
def test_one_of_every_five_and_no_net_changes_sides_when_more_come(levels, seed, few):
    split = stratified(levels, seed)
    assert all(split[i : i + 5].count("test") == 1 for i in range(0, len(split), 5))
    whole_blocks = few // 5 * 5
    assert stratified(levels[:whole_blocks], seed) == split[:whole_blocks]


@pytest.mark.parametrize("name", ["demo", "nws-main"])
def test_every_level_of_every_property_is_set_aside_in_proportion(name):
    space = preset(name)
    levels = space.levels(space.draw(2000, seed=3))
    test = np.array(stratified(levels, seed=3)) == "test"
    by_chance = np.random.default_rng(0).permutation(test)
    assert levels.shape == (2000, len(space.properties))
    for column in levels.T:
        due = np.bincount(column) / 5
        assert np.abs(np.bincount(column[test]) - due).max() <= 5
        # Without stratification a level of 400 is off by 8 nets in a typical draw.
    strays = [np.abs(np.bincount(c[by_chance]) - np.bincount(c) / 5).max() for c in levels.T]
    assert max(strays) > 5


def test_unknown_levels_do_not_count():
    levels = np.full((40, 1), -1)
    levels[::5] = 0
    test = np.array(stratified(levels, seed=0)) == "test"
    # The known ones are one in five, and not all of them end on one side.
    assert 0 < test[::5].sum() < 8


# ---- the splits of a zoo


def test_the_stored_split_is_that_of_the_table(zoo):
    split = zoo.split()
    assert split.name == "stored"
    assert set(split.test) == set(zoo.nets.filter(pl.col("split") == "test")["net"])
    assert set(split.train) | set(split.test) == set(zoo.nets["net"])
    assert not set(split.train) & set(split.test)


@pytest.mark.parametrize(
    ("name", "level", "typed"),
    [("filter_size", 5, "5"), ("augmentation", True, "true"), ("dataset", "shapes", "shapes")],
)
def test_a_level_is_left_out_of_training_and_tested_on(zoo, name, level, typed):
    split = zoo.split(leave_out=(name, level))
    assert split == zoo.split(leave_out=(name, typed))
    assert (split.name, split.by) == (f"{name}={typed}", name)
    has = dict(zip(zoo.nets["net"], zoo.nets[name], strict=True))
    assert {has[net] for net in split.test} == {level}
    assert level not in {has[net] for net in split.train}
    assert len(split.train) + len(split.test) == len(zoo.nets)


def test_nets_of_unknown_level_are_on_neither_side(zoo):
    partly = Zoo(zoo.path)
    unknown = pl.when(pl.int_range(pl.len()) < 10).then(None).otherwise(pl.col("filter_size"))
    partly.nets = partly.nets.with_columns(unknown.alias("filter_size"))
    split = partly.split(leave_out=("filter_size", 3))
    assert len(split.train) + len(split.test) == len(zoo.nets) - 10
    assert not set(zoo.nets["net"][:10]) & {*split.train, *split.test}


def test_a_number_is_found_however_it_is_written(zoo):
    rate = zoo.nets["learning_rate"][0]
    (net,) = zoo.split(leave_out=("learning_rate", f"{rate:.15e}")).test
    assert net == zoo.nets["net"][0]


@pytest.mark.parametrize(
    ("leave_out", "message"),
    [
        (("colour", "red"), r"leave_out: nets have no 'colour'; name a column"),
        (("filter_size", 9), r"leave_out: no net has filter_size 9; levels are 3, 5, 7"),
        (("depth_conv", 2), r"leave_out: every net has depth_conv 2; levels are 2"),
    ],
)
def test_a_level_that_parts_nothing_is_refused(zoo, leave_out, message):
    with pytest.raises(UsageError, match=message):
        zoo.split(leave_out=leave_out)


def test_sides_that_overlap_or_are_empty_are_refused():
    with pytest.raises(UsageError, match="net b is in train and in test"):
        Split(("a", "b"), ("b",))
    with pytest.raises(UsageError, match="no net is in test"):
        Split(("a",), ())


# ---- what `evaluate` makes of them


def test_the_test_nets_are_judged_by_the_others(zoo):
    split = zoo.split()
    found = evaluate(zoo, split=split, permutations=20, **ASKED)
    frame = found.frame()
    assert set(frame["n_nets"]) == {len(split.test)}
    assert set(frame["n_slices"]) == {len(split.test) * 2 * 3}
    assert set(frame["split"]) == {"stored"}
    assert set(frame["folds"]) == {None}
    best = frame.filter(property="filter_size", classifier="kernel", unit="net").row(0, named=True)
    assert best["low"] > best["chance"]
    assert best["low"] > best["control_high"]
    assert abs((frame["control"] - frame["chance"]).mean()) < 0.03
    confusion = found.confusion("filter_size", "kernel", "net")
    assert confusion["count"].sum() == 3 * len(split.test)
    right = confusion.filter(pl.col("truth") == pl.col("answer"))["share"].mean()
    assert right == pytest.approx(best["accuracy"])


def test_only_the_training_side_teaches(zoo):
    """Nets that are on neither side have no influence, whatever is written of them."""
    whole = zoo.split()
    split = Split(whole.train[10:], whole.test)
    asked = {"properties": ["optimizer"], "permutations": 0, **ASKED, "split": split}
    spoilt = Zoo(zoo.path)
    left_out = pl.col("net").is_in(list(whole.train[:10]))
    other = pl.when(left_out).then(pl.lit("adam")).otherwise(pl.col("optimizer"))
    spoilt.nets = spoilt.nets.with_columns(other.alias("optimizer"))
    assert evaluate(spoilt, **asked).frame().equals(evaluate(zoo, **asked).frame())


def test_a_level_that_was_never_seen_is_tested_on(zoo):
    found = evaluate(zoo, split=zoo.split(leave_out=("dataset", "digits")), permutations=0, **ASKED)
    frame = found.frame()
    assert set(frame["split"]) == {"dataset=digits"}
    assert "dataset" not in set(frame["property"])
    assert set(frame["property"]) == set(zoo.space.properties) - {"dataset"}
    assert set(frame["n_nets"]) == {zoo.nets.filter(dataset="digits").height}
    best = frame.filter(property="filter_size", classifier="kernel", unit="net").row(0, named=True)
    assert best["low"] > best["chance"]


def test_what_cannot_be_learnt_or_tested_is_refused(zoo):
    split = zoo.split(leave_out=("dataset", "digits"))
    with pytest.raises(UsageError, match=r"split, side train: .* dataset digits has 0 of"):
        evaluate(zoo, properties=["dataset"], split=split, **ASKED)
    few = Split(zoo.split().train, zoo.split().test[:10])
    with pytest.raises(UsageError, match=r"split, side test: too few nets .* 10 usable"):
        evaluate(zoo, split=few, **ASKED)
    kin = Zoo(zoo.path)
    pair = [zoo.split().train[0], zoo.split().test[0]]
    one_seed = pl.when(pl.col("net").is_in(pair)).then(1).otherwise(pl.col("seed"))
    kin.nets = kin.nets.with_columns(one_seed.alias("seed"))
    with pytest.raises(UsageError, match="were trained from one seed and are on both sides"):
        evaluate(kin, split=kin.split(), **ASKED)
