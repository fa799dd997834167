"""What engines share, without a cluster: names, places where units lie, units under way."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from small_units import open_writer, recipes, vector, write
from tiny_runs import small
from weightspace.errors import DataError, UsageError
from weightspace.sampling.engines import node
from weightspace.sampling.engines.depot import Depot
from weightspace.sampling.plan import Unit
from weightspace.zoo import Zoo, check
from weightspace.zoo.parcel import accept, pack, twin, vectors


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine": "dask"}, r"engine: 'dask' is none of local, ray"),
        ({"address": "here:6379"}, r"address, via: are for another engine; add --engine ray"),
        ({"via": "driver"}, r"address, via: are for another engine; add --engine ray"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=told):
        small(tmp_path / "zoo", **options)
    assert not (tmp_path / "zoo").exists()


def test_without_ray_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"install it with `pip install 'weightspace\[ray\]'`"):
        small(tmp_path / "zoo", engine="ray")


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("127.0.0.1:1", r"no cluster answers at 127\.0\.0\.1:1 \(Connection refused\); start one"),
        ("nowhere", r"'nowhere' is no HOST:PORT; start one with `ray start --head`"),
        ("ray://localhost:10001", r"is for Ray's client; run on a node of the cluster"),
    ],
)
def test_an_address_where_no_cluster_is_is_refused(tmp_path: Path, address: str, told: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=told):
        small(tmp_path / "zoo", engine="ray", address=address)
    assert not (tmp_path / "zoo").exists()


def test_a_parcel_carries_a_unit_into_another_zoo_to_the_byte(tmp_path: Path) -> None:
    source = open_writer(tmp_path / "source")
    write(source, 3)
    target = twin(source, tmp_path / "target")
    zoo = Zoo(source.path)
    parcel = pack(zoo, "unit-003")
    accept(target, parcel, vectors(zoo, parcel))
    for file in (f for f in source.path.rglob("*") if f.is_file() and f.name != "zoo.json"):
        assert file.read_bytes() == (target.path / file.relative_to(source.path)).read_bytes()


def test_a_vector_that_was_damaged_on_its_way_is_not_taken(tmp_path: Path) -> None:
    source = open_writer(tmp_path / "source")
    write(source, 3)
    target = twin(source, tmp_path / "target")
    zoo = Zoo(source.path)
    parcel = pack(zoo, "unit-003")
    stacks = [stack.copy() for stack in vectors(zoo, parcel)]
    stacks[2][1, 7] = np.nextafter(stacks[2][1, 7], 9)
    net = parcel.nets[2]["net"]
    with pytest.raises(DataError, match=rf"unit-003: net {net}, snapshot 2 was damaged on its way"):
        accept(target, parcel, stacks)
    assert target.finished == set()
    assert check(target.path) == []


def test_a_net_that_left_no_snapshot_travels_too(tmp_path: Path) -> None:
    """As one that diverged in its first step, whose initial vector was not finite."""
    source = open_writer(tmp_path / "source")
    write(source, 1)
    zoo = Zoo(source.path)
    whole = pack(zoo, "unit-001")
    mute = whole.nets[0]["net"]
    parcel = replace(whole, snapshots=[row for row in whole.snapshots if row["net"] != mute])
    target = twin(source, tmp_path / "target")
    accept(target, parcel, vectors(zoo, parcel))
    copy = Zoo(target.path)
    assert copy.nets.height == zoo.nets.height
    assert mute not in set(copy.snapshots["net"])
    other = recipes(1)[1]
    np.testing.assert_array_equal(copy.vector(other.net, 2), vector(other, 2))


def left(tmp_path: Path) -> tuple[Depot, Unit, Path]:
    """A unit of a zoo that was left at a URL."""
    source = open_writer(tmp_path / "source")
    write(source, 0)
    depot = Depot.of(f"file://{tmp_path}/depot/", {"seed": 0})
    depot.leave(source.path, "unit-000")
    return depot, Named(tuple(recipes(0)), 1.0), next(tmp_path.rglob("*.tar"))


class Named(Unit):
    """The unit of the small zoos, which are not named after their nets."""

    name = "unit-000"  # type: ignore[assignment]


def test_a_unit_left_at_a_url_is_a_zoo_as_a_tar_file(tmp_path: Path) -> None:
    depot, unit, file = left(tmp_path)
    assert depot.units() == {"unit-000"}
    (tmp_path / "by-hand").mkdir()
    subprocess.run(["tar", "-xf", file, "-C", tmp_path / "by-hand"], check=True)
    assert Zoo(tmp_path / "by-hand").nets.height == len(unit.recipes)
    target = open_writer(tmp_path / "target")
    depot.take(unit, target)
    assert target.finished == {"unit-000"}
    assert check(target.path, full=True) == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "others", "empty"])
def test_a_damaged_unit_at_a_url_is_named_and_not_taken(tmp_path: Path, damage: str) -> None:
    depot, unit, file = left(tmp_path)
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        at = data.index(vector(recipes(0)[0], 2).tobytes())
        data[at + 5] ^= 1
        file.write_bytes(data)
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        unit = Named(tuple(recipes(9)), 1.0)
    target = open_writer(tmp_path / "target")
    with pytest.raises(DataError, match=r"unit-000"):
        depot.take(unit, target)
    assert target.finished == set()


def test_a_tar_file_writes_nowhere_but_into_its_zoo(tmp_path: Path) -> None:
    depot, unit, file = left(tmp_path)
    with tarfile.open(file, "a") as tar:
        for name in ("../outside", "/tmp/outside", "shards/../../outside", "zoo.json/outside"):
            member = tarfile.TarInfo(name)
            tar.addfile(member)
        link = tarfile.TarInfo("shards/outside.safetensors")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "source")
        tar.addfile(link)
    depot.take(unit, open_writer(tmp_path / "target"))
    assert not list(tmp_path.rglob("*outside*"))
    assert not Path("/tmp/outside").exists()


def test_runs_that_differ_share_no_units(tmp_path: Path) -> None:
    one = Depot.of(f"file://{tmp_path}", {"seed": 0})
    assert one.url != Depot.of(f"file://{tmp_path}", {"seed": 1}).url
    assert one == Depot.of(f"file://{tmp_path}/", {"seed": 0})


@pytest.mark.parametrize(
    ("url", "kind", "told"),
    [
        ("s4://bucket", UsageError, r"via: s4://bucket/\w+ cannot be used \(Protocol not known"),
        ("file:///proc/x", DataError, r"file:///proc/x/\w+: cannot be read or written \(File"),
    ],
)
def test_a_url_where_nothing_can_lie_is_refused(url: str, kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        Depot.of(url, {})


def test_a_node_knows_the_zoo_by_what_only_the_driver_can_have_put_there(tmp_path: Path) -> None:
    path = tmp_path / "beacon"
    beacon = node.Beacon(path, b"secret")
    assert not beacon.seen()
    path.write_bytes(b"another")  # the same path on another disk
    assert not beacon.seen()
    path.write_bytes(b"secret")
    assert beacon.seen()


def test_a_node_with_another_torch_is_refused(tmp_path: Path) -> None:
    told = node.Errand(
        run="r",
        job=None,
        writer=open_writer(tmp_path / "zoo"),
        beacon=None,
        depot=None,
        versions=node.versions() | {"torch": "1.0"},
    )
    with pytest.raises(DataError, match=r"node .*: has torch .*, the run was started with 1\.0"):
        list(node.errand(told, {}, Unit((), 0.0), None))
