"""What engines share, without a cluster: names, places where units lie, units under way."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.small_units import LAYOUT, SNAPSHOTS, flat, open_writer, recipes, vector, write
from support.tiny_runs import small
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.sampling.engines import node
from weightspace.sampling.engines.depot import Depot
from weightspace.sampling.plan import Unit
from weightspace.zoo import Zoo, check
from weightspace.zoo.writing.parcel import Parcel, accept, pack, twin, vectors


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"engine": "dask"}, r"engine: 'dask' is none of local, ray"),
        ({"address": "here:6379"}, r"address, via: are for another engine; add `engine=\"ray"),
        ({"via": "driver"}, r"address, via: are for another engine; add `engine=\"ray"),
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


@pytest.mark.parametrize("version", ["2.40.0", "2.53.0", "1.99.9", "nonsense"])
def test_a_ray_that_asks_for_no_token_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(pytest.importorskip("ray"), "__version__", version)
    told = rf"engine: ray {version} is installed, 2\.54 or newer is needed, .*; install it with"
    with pytest.raises(UsageError, match=told):
        small(tmp_path / "zoo", engine="ray")
    assert not (tmp_path / "zoo").exists()


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
    with pytest.raises(DataError, match=rf"unit-003: net {net}, snapshot 2 was damaged in transit"):
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
    depot.take(unit, target, SNAPSHOTS)
    assert target.finished == {"unit-000"}
    assert check(target.path, full=True) == []


def test_a_unit_travels_by_a_store_that_has_no_folders(tmp_path: Path) -> None:
    source = open_writer(tmp_path / "source")
    write(source, 0)
    depot = Depot.of(f"memory://{tmp_path.name}", {"seed": 0})
    depot.leave(source.path, "unit-000")
    assert depot.units() == {"unit-000"}
    target = open_writer(tmp_path / "target")
    depot.take(Named(tuple(recipes(0)), 1.0), target, SNAPSHOTS)
    assert target.finished == {"unit-000"}


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
        depot.take(unit, target, SNAPSHOTS)
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
    depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)
    assert not list(tmp_path.rglob("*outside*"))
    assert not Path("/tmp/outside").exists()


SHARD = "shards/unit-000.safetensors"


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The block of a tar file that says that a member of this size follows."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_sparse_file_of_ten_kilobytes_does_not_become_gigabytes(
    tmp_path: Path, form: str
) -> None:
    depot, unit, file = left(tmp_path)
    (tmp_path / "shards").mkdir()
    with (tmp_path / SHARD).open("wb") as sparse:
        sparse.truncate(3 * 2**30)
    pack_it = ["tar", "-S", f"--format={form}", "-C", tmp_path, "-cf", file, SHARD]
    subprocess.run(pack_it, check=True)
    assert file.stat().st_size < 2**15
    with pytest.raises(DataError, match=rf"unit-000\.tar: is damaged, {SHARD} in it is no plain"):
        depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)


def test_a_sparse_file_as_small_as_the_real_one_is_refused_too(tmp_path: Path) -> None:
    depot, unit, file = left(tmp_path)
    (tmp_path / "shards").mkdir()
    with (tmp_path / SHARD).open("wb") as sparse:
        sparse.truncate(4096)
    subprocess.run(["tar", "-S", "-C", tmp_path, "-cf", file, SHARD], check=True)
    with pytest.raises(DataError, match="is no plain file"):
        depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)


def test_a_unit_has_no_more_bytes_than_its_nets(tmp_path: Path) -> None:
    depot, unit, file = left(tmp_path)
    with tarfile.open(file) as tar:
        real = tar.getmember(SHARD).size
    assert real > SNAPSHOTS * len(unit.recipes) * LAYOUT.size * 4
    file.write_bytes(header(SHARD, real + 1) + bytes(2 * real))
    most = rf"has {real + 1:,} bytes, {real:,} are the most it can have; delete it"
    with pytest.raises(DataError, match=most):
        depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (header(SHARD, 9) + bytes(512) + header(SHARD, 9) + bytes(512), "is in it twice"),
        (header(SHARD, 0, tarfile.SYMTYPE), "is no plain file"),
        (header(SHARD, 0, tarfile.FIFOTYPE), "is no plain file"),
        (header(SHARD, -1), "is damaged, "),
        (header(SHARD, 2000), "unexpected end of data"),
        (header("long", 0, tarfile.GNUTYPE_LONGNAME) * 1500, "is damaged, "),
        (header("pax", 512, tarfile.XHDTYPE) + b"1000 size=1".ljust(512, b"\0"), "is damaged, "),
        (header(SHARD, 99)[:150] + b"\xff" * 362, "is damaged, "),
    ],
)
def test_nonsense_in_a_tar_file_is_named_in_one_line(
    tmp_path: Path, content: bytes, told: str
) -> None:
    depot, unit, file = left(tmp_path)
    file.write_bytes(content)
    target = open_writer(tmp_path / "target")
    with pytest.raises(DataError, match=told) as error:
        depot.take(unit, target, SNAPSHOTS)
    assert "\n" not in str(error.value)
    assert target.finished == set()


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (b"", header("another", 0)),
        (header("another", 2**40), bytes(512)),
        (header("another", 2**40, tarfile.XHDTYPE), b"x" * 512),
        (header("another", 2**40, tarfile.GNUTYPE_LONGNAME), b"x" * 512),
        (header(SHARD, 100) + bytes(512), header("another", 5) + bytes(512)),
    ],
)
def test_a_url_that_gives_bytes_without_end_is_read_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes, again: bytes
) -> None:
    depot, unit, _ = left(tmp_path)

    class Endless(io.RawIOBase):
        given = 0
        rest = first

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            while len(self.rest) < size:
                self.rest += again * 64
            piece, self.rest = self.rest[:size], self.rest[size:]
            self.given += size
            return piece

    endless = Endless()
    monkeypatch.setattr("weightspace.sampling.engines.depot._opened", lambda url: endless)
    with pytest.raises(DataError, match="it has more in it than such a file has; delete it"):
        depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)
    assert endless.given < 2**21


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_only_a_file_is_taken_from_a_folder(tmp_path: Path, kind: str) -> None:
    depot, unit, file = left(tmp_path)
    file.unlink()
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.mkdir()
    with pytest.raises(DataError, match=r"unit-000\.tar: is not a regular file"):
        depot.take(unit, open_writer(tmp_path / "target"), SNAPSHOTS)


@pytest.mark.parametrize("name", ["unit-000.tar", "run.json"])
def test_a_link_at_the_url_is_replaced_and_not_written_through(tmp_path: Path, name: str) -> None:
    depot, _, file = left(tmp_path)
    before = (file.parent / name).read_bytes()
    (tmp_path / "precious").write_bytes(b"precious")
    (file.parent / name).unlink()
    (file.parent / name).symlink_to(tmp_path / "precious")
    depot.leave(tmp_path / "source", "unit-000")
    Depot.of(f"file://{tmp_path}/depot/", {"seed": 0})
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert (file.parent / name).read_bytes() == before
    assert not (file.parent / name).is_symlink()


def test_a_tar_file_of_an_earlier_version_is_taken(tmp_path: Path) -> None:
    """Which says of each file when it was written, in a header of its own."""
    depot, unit, file = left(tmp_path)
    with tarfile.open(file, "w") as tar:
        for path in sorted(p for p in (tmp_path / "source").rglob("*") if p.is_file()):
            tar.add(path, arcname=path.relative_to(tmp_path / "source").as_posix())
    assert b"mtime" in file.read_bytes()
    target = open_writer(tmp_path / "target")
    depot.take(unit, target, SNAPSHOTS)
    assert target.finished == {"unit-000"}


def test_a_tar_file_does_not_tell_who_wrote_it_and_when(tmp_path: Path) -> None:
    _, _, file = left(tmp_path)
    with tarfile.open(file) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in tar} == {(0, 0, "", "", 0)}


@pytest.mark.parametrize("lie", ["twice", "another layout"])
def test_a_unit_of_rows_that_lie_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    depot, unit, _ = left(tmp_path)

    def lying(zoo: Zoo, name: str) -> Parcel:
        parcel = pack(zoo, name)
        if lie == "twice":
            return replace(parcel, nets=[*parcel.nets, parcel.nets[0]])
        return replace(parcel, layout=flat(LAYOUT.size))

    monkeypatch.setattr("weightspace.sampling.engines.depot.pack", lying)
    target = open_writer(tmp_path / "target")
    with pytest.raises(DataError, match=r"unit-000\.tar: is damaged, it.* (other nets|layout)"):
        depot.take(unit, target, SNAPSHOTS)
    assert target.finished == set()


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
    probe = node.SharedFolderProbe(InnerPath(tmp_path) / "beacon", b"secret")
    assert not probe.seen()
    path.write_bytes(b"another")  # the same path on another disk
    assert not probe.seen()
    path.write_bytes(b"secret and more")
    assert not probe.seen()
    path.unlink()
    os.mkfifo(path)
    assert not probe.seen()
    path.unlink()
    path.write_bytes(b"secret")
    assert probe.seen()


def test_a_node_with_another_torch_is_refused(tmp_path: Path) -> None:
    told = node.TaskSpec(
        run="r",
        job=None,
        writer=open_writer(tmp_path / "zoo"),
        probe=None,
        depot=None,
        versions=node.versions() | {"torch": "1.0"},
    )
    with pytest.raises(DataError, match=r"node .*: has torch .*, the run was started with 1\.0"):
        list(node.run_task(told, {}, Unit((), 0.0), None))
