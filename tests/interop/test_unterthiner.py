"""The Small CNN Zoo's form: a matrix of vectors, a table of metrics, a table of the lay-out."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from support.foreign_small_cnns import SHAPES, SIZE, row, vector, write
from weightspace.errors import DataError
from weightspace.interop import import_zoo
from weightspace.meta import evaluate
from weightspace.space import Choice, Constant, Uniform, Unknown
from weightspace.zoo import Zoo, check

EPOCHS = (0, 1, 2, 3, 20, 40, 60, 80, 86)


@pytest.fixture
def folder(tmp_path):
    """Three nets; the rows of a net are not beside one another, and the last was cut short."""
    rows = [row(net, epoch) for epoch in EPOCHS for net in (0, 1, 2) if net < 2 or epoch < 40]
    write(tmp_path / "in", rows, packed=False)
    return tmp_path / "in"


@pytest.fixture
def zoo(folder, tmp_path):
    return import_zoo(folder, tmp_path / "zoo", "unterthiner")


def tensors(zoo: Zoo, net: str, snapshot: int) -> dict[str, np.ndarray]:
    values = zoo.vector(net, snapshot)
    return {
        spec.name: values[spec.offset : spec.stop].reshape(spec.shape)
        for spec in zoo.layout(net).tensors
    }


def test_rows_become_the_snapshots_of_nets(zoo):
    assert [f for f in check(zoo.path, full=True) if f.severity == "error"] == []
    assert zoo.nets["net"].to_list() == ["00000", "00001", "00002"]
    assert zoo.nets["source"].to_list() == ["/dir/run/0", "/dir/run/1", "/dir/run/2"]
    counts = zoo.snapshots.group_by("net", maintain_order=True).len()["len"].to_list()
    assert counts == [9, 9, 5]
    first = zoo.snapshots.filter(net="00001")
    assert first["epoch"].to_list() == list(EPOCHS)
    assert first["step"].null_count() == 9
    assert first["test_accuracy"].to_list() == pytest.approx([0.1 + e / 100 for e in EPOCHS])
    assert first["validation_loss"].null_count() == 9


def test_what_the_table_says_stands_in_the_tables_and_the_rest_is_unknown(zoo):
    found = zoo.nets.row(1, named=True)
    expected = {"dataset": "svhn", "activation": "tanh", "optimizer": "rmsprop", "dropout": 0.2}
    expected |= {"initialization": "random_normal", "train_fraction": 0.25, "seed": 42}
    expected |= {"depth_conv": 3, "width_conv": 16, "filter_size": 3, "depth_fc": 0, "epochs": 86}
    expected |= {"input_size": 32, "channels": 1, "batch_norm": False, "init_std": 0.01}
    expected |= {"batch_size": None, "steps": None, "augmentation": None, "outputs": None}
    expected |= {"test_accuracy": pytest.approx(0.96), "diverged": False, "b_init": "zeros"}
    assert {name: found[name] for name in expected} == expected
    space = zoo.space.distributions
    assert space["batch_size"] == Unknown()
    assert space["epochs"] == Constant(86)
    assert space["activation"] == Choice(("relu", "tanh"))
    assert {"optimizer", "activation", "dropout"} <= set(zoo.space.properties)


def test_tensors_are_turned_as_torch_has_them(zoo):
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in SHAPES.values())])
    pieces = (vector(1, 40)[a:b] for a, b in pairwise(ends))
    parts = {
        name.removeprefix("sequential/").removesuffix(":0"): piece.reshape(shape)
        for (name, shape), piece in zip(SHAPES.items(), pieces, strict=True)
    }
    found = tensors(zoo, "00001", 6)
    assert list(found) == [
        f"{layer}.{leaf}"
        for layer in ("conv1", "conv2", "conv3", "output")
        for leaf in ("weight", "bias")
    ]
    x = np.random.default_rng(0).random((5, 15, 15, 1)).astype(np.float32)
    y, z = x, torch.from_numpy(x.transpose(0, 3, 1, 2))
    for name, ours in (("conv2d", "conv1"), ("conv2d_1", "conv2"), ("conv2d_2", "conv3")):
        end = y.shape[1] - 2
        y = np.tanh(
            sum(
                y[:, r : r + end : 2, c : c + end : 2] @ parts[f"{name}/kernel"][r, c]
                for r in range(3)
                for c in range(3)
            )
            + parts[f"{name}/bias"]
        )
        weight, bias = (torch.from_numpy(found[f"{ours}.{n}"].copy()) for n in ("weight", "bias"))
        z = torch.tanh(F.conv2d(z, weight, bias, stride=2))
    y = y.mean(axis=(1, 2)) @ parts["dense/kernel"] + parts["dense/bias"]
    weight, bias = (torch.from_numpy(found[f"output.{n}"].copy()) for n in ("weight", "bias"))
    np.testing.assert_allclose(F.linear(z.mean((2, 3)), weight, bias).numpy(), y, atol=1e-5)
    assert np.ptp(y) > 0.1


def test_several_collections_are_one_zoo(tmp_path):
    for name in ("fashion_mnist", "mnist"):
        rows = [row(n, e, **{"config.dataset": name}) for n in range(3) for e in (0, 86)]
        write(tmp_path / "in" / name, rows)
    zoo = import_zoo(tmp_path / "in", tmp_path / "zoo", "unterthiner")
    assert zoo.nets["net"].to_list()[2:4] == ["fashion-mnist-00002", "mnist-00000"]
    assert zoo.space.distributions["dataset"] == Choice(("fashion_mnist", "mnist"))
    assert zoo.nets["input_size"].unique().to_list() == [28]


def test_properties_can_be_read_off_an_imported_zoo(tmp_path):
    write(tmp_path / "in", [row(net, 86) for net in range(60)])
    zoo = import_zoo(tmp_path / "in", tmp_path / "zoo", "unterthiner")
    assert isinstance(zoo.space.distributions["learning_rate"], Uniform)
    assert zoo.space.distributions["learning_rate"].scale == "log"
    found = evaluate(
        zoo,
        properties=["activation", "optimizer"],
        slice_length=1000,
        seeds=(0,),
        permutations=5,
        slices_per_net=2,
    ).frame()
    best = found.group_by("property").max()
    assert best.filter(property="activation")["accuracy"][0] > 0.9  # its nets' weights are wider
    assert set(found["property"]) == {"activation", "optimizer"}


def test_a_net_that_blew_up_is_marked(folder, tmp_path):
    matrix = np.load(folder / "weights.npy")
    matrix[1, 7] = np.nan  # the second row: net 1 before its first epoch
    np.save(folder / "weights.npy", matrix)
    zoo = import_zoo(folder, tmp_path / "zoo", "unterthiner")
    assert zoo.nets["diverged"].to_list() == [False, True, False]


# ---- what is wrong is named


def replaced(name: str, old: str, new: str):
    def spoil(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), newline="")

    return spoil


def saved(matrix: object):
    return lambda folder: np.save(folder / "weights.npy", matrix, allow_pickle=True)


def archived(folder: Path) -> None:
    np.savez(folder / "other.npz", a=1)
    (folder / "other.npz").replace(folder / "weights.npy")


def claimed(folder: Path) -> None:
    """A header that claims 10^12 rows."""
    data = (folder / "weights.npy").read_bytes()
    old = b"(23, 4970), }" + b" " * 12
    assert old in data
    (folder / "weights.npy").write_bytes(data.replace(old, b"(1000000000000, 4970), }" + b" "))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (replaced("metrics.csv", "modeldir", "folder"), r"metrics.csv: column 'folder' is unknown"),
        (replaced("metrics.csv", ",/dir/run/0,", ",,"), r"metrics.csv:2: modeldir: is empty, so"),
        (
            replaced("metrics.csv", ",adam,", ",a;b,"),
            r"metrics.csv:2: config.optimizer: 'a;b' is n",
        ),
        (
            replaced("metrics.csv", ",86,20,", ",-1,20,"),
            r"metrics.csv:2: epochs: -1 is not a whole",
        ),
        (replaced("metrics.csv", ",86,20,", ",87,20,"), r":5: net /dir/run/0: epochs is 86 here a"),
        (
            replaced("layout.csv", "(3, 3, 1, 16)", "(3, 3, 16)"),
            r"layout.csv:3: 'sequential/conv2d",
        ),
        (
            replaced("layout.csv", "(3, 3, 1, 16)", "(3, 3, 2, 16)"),
            r"layout.csv:3: .* do not fit th",
        ),
        (
            replaced("layout.csv", "kernel:0,16,", "kernel:0,17,"),
            r"layout.csv:3: .*begins at 16 and",
        ),
        (
            replaced("layout.csv", "conv2d/bias", "conv2d/gamma"),
            r"'.*gamma:0' is not a kernel or bias",
        ),
        (lambda f: (f / "layout.csv").unlink(), r"layout.csv: no such file"),
        (
            lambda f: (f / "metrics.csv").unlink(),
            r"metrics.csv: does not exist, nor does metrics.csv.gz",
        ),
        (
            saved(np.zeros((23, SIZE))),
            r"weights.npy: holds float64 \[23, 4970\] instead of float32",
        ),
        (saved(np.zeros((3, SIZE), "<f4")), r"weights.npy: has 3 rows of 4,970 values, .* 23 rows"),
        (saved(np.zeros((23, 9), "<f4")), r"weights.npy: has 23 rows of 9 values, .* 4,970 values"),
        (saved(np.array([{}] * 23)), r"weights.npy: cannot be read \(.*; fetch it again"),
        (archived, r"weights.npy: cannot be read \(the magic"),
        (lambda f: (f / "weights.npy").write_bytes(b""), r"weights.npy: cannot be read"),
        (claimed, r"weights.npy: cannot be read \(.*"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(folder, tmp_path, spoil, message):
    spoil(folder)
    with pytest.raises(DataError, match=message) as caught:
        import_zoo(folder, tmp_path / "zoo", "unterthiner")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "zoo").exists()


def test_a_cut_matrix_and_a_cut_table_are_named(folder, tmp_path):
    data = (folder / "weights.npy").read_bytes()
    (folder / "weights.npy").write_bytes(data[:-4])
    with pytest.raises(DataError, match=r"weights.npy: cannot be read \(has 457,364 bytes whe"):
        import_zoo(folder, tmp_path / "zoo", "unterthiner")
    text = (folder / "metrics.csv").read_bytes()
    (folder / "metrics.csv").unlink()
    (folder / "metrics.csv.gz").write_bytes(gzip.compress(text)[:-40])
    with pytest.raises(DataError, match=r"metrics.csv.gz: cannot be read \(Compressed file ended"):
        import_zoo(folder, tmp_path / "zoo", "unterthiner")


def test_code_in_a_shape_is_not_executed(folder, tmp_path):
    spoil = replaced("layout.csv", '"(3, 3, 1, 16)"', f"open('{tmp_path}/x'.__str__())")
    spoil(folder)
    with pytest.raises(
        DataError, match=r"layout.csv:3: 'sequential/conv2d/kernel:0' is not a kernel"
    ):
        import_zoo(folder, tmp_path / "zoo", "unterthiner")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "changed", [{"test_loss": "bad"}, {"config.dropout": 7}, {"config.optimizer": "adam"}]
)
def test_a_net_that_is_wrongly_described_is_left_out_when_asked(tmp_path, changed):
    rows = [row(net, epoch) for epoch in EPOCHS for net in (0, 1, 2)]
    write(tmp_path / "sound", rows, packed=False)
    sound = import_zoo(tmp_path / "sound", tmp_path / "all", "unterthiner")
    rows[-2] |= changed
    folder = tmp_path / "in"
    write(folder, rows, packed=False)
    with pytest.raises(DataError):
        import_zoo(folder, tmp_path / "strict", "unterthiner")
    told = []
    options = {"left_out": lambda *said: told.append(said)}
    zoo = import_zoo(folder, tmp_path / "zoo", "unterthiner", **options)
    assert [net for net, _ in told] == ["/dir/run/1"]
    assert zoo.nets["net"].to_list() == ["00000", "00002"]  # the names of the others stay
    np.testing.assert_array_equal(zoo.vector("00002"), sound.vector("00002"))
