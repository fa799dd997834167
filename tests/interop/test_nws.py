"""The NWS data set's form: in and out again, byte for byte; what is wrong is named."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from support.foreign_nws import EPOCHS, HEADER, SMALL, Net, made_up_history, write_table
from weightspace.errors import DataError, UsageError
from weightspace.interop import export_zoo, import_zoo
from weightspace.networks import Plan
from weightspace.networks.sequential import sequential, state_dict
from weightspace.space import Choice, Constant, Recipe, Space, Uniform
from weightspace.zoo import Writer, Zoo, check


def small(seed: int, **cells: object) -> Net:
    return Net(list((dict(zip(HEADER, SMALL, strict=True)) | cells).values()), seed)


NETS = {
    "nws_main/0001": small(1),
    "nws_main/0002": small(2, dataset="fashion", lrate=0.0049, augmentation=True, optimizer=0),
    "nws_main/0007": small(3, depth_conv=5, filter_size=5, activation=0, initialization=3),
}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of three nets, two to train on and one to test on; one more is in no table."""
    folder = tmp_path_factory.mktemp("release")
    for name, net in NETS.items():
        net.write(folder / name)
    small(9).write(folder / "nws_main/0003")
    names = list(NETS)
    write_table(folder / "nws_main_train.csv", {n: NETS[n] for n in names[:2]})
    write_table(folder / "nws_main_test.csv", {n: NETS[n] for n in names[2:]})
    return folder


@pytest.fixture(scope="module")
def zoo(release, tmp_path_factory):
    return import_zoo(release, tmp_path_factory.mktemp("zoo") / "zoo", "nws")


@pytest.fixture
def one(tmp_path):
    """A release of one net with two snapshots, to be spoiled."""
    NETS["nws_main/0001"].write(tmp_path / "in/nws_main/0001", snapshots=2)
    write_table(tmp_path / "in/train.csv", {"nws_main/0001": NETS["nws_main/0001"]})
    return tmp_path / "in"


def files(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_in_and_out_again_is_byte_for_byte_the_same(release, zoo, tmp_path):
    found = export_zoo(zoo, tmp_path / "out", "nws")
    assert (found.nets, found.left_out) == (3, {})
    before = {n: d for n, d in files(release).items() if "0003" not in n}
    after = files(found.path)
    assert after == before
    assert sum(name.endswith(".bin") for name in after) == 3 * 22


def test_what_a_release_says_stands_in_the_tables(zoo):
    assert [f for f in check(zoo.path, full=True) if f.severity == "error"] == []
    rows = {row["net"]: row for row in zoo.nets.iter_rows(named=True)}
    assert {net: row["split"] for net, row in rows.items()} == {
        "0001": "train",
        "0002": "train",
        "0007": "test",
    }
    second = rows["0002"]
    expected = {"dataset": "fashion_mnist", "learning_rate": 0.0049, "augmentation": True}
    expected |= {"optimizer": "adam", "activation": "tanh", "initialization": "normal"}
    expected |= {"batch_norm": True, "seed": None, "dead": None, "diverged": False, "outputs": 20}
    expected |= {"steps": 703 * (EPOCHS - 1), "source": "nws_main/0002", "stopping": "convergence"}
    assert {name: second[name] for name in expected} == expected
    assert zoo.space.distributions["learning_rate"] == Choice((0.0012345678901234567, 0.0049))
    # As the data set's own reader picks the row of each snapshot.
    history = made_up_history()
    picked = history[np.round(np.linspace(0, EPOCHS - 1, 20)).astype("uint32")]
    moments = zoo.snapshots.filter(net="0002")
    assert moments["step"].to_list() == picked[:, 0].tolist()
    for column, name in enumerate(("train", "validation", "test"), 1):
        wrong = 100 * (1 - moments[f"{name}_accuracy"].to_numpy())
        np.testing.assert_allclose(wrong, picked[:, column], rtol=1e-12)
    assert moments["epoch"][-1] == pytest.approx(EPOCHS - 1.25)


@pytest.mark.parametrize("name", ["0001", "0002"])
def test_an_imported_net_computes_what_it_computed(zoo, name):
    """In TensorFlow's arrangement, with NumPy, and in torch's: the same logits."""
    net = NETS[f"nws_main/{name}"]
    known = {k: v for k, v in zoo.nets.filter(net=name).row(0, named=True).items() if v is not None}
    recipe = Recipe.from_dict({k: known[k] for k in known if k in Recipe(dataset="a").to_dict()})
    module = sequential(recipe)
    module.load_state_dict(state_dict(recipe, zoo.vector(name)), strict=True)
    x = np.random.default_rng(0).random((4, 32, 32, 3))
    with torch.no_grad():
        logits = module.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2)).float()).numpy()
    np.testing.assert_allclose(logits, net.logits(x), atol=1e-4)
    assert np.ptp(logits) > 1


def test_without_tables_every_net_with_a_meta_file_is_taken(release, tmp_path):
    shutil.copytree(release / "nws_main", tmp_path / "in")
    found = import_zoo(tmp_path / "in", tmp_path / "zoo", "nws")
    assert found.nets["net"].to_list() == ["0001", "0002", "0003", "0007"]
    assert sorted(found.nets["split"]) == ["test", "train", "train", "train"]


def test_an_import_that_was_stopped_goes_on(release, zoo, tmp_path):
    seen = []

    def stop(task: str, done: float, total: float) -> None:
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_zoo(release, tmp_path / "zoo", "nws", progress=stop)
    again = import_zoo(release, tmp_path / "zoo", "nws")
    keys = ["net", "snapshot", "checksum"]
    assert again.snapshots.select(keys).equals(zoo.snapshots.select(keys))
    before = files(tmp_path / "zoo")
    import_zoo(release, tmp_path / "zoo", "nws")
    assert files(tmp_path / "zoo") == before


def test_another_zoo_or_folder_is_left_alone(one, zoo, tmp_path):
    copy = shutil.copytree(zoo.path, tmp_path / "zoo")
    before = files(copy)
    with pytest.raises(UsageError, match=r"zoo: holds another zoo, not one of these nets"):
        import_zoo(one, copy, "nws")
    assert files(copy) == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine")
    with pytest.raises(UsageError, match=r"mine: is not a zoo and has other files in it"):
        import_zoo(one, tmp_path / "mine", "nws")
    assert files(tmp_path / "mine") == {"file": b"mine"}


# ---- values that a float32 does not hold


def test_values_beyond_float32_are_refused_or_rounded_when_asked(one, tmp_path):
    file = one / "nws_main/0001/weights/002.bin"
    values = np.fromfile(file)
    values[41] = 0.1
    values.tofile(file)
    with pytest.raises(DataError) as caught:
        import_zoo(one, tmp_path / "zoo", "nws")
    said = str(caught.value)
    assert said == (
        f"{file}: net nws_main/0001: value 41 is 0.1, which float32 cannot represent, "
        "like 1 of 21,260; "
        "`rounded=True` rounds them"
    )
    found = import_zoo(one, tmp_path / "zoo", "nws", rounded=True)
    assert np.float32(0.1) in found.vector("0001", 2)
    values[41] = 1e300
    values.tofile(file)
    with pytest.raises(DataError, match=r"002.bin: net .* value 41 is 1e\+300, which float32"):
        import_zoo(one, tmp_path / "more", "nws", rounded=True)


def test_every_float32_survives_and_a_net_that_blew_up_is_marked(one, tmp_path):
    file = one / "nws_main/0001/weights/002.bin"
    strange = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45, 3.4e38], np.float32)
    values = np.fromfile(file)
    values[:6] = strange
    values.tofile(file)
    found = import_zoo(one, tmp_path / "zoo", "nws")
    row = found.nets.row(0, named=True)
    assert (row["diverged"], row["diverged_step"]) == (True, found.snapshots["step"][1])
    export_zoo(found, tmp_path / "out", "nws")
    assert (tmp_path / "out/nws_main/0001/weights/002.bin").read_bytes() == file.read_bytes()


# ---- what is wrong is named


def cells(one: Path, **changed: object) -> None:
    name = "nws_main/0001"
    write_table(one / "train.csv", {name: NETS[name]}, {name: changed})


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def columns(one: Path, old: str, new: str) -> None:
    file = one / "train.csv"
    file.write_text(file.read_text().replace(old, new), newline="")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda one: columns(one, "lrate", "speed"), r"train.csv: column 'speed' is unknown; rem"),
        (lambda one: columns(one, ",path", ",path,lrate"), r"column 'lrate' is given twice"),
        (lambda one: columns(one, "path", "lrate"), r"column 'lrate' is given twice; remove one"),
        (lambda one: columns(one, ",width_fc", ""), r"train.csv: has no column 'width_fc'; add it"),
        (lambda one: columns(one, ",nws_main", ""), r"train.csv:2: has 15 cells, but .* 16 col"),
        (lambda one: (one / "train.csv").write_bytes(b"\xff\xfe"), r"is not a CSV file in UTF-8"),
        (lambda one: (one / "train.csv").write_bytes(b""), r"train.csv: is empty; write a line"),
        (
            lambda one: cells(one, optimizer=3),
            r"train.csv:2: optimizer: '3' is not a code; known .*0",
        ),
        (
            lambda one: cells(one, dataset="imagenet"),
            r"dataset: 'imagenet' is not a code; .* fashion",
        ),
        (lambda one: cells(one, filter_size=4), r"train.csv:2: filter_size: 4 is not an odd whole"),
        (
            lambda one: cells(one, batch_size="many"),
            r":2: batch_size: 'many' is not a whole",
        ),
        (lambda one: cells(one, lrate=""), r"train.csv:2: lrate: is empty; fill it in"),
        (lambda one: cells(one, lrate="inf"), r"train.csv:2: learning_rate: 'inf' is not a posit"),
        (lambda one: cells(one, batch_norm="maybe"), r"batch_norm: 'maybe' is not true or false"),
        (lambda one: cells(one, weightn_fc=7), r":2: net nws_main/0001: weightn_fc is 7, .* has 1"),
        (lambda one: cells(one, path="../in/nws_main/0001"), r"train.csv:2: path: '../in/nws_main"),
        (lambda one: cells(one, path="/etc"), r"path: '/etc' does not lead to a folder next to"),
        (lambda one: cells(one, path="C:\\nws"), r"path: 'C:.+nws' does not lead to a folder"),
        (lambda one: cells(one, path=""), r"path: '' does not lead to a folder next to the table"),
        (
            lambda one: cells(one, path="nws_main/none"),
            r"none/error.bin: net nws_main/none: c",
        ),
        (lambda one: cells(one, width_fc=128), r"net nws_main/0001: weightn_fc is 1\d+, a net of"),
        (lambda one: cells(one, lrate=0.001), r"meta.csv:2: net nws_main/0001: learning_rate is 0"),
        (
            lambda one: cut(one / "nws_main/0001/weights/002.bin", 21260 * 4),
            r"002.bin: net nws_main/0001: has 85,040 bytes, 21,260 values of float64 take 170,080; "
            r"the file is float32, not float64",
        ),
        (
            lambda one: cut(one / "nws_main/0001/weights/001.bin", 1000),
            r"001.bin: net nws_main/0001: has 1,000 bytes, .* may be cut short, fetch it again",
        ),
        (lambda one: cut(one / "nws_main/0001/weights/001.bin", 0), r"001.bin: .* has 0 bytes"),
        (lambda one: (one / "nws_main/0001/weights/001.bin").unlink(), r"has no 001.bin; fetch"),
        (lambda one: shutil.rmtree(one / "nws_main/0001/weights"), r"weights: holds 0 files"),
        (
            lambda one: cut(one / "nws_main/0001/error.bin", 80),
            r"0001: error.bin has 10 values a",
        ),
        (
            lambda one: cut(one / "nws_main/0001/error.bin", 83),
            r"error.bin: net nws_main/0001: is cut short, 83 .*; fetch the net again",
        ),
        (
            lambda one: cut(one / "nws_main/0001/stat.bin", 24),
            r"stat.bin 3 that begin with another",
        ),
        (lambda one: (one / "nws_main/0001/stat.bin").unlink(), r"stat.bin: net .* cannot be read"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(one, tmp_path, spoil, message):
    spoil(one)
    with pytest.raises(DataError, match=message) as caught:
        import_zoo(one, tmp_path / "zoo", "nws")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "zoo").exists() or Zoo(tmp_path / "zoo").nets.height == 0


def test_a_net_that_stands_twice_is_refused(one, tmp_path):
    shutil.copy(one / "train.csv", one / "test.csv")
    with pytest.raises(
        DataError, match=r"net nws_main/0001: is there twice, also in .*train.csv:2"
    ):
        import_zoo(one, tmp_path / "zoo", "nws")
    assert not (tmp_path / "zoo").exists()


def test_nets_of_one_name_are_told_apart_by_their_folders(tmp_path):
    for table in ("nws_main", "nws_fixed"):
        NETS["nws_main/0001"].write(tmp_path / f"in/{table}/0001", snapshots=1)
        write_table(tmp_path / f"in/{table}_train.csv", {f"{table}/0001": NETS["nws_main/0001"]})
    found = import_zoo(tmp_path / "in", tmp_path / "zoo", "nws")
    assert found.nets["net"].to_list() == ["nws-fixed-0001", "nws-main-0001"]
    before = files(tmp_path / "in")
    assert files(export_zoo(found, tmp_path / "out", "nws").path) == before


SPOILED = {
    "cut errors": lambda net: (net / "error.bin").write_bytes(b"123"),
    "no statistics": lambda net: (net / "stat.bin").unlink(),
    "no weights": lambda net: shutil.rmtree(net / "weights"),
    "cut weights": lambda net: (net / "weights/001.bin").write_bytes(b"123"),
    "another table": lambda net: (net / "meta.csv").write_text("optimizer\n7"),
    "no folder": shutil.rmtree,
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
@pytest.mark.parametrize("tables", [True, False])
def test_a_net_of_which_anything_is_wrong_is_left_out_when_asked(release, tmp_path, spoil, tables):
    shutil.copytree(release, tmp_path / "in")
    if not tables:
        for table in (tmp_path / "in").glob("*.csv"):
            table.unlink()
    spoil(tmp_path / "in/nws_main/0002")
    told = []
    options = {"left_out": lambda *said: told.append(said)}
    zoo = import_zoo(tmp_path / "in", tmp_path / "zoo", "nws", **options)
    gone = spoil is shutil.rmtree and not tables  # no table says that there was a net
    assert zoo.nets.height == (2 if tables else 3)
    assert "nws_main/0002" not in zoo.nets["source"]
    assert len(told) == (0 if gone else 1)


def test_nets_that_cannot_be_read_are_left_out_when_asked(release, tmp_path):
    shutil.copytree(release, tmp_path / "in")
    cut(tmp_path / "in/nws_main/0002/weights/013.bin", 5)
    told = []
    found = import_zoo(
        tmp_path / "in", tmp_path / "zoo", "nws", left_out=lambda *said: told.append(said)
    )
    assert found.nets["net"].to_list() == ["0001", "0007"]
    assert [(net, "013.bin" in str(error)) for net, error in told] == [("0002", True)]


def test_no_nets_and_no_folder_are_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError,
        match=r"empty: contains no nets in the format nws; https://weightspace.github.io/weightspace/interop/",
    ):
        import_zoo(tmp_path / "empty", tmp_path / "zoo", "nws")
    with pytest.raises(
        DataError, match=r"none: is not a folder; give the one that contains the nets"
    ):
        import_zoo(tmp_path / "none", tmp_path / "zoo", "nws")
    with pytest.raises(UsageError, match="format: 'h5' is unknown; known are nws, unterth"):
        import_zoo(tmp_path / "empty", tmp_path / "zoo", "h5")


# ---- a zoo of one's own in that form

GRID = Space(
    "own",
    {
        "dataset": Choice(("mnist", "svhn")),
        "learning_rate": Uniform(0.0002, 0.005),
        "optimizer": Choice(("adam", "momentum")),
        "filter_size": Constant(3),
        "width_conv": Constant(4),
        "width_fc": Constant(64),
        "epochs": Constant(30),
    },
)


def own_zoo(path: Path, snapshots: int = 20, **changed: object) -> Zoo:
    recipes = GRID.draw(4, seed=5)
    recipes[3] = Recipe.from_dict(recipes[3].to_dict() | changed)
    writer = Writer(path, space=GRID, seed=5, info={"snapshots": snapshots})
    for index, recipe in enumerate(recipes):
        layout = Plan.from_recipe(recipe).layout()
        count = 7 if index == 2 else snapshots
        with writer.unit(f"u{index}", nets=[recipe.net], layout=layout, snapshots=count) as unit:
            rows = []
            for k in range(1, count + 1):
                rng = np.random.default_rng([index, k])
                unit.put(recipe.net, k, rng.normal(size=layout.size).astype(np.float32))
                accuracy = {f"{of}_accuracy": rng.random() for of in ("validation", "test")}
                rows.append({"net": recipe.net, "snapshot": k, "step": 9 * k, "epoch": 1.5 * k})
                rows[-1] |= accuracy
            row = {"net": recipe.net, "index": index, "split": "test" if index == 1 else "train"}
            row |= {"steps": 9 * count, "diverged": index == 2, "dead": False, **recipe.to_dict()}
            unit.commit(nets=[row], snapshots=rows)
    return Zoo(path)


def test_the_data_sets_own_reader_reads_a_zoo_of_ones_own(tmp_path):
    zoo = own_zoo(tmp_path / "zoo")
    found = export_zoo(zoo, tmp_path / "out", "nws")
    nets = zoo.nets["net"].to_list()
    assert found.left_out == {nets[2]: "it diverged"}
    rows = {}
    for split in ("train", "test"):
        with (found.path / f"nws_{split}.csv").open(newline="") as file:
            rows |= {row["path"]: row | {"split": split} for row in csv.DictReader(file)}
    assert list(rows) == [f"nets/{nets[i]}" for i in (0, 3, 1)]
    for path, row in rows.items():
        net = path.removeprefix("nets/")
        stored = zoo.nets.filter(net=net).row(0, named=True)
        errors = np.fromfile(found.path / path / "error.bin").reshape(-1, 5)
        epochs = np.fromfile(found.path / path / "stat.bin")[0]
        errors = errors[np.round(np.linspace(0, epochs - 1, 20)).astype("uint32"), :]
        moments = zoo.snapshots.filter(net=net)
        np.testing.assert_allclose(1 - errors[:, 3] / 100, moments["test_accuracy"])
        assert errors[:, 0].tolist() == moments["step"].to_list()
        for k in (1, 20):
            x = np.fromfile(found.path / path / f"weights/{k:03d}.bin", "double")
            assert len(x) == int(row["weightn_conv"]) + int(row["weightn_fc"])
            assert np.sort(x).tolist() == np.sort(zoo.vector(net, k)).tolist()
        assert row["optimizer"] == {"adam": "0", "momentum": "2"}[stored["optimizer"]]
        assert float(row["lrate"]) == stored["learning_rate"]
        assert row["split"] == stored["split"]
    again = import_zoo(found.path, tmp_path / "again", "nws")
    kept = zoo.snapshots.filter(~zoo.snapshots["net"].is_in([nets[2]]))
    keys = ["net", "snapshot", "checksum"]
    assert again.snapshots.select(keys).sort(keys).equals(kept.select(keys).sort(keys))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"input_size": 16},
            r"input_size is 16, that of an NWS net 32; give `format=\"s",
        ),
        ({"outputs": 10}, r"outputs is 10, that of an NWS net 20"),
        ({"blocks": 2}, r"blocks is 2, that of an NWS net 3"),
        (
            {"dataset": "usps"},
            r"dataset is usps, an NWS net has one of mnist, cifar10, svhn, s",
        ),
        ({"optimizer": "sgd"}, r"optimizer is sgd, an NWS net has one of adam, rmsprop, momentum"),
        ({"activation": "gelu"}, r"activation is gelu, an NWS net has one of relu, elu, sigmoid"),
    ],
)
def test_a_net_that_the_columns_cannot_describe_is_refused(tmp_path, changed, message):
    zoo = own_zoo(tmp_path / "zoo", **changed)
    with pytest.raises(UsageError, match=rf"net {zoo.nets['net'][3]}: {message}"):
        export_zoo(zoo, tmp_path / "out", "nws")
    assert not (tmp_path / "out").exists()
    others = zoo.nets["net"].to_list()[:2]
    assert export_zoo(zoo, tmp_path / "out", "nws", nets=others).nets == 2


def test_too_few_snapshots_are_refused(tmp_path):
    zoo = own_zoo(tmp_path / "zoo", snapshots=5)
    with pytest.raises(UsageError, match=r"no net can be exported; net .*: it has 5 snapshots, an"):
        export_zoo(zoo, tmp_path / "out", "nws")


def test_a_zoo_that_would_write_elsewhere_is_refused(one, tmp_path):
    shutil.move(one / "nws_main/0001", one / "net")
    cells(one, path="net")
    import_zoo(one, tmp_path / "zoo", "nws")
    import pyarrow.parquet as pq

    (part,) = (tmp_path / "zoo/nets").iterdir()
    table = pq.read_table(part)
    at = table.schema.get_field_index("source")
    spoiled = table.set_column(at, "source", [["../../outside"]])
    pq.write_table(spoiled.replace_schema_metadata(table.schema.metadata), part)
    with pytest.raises(
        UsageError, match=r"source '../../outside' is not a relative path; the zoo is"
    ):
        export_zoo(tmp_path / "zoo", tmp_path / "out", "nws")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "zoo"]
