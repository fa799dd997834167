"""Slices and whole vectors read fast are those that the obvious way reads."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil
import pytest

from support.populations import SNAPSHOTS, synthetic_zoo
from support.small_units import flat, moment, net_row, open_writer, recipes
from weightspace.errors import DataError, UsageError
from weightspace.zoo import Zoo


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("zoo") / "zoo"
    synthetic_zoo(path, nets=24, unit_size=2)
    return path


def expect_right(zoo, slices, part="all", running_stats=True):
    for values, net, k, start in zip(
        slices.values, slices.net, slices.snapshot, slices.start, strict=True
    ):
        kept = zoo.layout(net).indices(part, running_stats)[start : start + len(values)]
        np.testing.assert_array_equal(values, zoo.vector(net, k)[kept])


@pytest.mark.parametrize("running_stats", [True, False])
@pytest.mark.parametrize("part", ["all", "conv", "fc"])
def test_a_slice_is_what_the_vector_has_there(path, part, running_stats):
    zoo = Zoo(path)
    slices = zoo.slices(300, 380, part=part, running_stats=running_stats)
    expect_right(zoo, slices, part, running_stats)


@pytest.mark.parametrize(("buffers", "junk"), [(3, 2**16), (500, 4)])
def test_pieces_beyond_what_one_read_takes_are_read_as_well(path, monkeypatch, buffers, junk):
    monkeypatch.setattr("weightspace.zoo.reading.selecting._MOST_BUFFERS", buffers)
    monkeypatch.setattr("weightspace.zoo.reading.selecting._JUNK", memoryview(bytearray(junk)))
    zoo = Zoo(path)
    slices = zoo.slices(50, 5000, running_stats=False)
    expect_right(zoo, slices, running_stats=False)


def test_slices_go_where_they_are_told(path):
    zoo = Zoo(path)
    out = np.empty((40, 200), np.float32)
    slices = zoo.slices(40, 200, seed=3, out=out)
    assert slices.values is out
    np.testing.assert_array_equal(out, zoo.slices(40, 200, seed=3).values)
    for wrong in (out[:, ::2], out.astype(float), out[1:], out.T.copy().T):
        with pytest.raises(UsageError, match=r"give float32 \[40, 200\] in C order"):
            zoo.slices(40, 200, out=wrong)


def test_snapshots_from_the_front_and_the_back_are_those_of_the_net(path):
    zoo = Zoo(path)
    slices = zoo.slices(600, 10, snapshots=(2, -1, -SNAPSHOTS, 99, -99))
    assert set(slices.snapshot.tolist()) == {1, 2, SNAPSHOTS}
    both = zoo.slices(400, 10, snapshots=(SNAPSHOTS, -1, 1))  # the last is named twice
    assert np.bincount(both.snapshot)[[1, SNAPSHOTS]].min() > 150


def test_no_more_shards_are_open_than_may_be(path, monkeypatch):
    monkeypatch.setattr("weightspace.zoo.files.shardfiles._MOST_OPEN", 3)
    zoo = Zoo(path)
    assert len(zoo.snapshots["shard"].unique()) > 8
    gc.collect()  # what earlier tests left open is closed now, not between two counts
    before = psutil.Process().num_fds()
    slices = zoo.slices(96, 20)
    assert psutil.Process().num_fds() <= before + 3
    expect_right(zoo, slices)  # through memory maps
    del zoo, slices
    assert psutil.Process().num_fds() == before


def test_threads_read_at_once_with_few_shards_open(path, monkeypatch):
    monkeypatch.setattr("weightspace.zoo.files.shardfiles._MOST_OPEN", 2)
    zoo = Zoo(path)
    expected = [zoo.slices(64, 100, seed=seed).values for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: zoo.slices(64, 100, seed=seed).values, [*range(8)] * 4))
    for i, values in enumerate(found):
        np.testing.assert_array_equal(values, expected[i % 8])


def test_what_is_not_in_memory_comes_from_the_disk(path):
    expected = Zoo(path).slices(256, 1000).values
    for shard in (path / "shards").iterdir():
        with shard.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    np.testing.assert_array_equal(Zoo(path).slices(256, 1000).values, expected)


@pytest.mark.parametrize("missing", ["RWF_NOWAIT", "preadv and advice"])
def test_systems_with_less_read_the_same(path, monkeypatch, missing):
    expected = Zoo(path).slices(64, 1000, running_stats=False).values
    monkeypatch.setattr("weightspace.zoo.files.shardfiles._NOWAIT", 0)
    if missing != "RWF_NOWAIT":
        monkeypatch.delattr("os.preadv")
        monkeypatch.delattr("os.posix_fadvise")
    found = Zoo(path).slices(64, 1000, running_stats=False).values
    np.testing.assert_array_equal(found, expected)


def test_all_vectors_of_a_net_come_at_once(path):
    zoo = Zoo(path)
    seen = []
    for one in zoo.vectors():
        seen.append(one.net)
        assert one.snapshots.tolist() == [*range(1, SNAPSHOTS + 1)]
        for k, values in zip(one.snapshots, one.values, strict=True):
            np.testing.assert_array_equal(values, zoo.vector(one.net, k))
    assert seen == zoo.nets["net"].to_list()


def test_some_vectors_of_some_nets(path):
    zoo = Zoo(path)
    nets = zoo.nets["net"][[5, 2]].to_list()
    found = list(zoo.vectors(nets, snapshots=(1, 2, -1)))
    assert [one.net for one in found] == nets
    for one in found:
        assert one.snapshots.tolist() == [1, 2, SNAPSHOTS]
        np.testing.assert_array_equal(one.values[2], zoo.vector(one.net))


def one_unit(path: Path, size: int, snapshots: int = 3) -> None:
    born = recipes(0)
    nets = [recipe.net for recipe in born]
    with open_writer(path).unit("u", nets=nets, layout=flat(size), snapshots=snapshots) as unit:
        for net in nets:
            for k in range(1, snapshots + 1):
                unit.put(net, k, np.full(size, k, np.float32))
        unit.commit(
            nets=[net_row(recipe) for recipe in born],
            snapshots=[moment(net, k) for net in nets for k in range(1, snapshots + 1)],
        )


@pytest.mark.parametrize("read", ["slices", "vectors"])
def test_a_shard_cut_short_while_it_is_open_is_one_line(tmp_path, read):
    one_unit(tmp_path, 5000)
    zoo = Zoo(tmp_path)
    zoo.slices(64, 5000)  # all extents are known
    shard = tmp_path / "shards/u.safetensors"
    os.truncate(shard, shard.stat().st_size // 2)
    with pytest.raises(DataError, match=r"u.safetensors: ends after .* run `weightspace check`"):
        zoo.slices(64, 5000) if read == "slices" else list(zoo.vectors())


def test_memory_stays_flat_while_a_zoo_is_read(tmp_path):
    one_unit(tmp_path, 10**6, snapshots=8)  # 128 MB
    zoo = Zoo(tmp_path)
    zoo.slices(256, 5000)
    before = psutil.Process().memory_info().rss
    out = np.zeros((256, 5000), np.float32)
    for seed in range(40):
        zoo.slices(256, 5000, seed=seed, out=out)
    assert psutil.Process().memory_info().rss - before < 2**24
    for _ in zoo.vectors(snapshots=[-1]):
        assert psutil.Process().memory_info().rss - before < 2**25


def test_whole_nets_in_one_array_are_the_same(tmp_path: Path) -> None:
    zoo = synthetic_zoo(tmp_path / "zoo", nets=20)
    own = {one.net: one.values for one in zoo.vectors()}
    met = 0
    for one in zoo.vectors(reuse=True):
        np.testing.assert_array_equal(one.values, own[one.net])
        met += 1
    assert met == len(own) == 20
    arrays = [one.values for one in zoo.vectors(reuse=True)]
    assert any(np.shares_memory(arrays[-1], other) for other in arrays[:-1])
    assert not any(np.shares_memory(one, two) for one, two in pairwise(own.values()))
