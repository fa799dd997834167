"""Reading a zoo: what was put comes back, and slices are what they say they are."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open
from safetensors.numpy import load_file

from support.populations import SNAPSHOTS, SPACE, synthetic_zoo
from support.small_units import flat, moment, net_row, open_writer
from weightspace.errors import DataError, UsageError
from weightspace.space import Recipe
from weightspace.space.recipe import FIELDS
from weightspace.zoo import Writer, Zoo, check
from weightspace.zoo.files.places import NETS as NETS_FOLDER


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("zoo") / "zoo", nets=24)


# ---- the contract


def test_tables_have_the_columns_of_the_contract(zoo):
    facts = ["net", "index", "split", "layout", "steps", "diverged", "diverged_step", "dead"]
    assert {*facts, *FIELDS, "test_accuracy"} <= set(zoo.nets.columns)
    assert zoo.snapshots.columns == [
        *("net", "snapshot", "step", "epoch"),
        *("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
        *("test_loss", "test_accuracy", "shard", "offset", "length", "checksum"),
    ]
    kinds = {str: pl.String, int: pl.Int64, float: pl.Float64, bool: pl.Boolean}
    assert {name: zoo.nets.schema[name] for name in FIELDS} == {
        name: kinds[kind] for name, kind in FIELDS.items()
    }
    assert zoo.nets.schema["diverged_step"] == pl.Int64


def test_nets_come_in_the_order_of_the_draw_whatever_their_units(zoo):
    drawn = SPACE.draw(24, 0)
    assert zoo.nets["net"].to_list() == [recipe.net for recipe in drawn]
    assert [Recipe(**row) for row in zoo.nets.select(*FIELDS).iter_rows(named=True)] == drawn
    assert zoo.snapshots["net"].to_list() == [r.net for r in drawn for _ in range(SNAPSHOTS)]
    assert zoo.snapshots["snapshot"].to_list() == list(range(1, SNAPSHOTS + 1)) * 24


def test_meta_and_space_say_where_the_zoo_came_from(zoo):
    assert zoo.space.to_dict() == SPACE.to_dict()
    assert zoo.meta["seed"] == 0
    assert zoo.meta["info"] == {"snapshots": SNAPSHOTS}
    assert {"weightspace", "python"} <= set(zoo.meta["versions"])
    assert zoo.meta["created"].startswith("20")


def test_test_accuracy_is_that_of_the_last_snapshot(zoo):
    last = zoo.snapshots.group_by("net", maintain_order=True).last()
    assert zoo.nets["test_accuracy"].to_list() == last["test_accuracy"].to_list()


def test_vectors_are_views_that_cannot_be_written(zoo):
    net = zoo.nets["net"][3]
    vector = zoo.vector(net, 2)
    assert vector.dtype == np.float32
    assert vector.shape == (zoo.layout(net).size,)
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1
    assert not vector.flags.owndata
    np.testing.assert_array_equal(zoo.vector(net), zoo.vector(net, SNAPSHOTS))
    np.testing.assert_array_equal(zoo.vector(net, -SNAPSHOTS), zoo.vector(net, 1))
    np.testing.assert_array_equal(zoo.read(net, 2, 10, 5), vector[10:15])


def test_what_is_not_there_is_refused_by_name(zoo):
    net = zoo.nets["net"][0]
    with pytest.raises(UsageError, match="has no net nobody"):
        zoo.vector("nobody", 1)
    with pytest.raises(UsageError, match=f"net {net}: has no snapshot 9; it has 1, 2, 3, 4, 5"):
        zoo.vector(net, 9)
    with pytest.raises(UsageError, match="count from 1"):
        zoo.vector(net, 0)
    with pytest.raises(UsageError, match="not within its"):
        zoo.read(net, 1, zoo.layout(net).size - 1, 2)


def test_a_zoo_can_be_sent_to_another_process(zoo):
    again = pickle.loads(pickle.dumps(zoo))
    net = zoo.nets["net"][5]
    np.testing.assert_array_equal(again.vector(net), zoo.vector(net))


def test_reading_needs_no_torch():
    code = "import sys, weightspace.zoo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_new_zoo_without_nets_opens_and_says_so(tmp_path):
    open_writer(tmp_path / "zoo")
    zoo = Zoo(tmp_path / "zoo")
    assert len(zoo.nets) == 0
    assert len(zoo.snapshots) == 0
    with pytest.raises(UsageError, match="none of the 0 nets"):
        zoo.slices(1, 1)


def test_no_zoo_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such directory"):
        Zoo(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"is not a zoo, it has no zoo.json"):
        Zoo(tmp_path)


def test_a_newer_format_is_refused_with_both_versions_and_the_remedy(tmp_path):
    open_writer(tmp_path)
    file = tmp_path / "zoo.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"version": 2}))
    told = "format version 2, this weightspace reads version 1; upgrade it with `pip install"
    with pytest.raises(DataError, match=told):
        Zoo(tmp_path)
    with pytest.raises(DataError, match=told):
        open_writer(tmp_path)
    assert "format version 2" in check(tmp_path)[0].message


# ---- round trip


@st.composite
def populations(draw):
    """Units with their layouts' sizes, nets, and vectors that are or are not there."""
    units = []
    for _ in range(draw(st.integers(1, 3))):
        size, rows = draw(st.integers(1, 40)), draw(st.integers(1, 4))
        nets = []
        for _ in range(draw(st.integers(1, 4))):
            there = sorted(draw(st.sets(st.integers(1, rows))))
            data = draw(hnp.arrays("u4", (len(there), size)))  # any bits: NaN, infinity, denormal
            nets.append(dict(zip(there, data.view("f4"), strict=True)))
        units.append((size, rows, nets))
    return units


@settings(max_examples=40, deadline=None)
@given(populations(), st.randoms(use_true_random=False))
def test_what_is_put_comes_back_to_the_bit(tmp_path_factory, units, chance):
    path = tmp_path_factory.mktemp("trip")
    writer = open_writer(path)
    expected = {}
    for u, (size, rows, nets) in enumerate(units):
        born = [Recipe(dataset="digits", seed=100 * u + i) for i in range(len(nets))]
        vectors = [(r.net, k, v) for r, n in zip(born, nets, strict=True) for k, v in n.items()]
        chance.shuffle(vectors)
        ids = [recipe.net for recipe in born]
        with writer.unit(f"u{u}", nets=ids, layout=flat(size), snapshots=rows) as unit:
            for net, k, values in vectors:
                unit.put(net, k, values)
            unit.commit(
                nets=[net_row(r, r.seed) for r in chance.sample(born, len(born))],
                snapshots=[moment(net, k) for net, k, _ in vectors],
            )
        expected |= {(net, k): values for net, k, values in vectors}
    assert writer.finished == {f"u{u}" for u in range(len(units))}
    assert check(path, full=True) == []
    zoo = Zoo(path)
    there = zoo.snapshots.select("net", "snapshot").rows()
    assert sorted(there) == sorted(expected)
    for net, k in there:
        assert zoo.vector(net, k).tobytes() == expected[net, k].tobytes()
    for u, (size, rows, nets) in enumerate(units):
        tensors = load_file(path / f"shards/u{u}.safetensors")
        assert len(tensors) == len(nets)
        for net, tensor in tensors.items():
            assert tensor.shape == (rows, size)
            for k in range(1, rows + 1):
                value = expected.get((net, k), np.zeros(size, "f4"))
                assert tensor[k - 1].tobytes() == value.tobytes()


def test_the_data_of_a_shard_is_aligned_and_names_its_layout(zoo):
    for file in sorted((zoo.path / "shards").iterdir()):
        length = int.from_bytes(file.read_bytes()[:8], "little")
        assert (8 + length) % 64 == 0
        with safe_open(file, "np") as shard:
            assert len(shard.metadata()["layout"]) == 16


def test_further_columns_are_kept_and_units_may_differ_in_them(tmp_path):
    writer = open_writer(tmp_path)
    for i, more in enumerate([{"seconds": 1.5, "host": "a"}, {"seconds": np.int64(2)}]):
        recipe = Recipe(dataset="digits", seed=i)
        with writer.unit(f"u{i}", nets=[recipe.net], layout=flat(2), snapshots=1) as unit:
            unit.put(recipe.net, 1, np.zeros(2, "f4"))
            unit.commit(nets=[net_row(recipe, i, **more)], snapshots=[moment(recipe.net, 1)])
    nets = Zoo(tmp_path).nets
    assert nets["seconds"].to_list() == [1.5, 2.0]
    assert nets["host"].to_list() == ["a", None]


def test_a_hyper_parameter_that_a_zoo_is_older_than_reads_as_its_default(tmp_path):
    """Recipes get new fields; ids leave out defaults, so the nets of older zoos keep theirs."""
    older = synthetic_zoo(tmp_path / "zoo", nets=24)
    for part in (tmp_path / "zoo" / NETS_FOLDER).glob("*.parquet"):
        table = pq.read_table(part).drop_columns(["label_noise"])
        facts = table.schema.metadata
        known = [name for name in json.loads(facts[b"hyper-parameters"]) if name != "label_noise"]
        older_facts = facts | {b"hyper-parameters": json.dumps(known).encode()}
        table = table.replace_schema_metadata(older_facts)
        pq.write_table(table, part, write_page_checksum=True)
    zoo = Zoo(tmp_path / "zoo")
    assert zoo.nets["label_noise"].to_list() == [0.0] * 24
    recipes = [Recipe(**row) for row in zoo.nets.select(*FIELDS).iter_rows(named=True)]
    assert [recipe.net for recipe in recipes] == older.nets["net"].to_list()


def test_a_metric_that_is_not_a_number_is_absent(tmp_path):
    recipe = Recipe(dataset="digits")
    with open_writer(tmp_path).unit("u", nets=[recipe.net], layout=flat(2), snapshots=1) as unit:
        unit.put(recipe.net, 1, np.full(2, np.nan, "f4"))
        row = moment(recipe.net, 1, train_loss=float("nan"), test_loss=float("inf"))
        diverged = net_row(recipe, diverged=True, diverged_step=7)
        unit.commit(nets=[diverged], snapshots=[row])
    zoo = Zoo(tmp_path)
    assert zoo.snapshots["train_loss"].to_list() == [None]
    assert zoo.snapshots["test_loss"].to_list() == [float("inf")]
    assert zoo.nets["diverged_step"].to_list() == [7]
    assert np.isnan(zoo.vector(recipe.net)).all()


# ---- slices


@pytest.mark.parametrize("part", ["all", "conv", "fc"])
@pytest.mark.parametrize("running_stats", [True, False])
def test_a_slice_is_consecutive_in_the_selected_vector(zoo, part, running_stats):
    slices = zoo.slices(60, 200, seed=3, part=part, running_stats=running_stats)
    assert slices.values.shape == (60, 200)
    assert slices.values.dtype == np.float32
    for values, net, snapshot, start in zip(
        slices.values, slices.net, slices.snapshot, slices.start, strict=True
    ):
        selected = zoo.vector(net, snapshot)[zoo.layout(net).indices(part, running_stats)]
        np.testing.assert_array_equal(values, selected[start : start + 200])


@pytest.mark.parametrize("n", [1, 23, 24, 25, 100])
def test_nets_take_turns(zoo, n):
    _, counts = np.unique(zoo.slices(n, 10).net, return_counts=True)
    assert len(counts) == min(n, 24)
    assert counts.max() - (counts.min() if n >= 24 else 0) <= 1


def test_the_draw_depends_on_the_seed_alone_and_grows_at_its_end(zoo):
    few, again, many = zoo.slices(30, 50, 7), zoo.slices(30, 50, 7), zoo.slices(90, 50, 7)
    for name in ("values", "net", "snapshot", "start"):
        np.testing.assert_array_equal(getattr(few, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(few, name), getattr(many, name)[:30])
    assert (zoo.slices(30, 50, 8).start != few.start).any()


def test_snapshots_are_those_asked_for(zoo):
    assert set(zoo.slices(200, 10).snapshot) == {1, 2, 3, 4, 5}
    assert set(zoo.slices(50, 10, snapshots=(-1,)).snapshot) == {5}
    assert set(zoo.slices(99, 10, snapshots=(2, -2, 4)).snapshot) == {2, 4}


def test_starts_are_uniform_to_both_ends(zoo):
    net = zoo.nets["net"][0]
    size = zoo.layout(net).size
    whole = zoo.slices(20, size, nets=[net])
    assert set(whole.start) == {0}
    counts = np.bincount(zoo.slices(2000, size - 9, nets=[net]).start, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 130  # 200 expected, standard deviation 13


def test_nets_are_those_asked_for(zoo):
    asked = zoo.nets.filter(pl.col("split") == "test")["net"]
    assert set(zoo.slices(40, 10, nets=asked).net) == set(asked)
    with pytest.raises(UsageError, match="given twice"):
        zoo.slices(4, 10, nets=[asked[0], asked[0]])
    with pytest.raises(UsageError, match="has no net"):
        zoo.slices(4, 10, nets=["x"])


def test_a_net_without_the_snapshot_is_left_out(tmp_path):
    full, cut = Recipe(dataset="digits", seed=1), Recipe(dataset="digits", seed=2)
    ids = [full.net, cut.net]
    with open_writer(tmp_path).unit("u", nets=ids, layout=flat(4), snapshots=3) as unit:
        there = [(full.net, 1), (full.net, 2), (full.net, 3), (cut.net, 1)]
        for net, k in there:
            unit.put(net, k, np.full(4, k, "f4"))
        unit.commit(
            nets=[net_row(full, 0), net_row(cut, 1, diverged=True, diverged_step=1)],
            snapshots=[moment(net, k) for net, k in there],
        )
    zoo = Zoo(tmp_path)
    assert set(zoo.slices(20, 2, snapshots=(3,)).net) == {full.net}
    last = zoo.slices(20, 2, snapshots=(-1,))
    assert set(zip(last.net, last.snapshot, strict=True)) == {(full.net, 3), (cut.net, 1)}
    with pytest.raises(UsageError, match=r"none of the 1 nets has any of .*\[3\]"):
        zoo.slices(1, 1, nets=[cut.net], snapshots=(3,))


def test_a_slice_that_does_not_fit_is_refused_with_the_length_that_does(zoo):
    sizes = [len(zoo.layout(net).indices("conv")) for net in zoo.nets["net"]]
    least = min(sizes)
    net = zoo.nets["net"][sizes.index(least)]
    told = rf"net {net}: has {least} values in part 'conv', .* use `slice_length={least}` at most"
    with pytest.raises(UsageError, match=told):
        zoo.slices(4, 5000, part="conv")
    assert zoo.slices(4, least, part="conv").values.shape == (4, least)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"n": 0}, "at least one"),
        ({"n": 1, "length": 0}, "at least one"),
        ({"n": 1, "part": "bias"}, "part: 'bias' is not one of all, conv, fc"),
        ({"n": 1, "snapshots": (0,)}, "count from 1"),
        ({"n": 1, "snapshots": ()}, "at least one"),
    ],
)
def test_slices_that_make_no_sense_are_refused(zoo, arguments, told):
    with pytest.raises(UsageError, match=told):
        zoo.slices(**arguments)


# ---- the population that other tests rely on


def test_the_synthetic_zoo_encodes_what_it_says(tmp_path):
    zoo = synthetic_zoo(tmp_path, nets=60)
    spread = [np.log(zoo.vector(net)[:300].std()) for net in zoo.nets["net"]]
    groups = zoo.nets.with_columns(spread=pl.Series(spread)).group_by("initialization")
    means = groups.agg(pl.col("spread").mean()).sort("spread")
    assert means["initialization"].to_list() == [
        *("constant", "normal", "glorot_uniform", "glorot_normal")
    ]

    def lag(net, snapshot):  # of the large dense weight, which holds neither scales nor shifts
        spec = max(zoo.layout(net).tensors, key=lambda t: t.size)
        vector = zoo.vector(net, snapshot)[spec.offset : spec.stop].astype(float)
        return max((3, 5, 7), key=lambda d: vector[:-d] @ vector[d:])

    found = [[lag(net, k) for net in zoo.nets["net"]] for k in (1, SNAPSHOTS)]
    right = [np.mean(np.array(f) == zoo.nets["filter_size"].to_numpy()) for f in found]
    assert right[0] < 0.6
    assert right[1] > 0.9


def test_a_zoo_of_another_seed_is_another(tmp_path):
    one, two = synthetic_zoo(tmp_path / "1", 6, seed=1), synthetic_zoo(tmp_path / "2", 6, seed=2)
    assert set(one.nets["net"]).isdisjoint(two.nets["net"])
    with pytest.raises(UsageError, match="the seed is 1 there and 2 here"):
        Writer(tmp_path / "1", space=SPACE, seed=2, info={"snapshots": SNAPSHOTS})
