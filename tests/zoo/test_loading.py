"""Slices to learn from are the same ones whoever asks for them, in whatever order."""

from __future__ import annotations

import os
import pickle
import threading

import numpy as np
import pytest
from torch.utils.data import DataLoader

from support.populations import SNAPSHOTS, synthetic_zoo
from weightspace.errors import DataError, UsageError
from weightspace.zoo import SliceDataset, Zoo


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("loading") / "zoo"
    synthetic_zoo(path, nets=24, unit_size=4)
    return path


@pytest.fixture
def zoo(path):
    return Zoo(path)


def test_an_item_is_a_slice_with_its_labels(zoo):
    data = SliceDataset(zoo, 3, 200, labels=("optimizer", "augmentation", "learning_rate"))
    assert len(data) == 72
    rows = {row["net"]: row for row in zoo.nets.to_dicts()}
    for i in range(len(data)):
        item = data[i]
        row = rows[item["net"]]
        assert item["net"] == zoo.nets["net"][i % 24]
        expected = zoo.read(item["net"], item["snapshot"], item["start"], 200)
        np.testing.assert_array_equal(item["values"], expected)
        assert data.levels["optimizer"][item["optimizer"]] == row["optimizer"]
        assert data.levels["augmentation"][item["augmentation"]] == row["augmentation"]
        assert item["learning_rate"] == row["learning_rate"]
    np.testing.assert_array_equal(data[-1]["values"], data[71]["values"])
    with pytest.raises(IndexError):
        data[72]


def slices_of(loader):
    """(net, snapshot, start) -> values of all that a loader gives, which must be all different."""
    found = {}
    for batch in loader:
        for i, key in enumerate(
            zip(batch["net"], batch["snapshot"].tolist(), batch["start"].tolist(), strict=True)
        ):
            assert key not in found
            found[key] = batch["values"][i].numpy().tobytes()
    return found


@pytest.mark.parametrize(("workers", "size"), [(0, 5), (1, 16), (2, 7)])
def test_a_data_loader_gets_the_same_slices_with_any_workers(zoo, workers, size):
    data = SliceDataset(zoo, 3, 300, seed=4)
    expected = {
        (item["net"], item["snapshot"], item["start"]): item["values"].tobytes()
        for item in (data[i] for i in range(len(data)))
    }
    loader = DataLoader(data, batch_size=size, shuffle=True, num_workers=workers)
    assert slices_of(loader) == expected


def test_a_batch_of_a_data_loader_is_tensors(zoo):
    data = SliceDataset(zoo, 1, 300, labels=["optimizer"])
    batch = next(iter(DataLoader(data, batch_size=24)))
    assert tuple(batch["values"].shape) == (24, 300)
    assert str(batch["values"].dtype) == "torch.float32"
    assert str(batch["optimizer"].dtype) == "torch.int64"


def test_a_slice_does_not_depend_on_other_nets(zoo):
    some = zoo.nets["net"][[7, 3, 11]].to_list()
    everything = {(i % 24, i // 24): SliceDataset(zoo, 2, 100)[i] for i in range(48)}
    few = SliceDataset(zoo, 2, 100, nets=some)
    for i in range(6):
        whole = everything[(7, 3, 11)[i % 3], i // 3]
        assert few[i]["net"] == whole["net"]
        np.testing.assert_array_equal(few[i]["values"], whole["values"])


def test_seeds_and_epochs_give_other_slices(zoo):
    data = SliceDataset(zoo, 2, 100)
    first = data.batch(np.arange(48))
    data.epoch = 1
    second = data.batch(np.arange(48))
    other = SliceDataset(zoo, 2, 100, seed=1).batch(np.arange(48))
    for one, two in ((first, second), (first, other), (second, other)):
        assert np.mean(one.start == two.start) < 0.1
    data.epoch = 0
    np.testing.assert_array_equal(data.batch(np.arange(48)).values, first.values)


def test_snapshots_and_starts_are_uniform(zoo):
    data = SliceDataset(zoo, 400, 5000)
    batch = data.batch(np.arange(len(data)))
    counts = np.bincount(batch.snapshot)[1:]
    assert len(counts) == SNAPSHOTS
    assert np.abs(counts / counts.mean() - 1).max() < 0.1
    room = np.array([zoo.layout(net).size - 5000 + 1 for net in batch.net.tolist()])
    share = batch.start / room
    assert abs(share.mean() - 0.5) < 0.02
    assert abs(share.std() - 12**-0.5) < 0.02
    assert abs(np.corrcoef(share, batch.snapshot)[0, 1]) < 0.04
    assert abs(np.corrcoef(share[:-24], share[24:])[0, 1]) < 0.04  # the next of the same net


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_give_every_item_once(zoo, workers, shuffle):
    data = SliceDataset(zoo, 3, 300, seed=4, labels=["optimizer"])
    found = list(data.batches(16, shuffle=shuffle, workers=workers))
    assert [len(batch) for batch in found] == [16, 16, 16, 16, 8]
    expected = data.batch(np.arange(72))
    values = np.concatenate([batch.values for batch in found])
    assert (values == expected.values).all() == (not shuffle)
    order = {one.tobytes(): i for i, one in enumerate(expected.values)}
    at = [order[one.tobytes()] for one in values]
    assert sorted(at) == [*range(72)]
    labels = np.concatenate([batch.labels["optimizer"] for batch in found])
    np.testing.assert_array_equal(labels, expected.labels["optimizer"][at])
    again = next(iter(data.batches(16, shuffle=shuffle)))
    np.testing.assert_array_equal(again.values, found[0].values)


def test_batches_that_nobody_wants_are_not_read(zoo):
    before = threading.active_count()
    batches = SliceDataset(zoo, 100, 300).batches(4, workers=3)
    next(batches)
    batches.close()
    assert threading.active_count() <= before


def test_a_split_a_part_and_snapshots_are_kept_to(zoo):
    data = SliceDataset(zoo, 5, 100, nets="test", part="conv", running_stats=False, snapshots=[-1])
    batch = data.batch(np.arange(len(data)))
    assert set(batch.net.tolist()) == set(zoo.split().test)
    assert set(batch.snapshot.tolist()) == {SNAPSHOTS}
    for values, net, start in zip(batch.values, batch.net.tolist(), batch.start, strict=True):
        kept = zoo.layout(net).indices("conv", False)[start : start + 100]
        np.testing.assert_array_equal(values, zoo.vector(net)[kept])


def test_it_travels_to_other_processes(zoo):
    data = SliceDataset(zoo, 2, 100, seed=3, labels=["optimizer"])
    data.epoch = 5
    there = pickle.loads(pickle.dumps(data))
    a, b = (one.batch(np.arange(10)) for one in (data, there))
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.labels["optimizer"], b.labels["optimizer"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"per_net": 0}, "ask for at least one"),
        ({"seed": -1}, "seed: -1 is not from 0 to"),
        ({"seed": 2**63}, "seed: 9223372036854775808 is not from 0 to"),
        ({"nets": "validation"}, "give train, test or a list of nets"),
        ({"nets": ["none"]}, "has no net none"),
        ({"labels": ["colour"]}, "'colour': is not a column"),
        ({"labels": ["diverged_step"]}, "is unknown for 24 nets, such as .*; leave them out"),
        ({"length": 10**6}, "does not fit"),
        ({"length": 0}, "at least one value"),
        ({"snapshots": [9]}, "none of the 24 nets"),
    ],
)
def test_what_makes_no_sense_is_refused(zoo, arguments, told):
    with pytest.raises(UsageError, match=told):
        SliceDataset(zoo, **{"length": 100, **arguments})


def test_batches_of_nothing_are_refused(zoo):
    with pytest.raises(UsageError, match="at least 1"):
        next(SliceDataset(zoo, 1, 100).batches(0))


@pytest.mark.parametrize("workers", [1, 3])
def test_damage_reaches_who_reads(tmp_path, workers):
    zoo = synthetic_zoo(tmp_path / "zoo", nets=6)
    data = SliceDataset(zoo, 20, 100)
    for shard in (zoo.path / "shards").iterdir():
        os.truncate(shard, 5000)
    with pytest.raises(DataError, match="run `weightspace check`"):
        list(data.batches(8, workers=workers))
