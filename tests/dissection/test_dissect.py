"""Dissections of a population with known signal: found where and when it is, and nowhere else."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from support.populations import synthetic_zoo
from weightspace.dissection import Dissection, dissect
from weightspace.dissection.dissect import _classifier as classifier
from weightspace.dissection.dissect import _moments as moments
from weightspace.dissection.map import MAP_COLUMNS
from weightspace.dissection.reader import Reader
from weightspace.dissection.slices import SLICES_COLUMNS
from weightspace.dissection.transfer import TRANSFER_COLUMNS
from weightspace.dissection.unseen import UNSEEN_COLUMNS
from weightspace.dissection.what import WHAT_COLUMNS, group_of, what
from weightspace.dissection.what import _lost as lost
from weightspace.dissection.what import _others as others
from weightspace.dissection.what import _outcomes as outcomes
from weightspace.dissection.when import WHEN_COLUMNS
from weightspace.dissection.where import WHERE_COLUMNS
from weightspace.errors import DataError, UsageError
from weightspace.meta import Study
from weightspace.meta.design import labels, layerrows
from weightspace.meta.evaluation.crossfit import cross_predict
from weightspace.meta.model.reader import FEATURE_NAMES
from weightspace.progress import silent
from weightspace.zoo import Zoo

QUICK = {"seeds": (0,), "permutations": 5, "slices_per_net": 2, "classifiers": ["kernel"]}
PROPERTIES = ("augmentation", "filter_size", "batch_size")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("zoo") / "zoo", nets=80)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Too few nets to find the signal, and enough for what numbers cannot show."""
    return synthetic_zoo(tmp_path_factory.mktemp("few") / "zoo", nets=30)


@pytest.fixture(scope="module")
def dissection(zoo):
    heard = []
    found = dissect(
        zoo,
        properties=PROPERTIES,
        positions=8,
        command="weightspace dissect zoo",
        progress=lambda task, done, total: heard.append((task, done, total)),
        **QUICK,
    )
    assert ("where", 16, 16) in heard
    assert ("when", 5, 5) in heard
    assert ("transfer", 5, 5) in heard
    return found


@pytest.fixture
def saved(dissection, tmp_path):
    return dissection.save(tmp_path / "out" / "dissection")


def at(frame, **wanted):
    (row,) = frame.filter(**wanted).to_dicts()
    return row


def test_frames_keep_their_schemas_and_their_order(dissection):
    where, when = dissection.where.frame(), dissection.when.frame()
    assert dict(where.schema) == WHERE_COLUMNS
    assert dict(when.schema) == WHEN_COLUMNS
    for frame in (where, when):
        assert frame["property"].unique(maintain_order=True).to_list() == list(PROPERTIES)
        assert (frame["low"] <= frame["accuracy"]).all()
        assert (frame["accuracy"] <= frame["high"]).all()
        assert (frame["control_low"] < frame["chance"]).all()
        assert (frame["chance"] < frame["control_high"]).all()
        assert (frame["n_nets"] == 80).all()
        levels = {"augmentation": 2, "filter_size": 3, "batch_size": 2}
        for name, own in frame.group_by("property"):
            assert own["chance"].to_list() == [1 / levels[name[0]]] * len(own)


def test_how_much_is_the_evaluation_of_the_last_snapshot(dissection):
    much = dissection.much.frame()
    assert set(much["classifier"]) == {"shallow", "kernel"}
    row = at(much, property="filter_size", classifier="kernel", unit="slice")
    assert row["low"] > 0.8
    assert row["slice_length"] == dissection.facts["slice_length"] == 5000


def test_a_signal_of_the_conv_layers_is_found_there_and_not_elsewhere(dissection):
    frame = dissection.where.frame().filter(property="augmentation")
    conv = at(frame, axis="part", place="conv", running_stats=False)
    fc = at(frame, axis="part", place="fc", running_stats=False)
    assert conv["low"] > 0.8
    assert fc["high"] < conv["low"]
    assert abs(fc["accuracy"] - 0.5) < 3.5 * 0.5 / 80**0.5  # within 3.5 standard errors of chance
    along = frame.filter(axis="position").sort("start")
    assert along["accuracy"][0] > 0.8
    assert along["accuracy"][-3:].mean() < 0.65
    assert at(frame, place="last conv")["low"] > at(frame, place="first fc")["high"]


def test_a_signal_that_grows_is_found_late(dissection):
    rows = dissection.when.frame().filter(property="filter_size")
    assert rows["snapshot"].to_list() == [1, 2, 3, 4, 5]
    assert rows["fraction"].to_list() == [0, 0.25, 0.5, 0.75, 1]
    assert rows["high"][0] < rows["low"][-1]


def test_what_is_not_encoded_is_found_nowhere(dissection):
    frames = (dissection.where.frame(), dissection.when.frame())
    low = np.concatenate([f.filter(property="batch_size")["low"].to_numpy() for f in frames])
    # 21 intervals of 95 %: two of them above chance by luck is the most to expect.
    assert (low > 0.5).sum() <= 2


def test_every_net_is_read_at_the_same_length(dissection):
    where = dissection.where.frame()
    per_place = where.group_by("axis", "place", "running_stats").agg(
        pl.col("slice_length").n_unique()
    )
    assert (per_place["slice_length"] == 1).all()
    assert where.filter(axis="part")["slice_length"].n_unique() == 1


def test_places_tell_where_they_lie(dissection):
    along = dissection.where.frame().filter(axis="position", property="batch_size")
    middles = ((along["start"] + along["stop"]) / 2).to_numpy()
    assert np.allclose(middles, (np.arange(8) + 0.5) / 8, atol=0.001)


def test_facts_count_what_the_zoo_holds(dissection, zoo):
    facts = dissection.facts
    assert (facts["nets"], facts["used"], facts["dead"], facts["diverged"]) == (80, 80, 0, 0)
    assert facts["vectors"] == zoo.snapshots.height == 400
    assert facts["values"] == sum(zoo.layout(net).size for net in zoo.nets["net"]) * 5
    assert facts["datasets"] == ["digits", "shapes", "strokes"]
    assert facts["command"] == "weightspace dissect zoo"
    assert facts["seeds"] == [0]
    assert {"weightspace", "numpy"} <= set(facts["versions"])
    borders = facts["boundaries"]
    assert [b["name"] for b in borders] == ["conv1", "conv2", "fc1", "output"]
    starts, stops = [b["start"] for b in borders], [b["stop"] for b in borders]
    assert starts == pytest.approx([0, *stops[:-1]])
    assert stops[-1] == 1


def test_training_is_the_median_over_nets(dissection, zoo):
    row = at(dissection.training.frame(), dataset="shapes", snapshot=4)
    names = zoo.nets.filter(dataset="shapes")["net"].to_list()
    found = [at(zoo.snapshots, net=name, snapshot=4)["test_accuracy"] for name in names]
    assert row["accuracy"] == pytest.approx(np.median(found))
    assert row["low"] == pytest.approx(np.quantile(found, 0.1))
    assert row["n_nets"] == len(names)


def test_the_same_arguments_give_the_same_numbers(few):
    def once():
        options = {"positions": 2, "snapshots": [-1, 1], "properties": ["filter_size"]}
        options |= {"slice_length": 1000, "also": ("slices", "transfer")}
        return dissect(few, **options, **QUICK)

    first, second = once(), once()
    assert first.when.frame()["snapshot"].to_list() == [1, 5]
    for name in ("much", "where", "when", "training", "slices", "transfer"):
        assert_frame_equal(getattr(first, name).frame(), getattr(second, name).frame())


def test_a_saved_dissection_comes_back_whole(dissection, saved):
    again = Dissection.load(saved)
    for name in ("much", "where", "when", "training"):
        assert_frame_equal(getattr(again, name).frame(), getattr(dissection, name).frame())
    assert again.facts == dissection.facts
    files = [path for path in saved.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".parquet", ".json"}


def damage_missing(folder: Path) -> None:
    (folder / "where.parquet").unlink()


def damage_garbage(folder: Path) -> None:
    (folder / "when.parquet").write_bytes(b"PAR1 this is no table PAR1")


def damage_column(folder: Path) -> None:
    path = folder / "where.parquet"
    pl.read_parquet(path).drop("chance").write_parquet(path)


def damage_facts(folder: Path) -> None:
    (folder / "facts.json").write_text("{")


def damage_list(folder: Path) -> None:
    (folder / "facts.json").write_text(json.dumps([1]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_missing, r"where\.parquet: no such table; save the dissection again"),
        (damage_garbage, r"when\.parquet: not a readable Parquet table"),
        (damage_column, r"where\.parquet: column chance is missing, not Float64"),
        (damage_facts, r"facts\.json: not readable as JSON"),
        (damage_list, r"facts\.json: holds no mapping of facts"),
    ],
)
def test_a_damaged_dissection_is_refused_by_name(saved, damage, message):
    damage(saved)
    with pytest.raises(DataError, match=message):
        Dissection.load(saved)


def test_a_snapshot_that_nets_lack_is_refused(zoo):
    with pytest.raises(UsageError, match=r"snapshots: 6 is none that every net has; .* 1 to 5"):
        dissect(zoo, snapshots=[6], **QUICK)
    with pytest.raises(UsageError, match="snapshots: 0 is none"):
        dissect(zoo, snapshots=[0], **QUICK)
    with pytest.raises(UsageError, match="snapshots: -6 is none"):
        dissect(zoo, snapshots=[-6], **QUICK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"snapshots": ()}, "snapshots: none to read"),
        ({"seeds": ()}, r"seeds: \[\]; give distinct whole numbers"),
        ({"permutations": 3}, "permutations: 3 are too few for an interval"),
        ({"slices_per_net": 0}, "slices_per_net: 0"),
    ],
)
def test_refusals(zoo, change, message):
    with pytest.raises(UsageError, match=message):
        dissect(zoo, **QUICK | change)


def test_snapshots_count_back_from_the_last_though_some_are_missing():
    known = {1: 0.0, 3: 0.5, 6: 1.0}
    assert moments(known, [-1]) == {6: 1.0}
    assert moments(known, [-2, 3, 1]) == {1: 0.0, 3: 0.5}
    with pytest.raises(UsageError, match="snapshots: 2 is none that every net has"):
        moments(known, [2])


def test_a_folder_with_brackets_is_read_back(dissection, tmp_path):
    folder = dissection.save(tmp_path / "run[1]*")
    assert_frame_equal(Dissection.load(folder).where.frame(), dissection.where.frame())


@pytest.mark.parametrize(
    ("asked", "used"),
    [(["boosted", "paper"], "kernel"), (["layers", "shallow"], "shallow"), (None, "kernel")],
)
def test_places_are_read_by_a_quick_classifier(asked, used):
    assert classifier(asked) == used


def test_too_few_nets_are_refused_with_the_numbers(tmp_path):
    with pytest.raises(UsageError, match="too few nets for an interval: 12 usable"):
        dissect(synthetic_zoo(tmp_path / "few", nets=12), **QUICK)


def test_what_else_keeps_its_schemas_and_comes_back_from_disk(dissection, saved):
    assert dict(dissection.slices.frame().schema) == SLICES_COLUMNS
    assert dict(dissection.transfer.frame().schema) == TRANSFER_COLUMNS
    again = Dissection.load(saved)
    for name in ("slices", "transfer", "what", "map", "numbers", "bare", "unseen"):
        assert_frame_equal(getattr(again, name).frame(), getattr(dissection, name).frame())
    assert not dissection.bare.frame()["running_stats"].any()


def test_what_was_not_asked_for_is_not_there(few, saved):
    plain = dissect(few, properties=PROPERTIES[:1], positions=2, also=(), **QUICK)
    assert plain.slices is plain.transfer is plain.what is plain.map is plain.unseen is None
    assert plain.numbers is plain.bare is None
    # In the place of an older one that had more.
    assert Dissection.load(plain.save(saved)).slices is None
    with pytest.raises(UsageError, match=r"also: maps is none of bare, .*, unseen"):
        dissect(few, also=("maps",), **QUICK)


@pytest.mark.parametrize("classifier", ["kernel", "logistic"])
def test_nets_of_a_level_are_tested_by_classifiers_trained_without_it(few, monkeypatch, classifier):
    """Every fold of a property left out is one of its levels; the rivals mix them."""
    folds = []

    def listening(features, owners, labelings, fold, groups, estimator):
        folds.append((fold, labelings.codes[:, 0]))
        return cross_predict(features, owners, labelings, fold, groups, estimator)

    monkeypatch.setattr(sys.modules["weightspace.dissection.reader"], "cross_predict", listening)
    names = ("augmentation", "filter_size")
    quick = QUICK | {"classifiers": [classifier]}
    dissect(few, properties=names, positions=2, also=("unseen",), **quick)
    pure = [
        [len(set(zip(fold, column, strict=True))) == len(set(column)) for column in codes.T]
        for fold, codes in folds
    ]
    # Slices, then whole nets: rivals of 2 and 3 folds, each before the property left out.
    assert pure == [[False, False], [True, False], [False, False], [False, True]] * 2


def test_a_trace_that_does_not_hang_on_the_rest_holds_for_new_kinds(dissection):
    table = dissection.unseen.frame()
    assert dict(table.schema) == UNSEEN_COLUMNS
    assert not (table["property"] == table["without"]).any()
    own = table.filter(property="filter_size", without="augmentation", unit="slice")
    (row,) = own.filter(pl.col("level").is_null()).to_dicts()
    assert row["low"] > row["control_high"]
    assert row["n_nets"] == 80
    assert row["drop_low"] < 0.05
    assert own.drop_nulls("level")["n_nets"].sum() == 80
    idle = table.filter(pl.col("property") == "batch_size", pl.col("level").is_null())
    assert (idle["low"] <= idle["control_high"].clip(0.5)).all()


def test_more_slices_and_longer_ones_tell_more(dissection):
    """The lag of filter_size shows in any stretch that is long enough."""
    table = dissection.slices.frame()
    assert table["slice_length"].unique().sort().to_list() == [64, 200, 500, 1000, 2000, 5000]
    assert set(table["n_nets"]) == {80}
    short = at(table, property="filter_size", slice_length=64, slices=1)
    longer = at(table, property="filter_size", slice_length=2000, slices=1)
    together = at(table, property="filter_size", slice_length=64, slices=16)
    assert longer["accuracy"] > short["high"]
    assert together["low"] > short["accuracy"]
    idle = table.filter(property="batch_size")
    assert (idle["low"] <= pl.Series(idle["control_high"]).clip(0.5)).mean() > 0.9


def test_what_is_learned_late_is_no_use_where_it_is_absent(dissection):
    """filter_size is not in the first snapshot, and grows to the last."""
    table = dissection.transfer.frame().filter(property="filter_size")
    assert table.height == 25
    late, early = table["tested"].max(), table["tested"].min()
    own = at(table, learned=late, tested=late)
    assert own["low"] > own["control_high"]
    for learned, tested in ((late, early), (early, late), (early, early)):
        cell = at(table, learned=learned, tested=tested)
        assert cell["low"] < max(cell["chance"], cell["control_high"])
        assert own["accuracy"] > cell["accuracy"] + 0.3
    assert at(table, learned=late - 1, tested=late)["accuracy"] > 0.7


def test_the_diagonal_of_the_map_is_when(dissection):
    """Learned and tested at one moment, by other slices of the same nets."""
    both = dissection.transfer.frame().filter(pl.col("learned") == pl.col("tested"))
    when = dissection.when.frame()
    joined = both.join(when, left_on=["property", "tested"], right_on=["property", "snapshot"])
    assert joined.height == 15
    assert ((joined["accuracy"] - joined["accuracy_right"]).abs() < 0.15).all()


def test_what_carries_a_property(dissection):
    """filter_size is a correlation at a lag, augmentation a mean of conv weights."""
    table = dissection.what.frame()
    assert dict(table.schema) == WHAT_COLUMNS
    known = at(table, property="filter_size", kind="slice", name="correlation of neighbours")
    assert known["drop_low"] > 0
    blind = at(table, property="filter_size", kind="slice", name="quantiles")
    assert blind["low"] < 0.5
    assert known["low"] > blind["high"]
    whole = at(table, property="filter_size", kind="tampering", name="as it is")
    assert whole["drop"] == 0
    for name in ("scale removed", "ranks only", "signs only", "second half hidden"):
        assert at(table, property="filter_size", kind="tampering", name=name)["low"] > 0.5
    lost = at(table, property="filter_size", kind="tampering", name="shuffled")
    assert lost["low"] < 0.4
    assert lost["drop"] > 0.4
    means = at(table, property="augmentation", kind="net", name="first conv, weights")
    assert means["low"] > 0.6
    idle = table.filter(property="batch_size", kind="slice")
    assert (idle["drop_low"] <= 0).all()


def test_what_carries_a_property_stands_beside_its_control(dissection):
    table = dissection.what.frame()
    assert (table["control_low"] < table["chance"]).all()
    assert (table["chance"] < table["control_high"]).all()
    known = at(table, property="filter_size", kind="tampering", name="as it is")
    assert known["low"] > known["control_high"]
    idle = table.filter(property="batch_size")
    assert (idle["low"] <= idle["control_high"].clip(0.5)).mean() > 0.9
    # On the same slices: the loss is known better than two accuracies that stand apart.
    tampered = table.filter(kind="tampering", property="filter_size")
    assert (tampered["drop_low"] <= tampered["drop"]).all()
    assert (tampered["drop"] <= tampered["drop_high"]).all()
    lost = at(tampered, name="shuffled")
    assert lost["drop"] == pytest.approx(known["accuracy"] - lost["accuracy"])
    assert 0 < lost["drop_low"] < lost["drop"] < lost["drop_high"]


def test_without_permutations_there_is_no_control(zoo):
    study = Study.of(zoo, properties=PROPERTIES[:1], seeds=(0,), permutations=0)
    layouts = {net: zoo.layout(net) for net in study.labels.nets}
    reader = Reader(study, layouts, "shallow")
    table = what(reader, 500, 1, silent).frame()
    assert table.height == 6 + 2 + table.filter(kind="net").height
    assert table["control_low"].is_null().all()
    assert table["control_high"].is_null().all()
    assert table["drop_low"].is_not_null().all()
    # Nor where a classifier is too slow to learn them.
    features = np.random.default_rng(0).normal(size=(80, 3))
    more = replace(reader, study=replace(study, permutations=5))
    row = outcomes(more, "boosted", features, np.arange(len(features))).score(0)
    assert row["control_low"] is row["control_high"] is None


def test_a_group_is_swapped_for_that_of_another_net(zoo):
    study = Study.of(zoo, properties=["augmentation"], seeds=(0,), permutations=0)
    reader, labels = Reader(study, {}, "shallow"), study.labels
    owners = np.random.default_rng(1).permutation(np.repeat(np.arange(80), 5))
    features = np.random.default_rng(2).normal(size=(400, 3))
    features[:, 1] = labels.matrix[owners, 0]
    told, idle = lost(reader, "shallow", features, owners, [[1], [0, 2]])[:, :, 0]
    # All five rows of a net are given those of one other, of its own level or not; three times.
    np.testing.assert_allclose(3 * told, np.round(3 * told), atol=1e-9)
    assert set(np.round(3 * told)) == {0, 1, 2, 3}
    assert 0.4 < told.mean() < 0.6
    assert not idle.any()


def test_nets_give_their_rows_to_another():
    """Also where they have more and fewer: [3, 1, 2, 5] rows, in no order."""
    owners = np.random.default_rng(0).permutation(np.repeat([2, 3, 5, 7], [3, 1, 2, 5]))
    takers = []
    for rows in others(owners, np.random.default_rng(0)):
        given = {int(net): set(owners[rows[owners == net]].tolist()) for net in (2, 3, 5, 7)}
        takers.append({net: from_.pop() for net, from_ in given.items() if len(from_) == 1})
        assert sorted(takers[-1].values()) == [2, 3, 5, 7]
        for net, giver in takers[-1].items():
            own, theirs = (owners == net).sum(), (owners == giver).sum()
            assert len(set(rows[owners == net])) == min(own, theirs)
    assert len(takers) == 3
    for net in (2, 3, 5, 7):
        assert {found[net] for found in takers} == {2, 3, 5, 7} - {net}


@pytest.mark.parametrize("features", FEATURE_NAMES)
def test_every_feature_has_a_group(features):
    """A name that no pattern knows would stand by itself, under its first word."""
    names = FEATURE_NAMES[features]
    groups = {group_of(name, features) for name in names}
    assert not groups & {name.split("_")[0] for name in names}
    assert 2 <= len(groups) <= 30


def test_a_map_shows_nets_that_are_alike_near_each_other(zoo, dissection):
    table = dissection.map.frame()
    assert dict(table.select(*MAP_COLUMNS).schema) == MAP_COLUMNS
    assert set(table["method"]) == {"pca", "tsne"}
    assert table.height == 2 * 80 * 5
    assert set(table["filter_size"]) == {"3", "5", "7"}
    for method in ("pca", "tsne"):
        own = table.filter(method=method).sort("net", "snapshot")
        xy = own.select("x", "y").to_numpy().reshape(80, 5, 2)
        step = np.linalg.norm(np.diff(xy, axis=1), axis=2).mean()
        apart = np.linalg.norm(xy[:, None, 2] - xy[None, :, 2], axis=2)
        # A net moves less from snapshot to snapshot than nets lie apart.
        assert step < apart[np.triu_indices(80, 1)].mean()


def test_labels_are_worked_out_once_and_layers_of_a_snapshot_once(few, monkeypatch):
    """However many analyses ask, each vector's layers are read once."""
    made, read = [], []
    labels_from, layers = labels.labels_from, layerrows.layers

    def labelling(*arguments):
        made.append(arguments)
        return labels_from(*arguments)

    def reading(vector, layout, *, part, running_stats):
        read.append((vector.tobytes(), running_stats))
        return layers(vector, layout, part=part, running_stats=running_stats)

    monkeypatch.setattr(labels, "labels_from", labelling)
    monkeypatch.setattr(layerrows, "layers", reading)
    monkeypatch.setattr(layerrows, "_MANY", 10**9)  # no other processes, where nobody listens
    also = ("bare", "numbers", "what", "map", "unseen")
    dissect(Zoo(few.path), properties=PROPERTIES[:1], positions=1, also=also, **QUICK)
    assert len(made) == 1
    assert len(read) == len(set(read))
    assert read
