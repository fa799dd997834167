"""`evaluate` on a population with known signal: schema, honesty, repeatability, refusals."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

from support.populations import SPACE, lacking, synthetic_zoo
from weightspace.errors import DataError, UsageError
from weightspace.meta import Evaluation, evaluate, labels_of
from weightspace.meta.design import layerrows
from weightspace.meta.design.layerrows import net_rows
from weightspace.meta.design.slices import Source, random_slices
from weightspace.meta.evaluation.result import COLUMNS
from weightspace.zoo import Zoo

NETS = 100
CONTRACT = [
    *("property", "classifier", "unit", "levels", "chance", "accuracy", "low", "high"),
    *("control", "control_low", "control_high", "n_nets", "n_slices", "slice_length", "part"),
    *("running_stats", "snapshots", "folds", "seeds"),
]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("meta") / "zoo", nets=NETS)


@pytest.fixture(scope="module")
def evaluation(zoo):
    return evaluate(zoo, slices_per_net=4, seeds=(0, 1), permutations=6)


def row(result, property, classifier, unit):
    frame = result.frame().filter(
        (pl.col("property") == property)
        & (pl.col("classifier") == classifier)
        & (pl.col("unit") == unit)
    )
    assert len(frame) == 1
    return frame.to_dicts()[0]


def test_the_frame_has_the_schema_of_the_house(evaluation):
    frame = evaluation.frame()
    assert list(frame.columns[: len(CONTRACT)]) == CONTRACT
    assert dict(frame.schema) == COLUMNS
    # Two classifiers of slices with two units each, one of whole nets.
    assert len(frame) == len(SPACE.properties) * 5
    assert frame["property"].unique(maintain_order=True).to_list() == list(SPACE.properties)
    assert set(frame["n_nets"]) == {NETS}
    assert set(frame.filter(pl.col("classifier") != "layers")["n_slices"]) == {NETS * 4 * 2}
    assert set(frame["seeds"]) == {"0, 1"}
    assert set(frame["snapshots"]) == {"-1"}
    assert frame["versions"][0].startswith("weightspace ")
    inside = (pl.col("low") <= pl.col("accuracy")) & (pl.col("accuracy") <= pl.col("high"))
    assert frame.select(inside.all()).item()
    np.testing.assert_allclose(frame["chance"], 1 / frame["levels"])
    assert frame.null_count().sum_horizontal().item() == 0


def test_what_is_encoded_is_found_and_nothing_else(evaluation):
    found = row(evaluation, "filter_size", "kernel", "slice")
    assert found["accuracy"] > 0.9
    assert found["low"] > found["control_high"]
    shallow = row(evaluation, "filter_size", "shallow", "slice")
    assert shallow["accuracy"] < 0.6 < found["accuracy"]
    assert row(evaluation, "initialization", "shallow", "net")["low"] > 0.5
    assert row(evaluation, "augmentation", "layers", "net")["low"] > 0.6
    for name in ("dataset", "learning_rate", "batch_size", "activation"):
        for unit in ("slice", "net"):
            own = row(evaluation, name, "kernel", unit)
            assert own["low"] < max(own["chance"], own["control_high"])


def test_the_control_of_signal_is_chance(evaluation):
    frame = evaluation.frame()
    error = (frame["control"] - frame["chance"]).to_numpy()
    assert abs(error.mean()) < 0.02
    assert np.abs(error).max() < 0.12
    assert (frame["control_low"] <= frame["control"]).all()


def test_averaging_slices_of_a_net_helps(evaluation):
    gain = [
        row(evaluation, name, "kernel", "net")["accuracy"]
        - row(evaluation, name, "kernel", "slice")["accuracy"]
        for name in ("optimizer", "augmentation", "filter_size")
    ]
    assert np.mean(gain) > 0


def test_confusions_agree_with_accuracies(evaluation):
    for unit, total in (("slice", NETS * 4 * 2), ("net", NETS * 2)):
        confusion = evaluation.confusion("optimizer", "kernel", unit)
        assert confusion["count"].sum() == total
        right = confusion.filter(pl.col("truth") == pl.col("answer"))["share"]
        assert right.mean() == pytest.approx(
            row(evaluation, "optimizer", "kernel", unit)["accuracy"]
        )
    with pytest.raises(UsageError, match="nothing on speed, kernel, slice; properties are dataset"):
        evaluation.confusion("speed", "kernel")


def test_it_goes_to_disk_and_json_and_back(evaluation, tmp_path):
    plain = json.loads(json.dumps(evaluation.to_dict()))
    assert plain["rows"][0]["property"] == "dataset"
    folder = evaluation.to_parquet(tmp_path / "new" / "folder")
    again = Evaluation.read(folder)
    assert again.frame().equals(evaluation.frame())
    assert again.to_dict() == evaluation.to_dict()
    only = Evaluation(evaluation.frame())
    assert Evaluation.read(only.to_parquet(tmp_path / "only")).confusions is None
    with pytest.raises(UsageError, match="only the table of this evaluation was kept"):
        only.confusion("optimizer", "kernel")


def test_damaged_tables_are_named(evaluation, tmp_path):
    with pytest.raises(DataError, match=r"evaluation.parquet: no such table; evaluate again"):
        Evaluation.read(tmp_path)
    folder = evaluation.to_parquet(tmp_path / "one")
    (folder / "evaluation.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match=r"evaluation.parquet: not a readable Parquet table"):
        Evaluation.read(folder)
    evaluation.frame().drop("accuracy").write_parquet(folder / "evaluation.parquet")
    with pytest.raises(DataError, match=r"column accuracy is missing, not Float64"):
        Evaluation.read(folder)


def test_the_same_call_gives_the_same_table_and_a_seed_another(zoo):
    asked = {"properties": ["optimizer"], "slices_per_net": 2, "permutations": 5}
    one, two, other = (
        evaluate(zoo, seeds=(seed,), **asked).frame().drop("seeds") for seed in (0, 0, 1)
    )
    assert one.equals(two)
    assert not one.equals(other)


def test_parts_snapshots_and_running_statistics_are_chosen(zoo):
    asked = {
        "properties": ["augmentation", "filter_size"],
        "classifiers": ["kernel"],
        "slices_per_net": 2,
        "seeds": (0,),
        "permutations": 0,
    }
    conv = evaluate(zoo, part="conv", running_stats=False, slice_length=150, **asked)
    fc = evaluate(zoo, part="fc", slice_length=150, **asked)
    assert row(conv, "augmentation", "kernel", "net")["low"] > 0.6
    assert row(fc, "augmentation", "kernel", "net")["low"] < 0.55
    first = evaluate(zoo, snapshots=(1,), **asked)
    assert row(first, "filter_size", "kernel", "net")["low"] < 0.5
    found = row(conv, "filter_size", "kernel", "slice")
    assert (found["part"], found["running_stats"], found["control"]) == ("conv", False, None)
    assert found["snapshots"] == "-1"


def test_slow_classifiers_have_no_control_and_say_so(zoo):
    found = evaluate(
        zoo,
        properties=["optimizer"],
        classifiers=["forest"],
        slices_per_net=2,
        seeds=(0,),
        permutations=5,
    )
    assert found.frame()["classifier"].unique(maintain_order=True).to_list() == [
        "shallow",
        "forest",
    ]
    assert row(found, "optimizer", "forest", "net")["control_high"] is None
    assert row(found, "optimizer", "forest", "net")["permutations"] == 0
    assert row(found, "optimizer", "shallow", "net")["control_high"] is not None


def test_diverged_nets_are_left_out_and_counted(zoo, tmp_path):
    copy = shutil.copytree(zoo.path, tmp_path / "zoo")
    again = Zoo(copy)
    again.nets = again.nets.with_columns((pl.int_range(pl.len()) < 8).alias("diverged"))
    found = evaluate(
        again, properties=["optimizer"], slices_per_net=2, seeds=(0,), permutations=0
    ).frame()
    assert set(found["n_nets"]) == {NETS - 8}
    assert set(found["n_diverged"]) == {8}


def test_nets_without_the_snapshot_are_left_out_not_counted_as_wrong(zoo):
    asked = {"properties": ["initialization"], "slices_per_net": 2, "seeds": (0,)}
    asked |= {"permutations": 0, "snapshots": (5,)}
    short = evaluate(lacking(zoo, 30, 5), **asked)
    assert set(short.frame()["n_nets"]) == {NETS - 30}
    own = short.frame().filter(pl.col("classifier") != "layers")
    assert set(own["n_slices"]) == {2 * (NETS - 30)}
    for classifier, unit in (("kernel", "slice"), ("kernel", "net"), ("layers", "net")):
        whole = row(evaluate(zoo, **asked), "initialization", classifier, unit)
        found = row(short, "initialization", classifier, unit)
        # Thirty nets that count as wrong would cost 30 %.
        assert found["accuracy"] > whole["accuracy"] - 0.15
        confusion = short.confusion("initialization", classifier, unit)
        assert confusion["count"].sum() == found["n_slices" if unit == "slice" else "n_nets"]


def test_nets_that_have_some_of_the_snapshots_are_tested_on_those(zoo):
    found = evaluate(
        lacking(zoo, 30, 5),
        properties=["initialization"],
        slices_per_net=2,
        seeds=(0,),
        permutations=0,
        snapshots=(1, 5),
    )
    assert set(found.frame()["n_nets"]) == {NETS}
    rows = row(found, "initialization", "layers", "net")["n_slices"]
    assert rows == 2 * NETS - 30


def test_a_snapshot_named_twice_is_looked_at_once(zoo):
    nets = list(zoo.nets["net"][:10])
    once, _ = net_rows(zoo, nets, Source(snapshots=(5,)))
    twice, owners = net_rows(zoo, nets, Source(snapshots=(-1, 5)))
    np.testing.assert_array_equal(once, twice)
    assert owners.tolist() == list(range(10))


def test_processes_take_the_same_rows_of_layers(zoo, monkeypatch):
    nets = zoo.nets["net"].to_list()[:60]
    heard = []
    one, owners = net_rows(Zoo(zoo.path), nets, Source(snapshots=(1, -1)))
    monkeypatch.setattr(layerrows, "_MANY", 2)
    monkeypatch.setattr(layerrows.loky, "cpu_count", lambda: 2)
    monkeypatch.setattr(layerrows, "_row_by_row", None)  # not here, but where it is imported anew
    many, again = net_rows(
        Zoo(zoo.path), nets, Source(snapshots=(1, -1)), progress=lambda *told: heard.append(told)
    )
    assert (one == many).all()
    assert owners.tolist() == again.tolist() == [i for i in range(60) for _ in range(2)]
    assert heard[-1] == ("reading layers", 120, 120)


def test_rows_of_layers_are_taken_once_of_an_open_zoo(zoo, monkeypatch):
    opened = Zoo(zoo.path)
    nets = opened.nets["net"].to_list()[:3]
    first, _ = net_rows(opened, nets, Source())
    bare, _ = net_rows(opened, nets, Source(running_stats=False))
    monkeypatch.setattr(opened, "vector", None)
    again, _ = net_rows(opened, nets, Source())
    assert (again == first).all()
    assert (bare != first).any()
    with pytest.raises(TypeError):
        net_rows(opened, nets, Source(snapshots=(1,)))


@pytest.mark.parametrize("name", ["run[1]", "run*", "what?", "a=1", "{x}"])
def test_folders_of_any_name_are_read_back(evaluation, tmp_path, name):
    folder = evaluation.to_parquet(tmp_path / name)
    assert Evaluation.read(folder).frame().equals(evaluation.frame())


def test_no_damage_to_a_table_escapes(evaluation, tmp_path):
    folder = evaluation.to_parquet(tmp_path / "fuzz")
    path = folder / "evaluation.parquet"
    sound = np.frombuffer(path.read_bytes(), np.uint8)
    rng = np.random.default_rng(0)
    messages = []
    for trial in range(400):
        bytes_ = sound.copy()
        # Most of what can go wrong is in the footer, after the columns.
        first = 0 if trial % 4 == 0 else int(0.6 * len(sound))
        bytes_[rng.integers(first, len(sound), 1 + trial % 5)] = rng.integers(256)
        path.write_bytes(bytes_.tobytes()[: len(sound) if trial % 7 else rng.integers(len(sound))])
        try:
            Evaluation.read(folder)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all("evaluation.parquet: " in text and "\n" not in text for text in messages)


def test_slices_are_read_a_few_nets_at_a_time(zoo, monkeypatch):
    from weightspace.meta.design import slices

    labels = labels_of(zoo)
    seen = []

    def length(values):
        seen.append(values.nbytes)
        return values[:, :3]

    monkeypatch.setattr(slices, "_BYTES", 10 * 4 * 1000 * 4)
    rows, owners = random_slices(zoo, labels.nets, {"few": length}, Source(1000), per_net=4, seed=0)
    assert max(seen) <= 10 * 4 * 1000 * 4
    assert rows["few"].shape == (NETS * 4, 3)
    np.testing.assert_array_equal(np.bincount(owners), np.full(NETS, 4))
    # Every row is a piece of its own net's vector.
    for features, owner in zip(rows["few"][::37], owners[::37], strict=True):
        vector = zoo.vector(labels.nets[owner])
        assert (vector == features[0]).any()


def test_progress_is_told(zoo):
    told = []
    evaluate(
        zoo,
        properties=["optimizer"],
        slices_per_net=1,
        seeds=(0,),
        permutations=0,
        progress=lambda *step: told.append(step),
    )
    assert {task for task, _, _ in told} >= {"reading slices", "cross-fitting"}
    assert all(0 <= done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]


def test_learning_that_takes_long_tells_of_every_labeling(zoo):
    told = []
    evaluate(
        zoo,
        properties=["optimizer", "dataset"],
        classifiers=["boosted-statistics"],
        slices_per_net=1,
        seeds=(0,),
        permutations=0,
        progress=lambda *step: told.append(step),
    )
    own = [step for step in told if step[0] == "training boosted-statistics"]
    # Two properties in each of five folds.
    assert [done for _, done, _ in own] == list(range(1, 11))
    assert {total for _, _, total in own} == {10}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"properties": ["speed"]},
            r"speed: no property of the space synthetic; known are dataset",
        ),
        ({"classifiers": ["oracle"]}, r"oracle: no such classifier; known are shallow, kernel"),
        (
            {"slice_length": 9000},
            r"slice_length: 9,000 values do not fit the shortest vector .*net",
        ),
        ({"slice_length": 10}, r"slice_length: 10 values are too few; give at least 64"),
        ({"part": "tail"}, r"part: 'tail' is not one of"),
        ({"folds": 40}, r"too few nets for an interval: 100 usable, 40 folds need 200"),
        ({"permutations": 1}, r"permutations: 1 are too few for an interval; give at least 5"),
        ({"permutations": 4}, r"permutations: 4 are too few for an interval; give at least 5"),
        ({"snapshots": ()}, r"snapshots \[\]: count from 1"),
        ({"snapshots": (9,)}, r"0 usable \(100 without these snapshots\), 5 folds need 25"),
        ({"seeds": (1, 1)}, r"seeds: \[1, 1\]; give distinct whole numbers"),
        ({"seeds": ()}, r"seeds: \[\]; give distinct"),
        ({"slices_per_net": 0}, r"slices_per_net: 0; give at least 1"),
        ({"resamples": 5}, r"resamples: 5 are too few for 95 % intervals"),
    ],
)
def test_refusals(zoo, change, message):
    with pytest.raises(UsageError, match=message):
        evaluate(zoo, **change)


def test_a_handful_of_nets_is_refused(tmp_path):
    few = synthetic_zoo(tmp_path / "zoo", nets=12)
    with pytest.raises(UsageError, match=r"too few nets for an interval: 12 usable, 5 folds need"):
        evaluate(few)
