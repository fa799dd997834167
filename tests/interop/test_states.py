"""Nets of a sampled zoo, rebuilt by torch from exported files, are the nets that were trained."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from support.populations import synthetic_zoo
from support.tiny_runs import TINY
from weightspace.checkpoints import read_checkpoint
from weightspace.errors import DataError, UsageError
from weightspace.interop import add, export_zoo
from weightspace.networks import Plan
from weightspace.networks.sequential import sequential, state_dict
from weightspace.sampling.work import prepared
from weightspace.space import Recipe, preset
from weightspace.zoo import check

VARIED = TINY.with_constants(
    activation=["relu", "gelu", "sigmoid", "leaky_relu"], depth_conv=[2, 3], depth_fc=[0, 2]
)


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    from weightspace.sampling import sample

    out = tmp_path_factory.mktemp("sampled") / "zoo"
    return sample(VARIED, nets=8, out=out, snapshots=3, workers=1, evaluation_images=200)


@pytest.fixture(scope="module")
def exported(zoo, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "states"
    return export_zoo(zoo, out, "safetensors")


def rebuilt(file: Path) -> torch.nn.Sequential:
    """The net in a file, made from nothing but the file."""
    with safe_open(file, "pt") as opened:
        net = sequential(Recipe.from_json(opened.metadata()["recipe"]))
    net.load_state_dict(load_file(file), strict=True)
    return net.eval()


def test_every_net_and_snapshot_reproduces_its_stored_test_accuracy(zoo, exported):
    assert exported.nets == zoo.nets.height == 8
    assert (exported.left_out, exported.without_plan) == ({}, ())
    found, stored = [], []
    for row in zoo.snapshots.join(zoo.nets, on="net").iter_rows(named=True):
        images = prepared(row["dataset"], None, (row["input_size"], row["channels"]))
        some = np.linspace(0, len(images.y_test) - 1, min(200, len(images.y_test))).astype(int)
        x = torch.from_numpy(images.x_test[some].transpose(0, 3, 1, 2) / np.float32(255))
        y = torch.from_numpy(images.y_test[some])
        net = rebuilt(exported.path / row["net"] / f"{row['snapshot']:03d}.safetensors")
        with torch.no_grad():
            logits = net(x)
        found.append((F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).sum().item()))
        stored.append((row["test_loss"], row["test_accuracy"] * len(y)))
    assert len(found) == 24
    losses, right = np.array(found).T
    np.testing.assert_allclose(losses, np.array(stored)[:, 0], rtol=1e-5)
    # Arithmetic of another order may tip one image that lies on an edge.
    assert np.abs(right - np.array(stored)[:, 1]).max() <= 1
    assert len(set(right)) > 8  # nets that all answer alike would show nothing


def test_files_hold_the_values_and_the_batches_that_norms_have_seen(zoo, exported):
    row = zoo.snapshots.row(-1, named=True)
    values = load_file(exported.path / row["net"] / "003.safetensors")
    assert values["conv1_norm.num_batches_tracked"].item() == row["step"] > 0
    own = sequential(
        Recipe.from_dict(
            zoo.nets.filter(net=row["net"])
            .select(*Recipe(dataset="any").to_dict())
            .row(0, named=True)
        )
    )
    assert {k: v.shape for k, v in own.state_dict().items()} == {
        k: v.shape for k, v in values.items()
    }


def test_read_again_the_files_are_the_same_zoo(zoo, exported, tmp_path):
    again = add(exported.path, tmp_path / "zoo", known=exported.path / "known.csv")
    assert [f for f in check(again.path, full=True) if f.severity == "error"] == []
    said = ["net", "split", "layout", *Recipe(dataset="any").to_dict(), "dead", "test_accuracy"]
    assert again.nets.select(said).sort("net").equals(zoo.nets.select(said).sort("net"))
    moments = ["net", "snapshot", "step", "epoch", "train_loss", "test_accuracy", "checksum"]
    assert (
        again.snapshots.select(moments)
        .sort("net", "snapshot")
        .equals(zoo.snapshots.select(moments).sort("net", "snapshot"))
    )
    assert again.space.properties == tuple(
        name for name in zoo.space.properties if zoo.nets[name].n_unique() > 1
    )


SAME_WIDTHS = Recipe(dataset="any", width_conv=5, width_fc=20, outputs=20, depth_fc=2)
"""Convolutions of 5, 10 and 20, dense layers of 20, 10 and 20: no width tells a layer."""


@pytest.mark.parametrize(
    "recipe",
    [SAME_WIDTHS, *(preset(name).draw(2)[1] for name in ("nws-main", "model-zoos", "demo"))],
)
def test_a_checkpoint_reader_sees_the_vector_that_was_exported(recipe, tmp_path):
    """Without the recipe: norms find their layers by name."""
    layout = Plan.from_recipe(recipe).layout()
    vector = np.random.default_rng(0).normal(size=layout.size).astype(np.float32)
    save_file(state_dict(recipe, vector, steps=7), tmp_path / "net.safetensors")
    seen = read_checkpoint(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(seen.vector, vector)
    assert [(t.role, t.part, t.layer) for t in seen.layout.tensors] == [
        (t.role, t.part, t.layer) for t in layout.tensors
    ]


def test_snapshots_and_nets_can_be_chosen(zoo, tmp_path):
    net = zoo.nets["net"][3]
    found = export_zoo(zoo, tmp_path / "out", "safetensors", nets=[net], snapshots=[-1])
    files = sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "out").rglob("*.*"))
    assert files == [f"out/{net}/003.safetensors", "out/known.csv"]
    with (found.path / "known.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["net"], row["snapshot"]) == (f"{net}/003.safetensors", net, "3")
    assert row["activation"] == zoo.nets["activation"][3]


def test_an_export_overwrites_nothing_and_is_there_whole_or_not_at_all(tmp_path):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=4)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"out: has files in it, and nothing is overwritten"):
        export_zoo(zoo, tmp_path / "out", "safetensors")
    with pytest.raises(UsageError, match=r"mine.txt: is a file, and nothing is overwritten"):
        export_zoo(zoo, tmp_path / "out" / "mine.txt", "safetensors")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"

    def stop(task: str, done: float, total: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_zoo(zoo, tmp_path / "new", "safetensors", progress=stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "zoo"]
    (tmp_path / "new").mkdir()
    assert export_zoo(zoo, tmp_path / "new", "safetensors").nets == 4


def test_a_value_that_is_not_what_was_written_is_not_exported(tmp_path):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=4)
    row = zoo.snapshots.row(7, named=True)
    file = tmp_path / "zoo/shards" / row["shard"]
    data = bytearray(file.read_bytes())
    data[row["offset"] + 9] ^= 1
    file.write_bytes(data)
    told = f"{file}: net {row['net']}, snapshot {row['snapshot']}: its values are damaged; run"
    with pytest.raises(DataError, match=told):
        export_zoo(zoo, tmp_path / "out", "safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "h5"}, "format: 'h5' is unknown; known are nws, safetensors"),
        ({"format": "safetensors", "nets": ["no"]}, "has no net no"),
        ({"format": "safetensors", "nets": []}, "nets: the list is empty"),
        ({"format": "safetensors", "snapshots": [9]}, "net .*: it has none of the snapshots"),
        ({"format": "nws", "snapshots": [1]}, "snapshots: an NWS net has all 20"),
    ],
)
def test_wrong_exports_are_refused(zoo, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        export_zoo(zoo, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_wrong_vectors_and_activations_are_refused():
    recipe = Recipe(dataset="any")
    with pytest.raises(UsageError, match="a net of these layers has 92,868 values"):
        state_dict(recipe, np.zeros(3, np.float32))
    with pytest.raises(UsageError, match="activation: 'swoosh' is unknown; known are relu"):
        sequential(Recipe(dataset="any", activation="swoosh"))
