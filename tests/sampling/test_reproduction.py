"""A net of a zoo is made again from its recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from support.populations import synthetic_zoo
from support.tiny_runs import TINY, small, stacks_of
from weightspace.errors import DataError, UsageError
from weightspace.sampling import reproduce, sample
from weightspace.zoo import Zoo, check


def contents(path: Path) -> dict[str, tuple[bytes, int]]:
    files = (p for p in path.rglob("*") if p.is_file())
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def test_a_net_that_was_trained_alone_is_equal_bit_for_bit(tmp_path: Path) -> None:
    with stacks_of(1):
        zoo = small(tmp_path / "zoo", nets=3)
    before = contents(zoo.path)
    for net in zoo.nets["net"]:
        found = reproduce(zoo.path, net)
        assert found.equal
        assert found.stack == 1
        assert found.frame()["snapshot"].to_list() == [1, 2, 3, 4, 5]
        assert found.frame()["step"].to_list() == zoo.snapshots.filter(net=net)["step"].to_list()
        assert found.frame()["largest"].max() == found.frame()["relative"].max() == 0
    assert contents(zoo.path) == before


def test_a_net_of_a_stack_is_equal_up_to_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In torch, whose sums depend on what they are computed with; the native step's do not."""
    monkeypatch.setattr("weightspace.networks.arithmetic.library", lambda: None)
    # Adam turns a gradient that is all rounding into whole steps, a kink a small step into another.
    space = TINY.with_constants(optimizer="momentum", activation="tanh")
    with stacks_of(3):
        zoo = sample(space, nets=6, out=tmp_path / "zoo", snapshots=5, workers=1)
    found = [reproduce(zoo, net) for net in zoo.nets["net"]]
    assert [one.stack for one in found] == [3] * 6
    assert all(one.differences[0].equal for one in found)  # no arithmetic yet
    apart = [one.relative for reproduction in found for one in reproduction.differences]
    assert 0 < max(apart) < 1e-6


def test_differences_are_measured_against_what_is_stored(tmp_path: Path) -> None:
    """One value of one stored snapshot is changed: that one is found, by how much and where."""
    with stacks_of(1):
        zoo = small(tmp_path / "zoo", nets=1)
    net = zoo.nets["net"][0]
    row = zoo.snapshots.row(2, named=True)
    vector = np.array(zoo.vector(net, 3))
    at = int(np.abs(vector).argmax())
    file = zoo.path / "shards" / row["shard"]
    data = bytearray(file.read_bytes())
    changed = np.float32(vector[at] * 1.5)
    data[row["offset"] + 4 * at : row["offset"] + 4 * at + 4] = changed.tobytes()
    file.write_bytes(data)
    found = reproduce(Zoo(zoo.path), net)
    assert [one.equal for one in found.differences] == [True, True, False, True, True]
    third, apart = found.differences[2], abs(changed - vector[at])
    assert third.largest == pytest.approx(apart)
    vector[at] = changed
    assert third.relative == pytest.approx(apart / np.linalg.norm(vector))


def test_a_net_that_diverged_diverges_again(tmp_path: Path) -> None:
    with stacks_of(1):
        space = TINY.with_constants(learning_rate=99.0, optimizer="momentum", weight_decay=1.0)
        zoo = sample(space, nets=1, out=tmp_path / "zoo", snapshots=5, workers=1)
    assert zoo.nets["diverged"][0]
    assert zoo.snapshots.height < 5
    found = reproduce(zoo, zoo.nets["net"][0])
    assert found.equal
    assert len(found.differences) == zoo.snapshots.height


def test_a_net_that_converges_and_named_epochs_are_made_again(tmp_path: Path) -> None:
    converging = TINY.with_constants(stopping="convergence", epochs=30)
    with stacks_of(1):
        stopped = sample(converging, nets=2, out=tmp_path / "stopped", snapshots=4, workers=1)
        named = sample(TINY, nets=2, out=tmp_path / "named", snapshot_epochs=(0, 0.5, 2), workers=1)
    for zoo in (stopped, named):
        found = reproduce(zoo, zoo.nets["net"][1]).frame()
        stored = zoo.snapshots.filter(net=zoo.nets["net"][1])
        assert found["step"].to_list() == stored["step"].to_list()
        assert found["equal"].all()


def test_a_snapshot_that_only_the_zoo_has_is_a_difference(tmp_path: Path) -> None:
    zoo = small(tmp_path / "zoo", nets=1)
    meta = json.loads((zoo.path / "zoo.json").read_text())
    meta["info"]["snapshots"] = 3
    del meta["checksum"]
    (zoo.path / "zoo.json").write_text(json.dumps(meta))
    found = reproduce(zoo.path, zoo.nets["net"][0])
    assert [one.snapshot for one in found.differences] == [1, 2, 3, 4, 5]
    assert [one.largest is None for one in found.differences] == [False] * 3 + [True] * 2
    assert not found.equal


def test_what_cannot_be_reproduced_is_said(tmp_path: Path) -> None:
    zoo = small(tmp_path / "zoo", nets=1)
    with pytest.raises(UsageError, match=r"zoo: has no net '0{16}'; its `nets` table lists"):
        reproduce(zoo, "0" * 16)
    made = synthetic_zoo(tmp_path / "made", nets=8)
    with pytest.raises(DataError, match="has no record of its snapshots and device"):
        reproduce(made, made.nets["net"][0])
    with pytest.raises(UsageError, match="device: 'tpu' is none of auto, cpu, cuda"):
        reproduce(zoo, zoo.nets["net"][0], device="tpu")


def test_images_must_be_there_and_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for folder in ("one", "other"):
        x = rng.integers(0, 256, (220, 8, 8), dtype=np.uint8)
        y = np.arange(220, dtype=np.uint8) % 10
        (tmp_path / folder).mkdir()
        np.savez(tmp_path / folder / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    one, other = (str(tmp_path / folder) for folder in ("one", "other"))
    space = TINY.with_constants(dataset="mine")
    zoo = sample(space, nets=1, out=tmp_path / "zoo", snapshots=3, workers=1, data_dir=one)
    net = zoo.nets["net"][0]
    assert reproduce(zoo, net, data_dir=one).differences[0].equal
    with pytest.raises(DataError, match=r"zoo: was sampled on other images of mine than those"):
        reproduce(zoo, net, data_dir=other)
    with pytest.raises(DataError, match=r"'mine': is not an image set"):
        reproduce(zoo, net)
    assert check(zoo.path, full=True) == []
