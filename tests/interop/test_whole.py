"""What goes out is whole, in its folder, and the file itself; who is killed leaves no rest."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import small_units
from support.foreign_nws import SMALL, Net, write_table
from support.hub import Hub
from support.populations import synthetic_zoo
from weightspace.cli.app import run
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError, WeightspaceError
from weightspace.interop import export_zoo, import_zoo, publish, states
from weightspace.progress import silent
from weightspace.zoo import Zoo, check
from weightspace.zoo.files import shard
from weightspace.zoo.files.dtypes import FLOAT32

REPO = "some-lab/nets"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return synthetic_zoo(tmp_path_factory.mktemp("whole") / "zoo", nets=20).path


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("small") / "zoo"
    small_units.write(small_units.open_writer(path), 0)
    return path


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Two nets of the NWS data set as a zoo."""
    folder = tmp_path_factory.mktemp("release")
    nets = {f"nws_main/{i}": Net(SMALL, i) for i in range(2)}
    for name, net in nets.items():
        net.write(folder / name, snapshots=1)
    write_table(folder / "nws_main_train.csv", nets)
    return import_zoo(folder, folder / "zoo", "nws").path


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def do(command: str, zoo: Path, out: Path) -> object:
    if command == "publish":
        return publish(zoo, REPO, out, licence="mit", dry_run=True)
    return export_zoo(zoo, out, command)


# ---- nothing is written outside of OUT

OUTWARD = ["/{}/x", "../x", "../../x", "..", ".", "", "a/../../../x", "a\0b", "\ud800", "x" * 300]


@pytest.mark.parametrize("name", OUTWARD)
def test_a_net_whose_name_leads_out_is_not_written(small, tmp_path, name):
    """By the way it is written alone: names are looked at before, where tables are read."""
    name = name.format(tmp_path)
    true = Zoo(small)
    net = true.nets["net"][0]
    nets = true.nets.head(1).to_dicts()
    moments = true.snapshots.filter(net=net).to_dicts()
    rows = [SimpleNamespace(iter_rows=lambda named, of=of: of) for of in (nets, moments)]
    for row in (*nets, *moments):
        row["net"] = name
    stub = SimpleNamespace(
        nets=rows[0],
        snapshots=rows[1],
        layout=lambda _: true.layout(net),
        verified=lambda _, k: true.verified(net, k),
    )
    (tmp_path / "deep/out").mkdir(parents=True)
    with pytest.raises(DataError, match="is not a valid name of a file or folder in it"):
        states.write(stub, [name], {name: [1]}, InnerPath(tmp_path / "deep/out"), silent)
    assert everything(tmp_path) == {"deep", "deep/out"}


def renamed(zoo: Path, new: str) -> None:
    """Call the first net of a zoo's first unit `new`, wherever its name stands."""
    unit = sorted((zoo / "nets").iterdir())[0].stem
    nets, moments = (
        pq.read_table(zoo / part / f"{unit}.parquet") for part in ("nets", "snapshots")
    )
    old = nets["net"][0].as_py()
    file = zoo / "shards" / f"{unit}.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    shape = header[names[0]]["shape"]
    own = [new if name == old else name for name in names]
    blob, head = shard.compose(own, *shape, header["__metadata__"]["layout"], FLOAT32)
    file.write_bytes(blob + data[8 + length :])
    moved = [start + len(blob) - 8 - length for start in moments["offset"].to_pylist()]
    kept = dict(nets.schema.metadata)
    facts = json.loads(kept[b"weightspace"]) | {"bytes": head.size, "header": head.checksum}
    kept[b"weightspace"] = json.dumps(facts)
    for part, table, more in (("nets", nets, {}), ("snapshots", moments, {"offset": moved})):
        called = [new if name == old else name for name in table["net"].to_pylist()]
        for column, values in {"net": called, **more}.items():
            at = table.schema.get_field_index(column)
            field = table.schema.field(at)
            table = table.set_column(at, field, pa.array(values, field.type))
        metadata = kept if part == "nets" else moments.schema.metadata
        pq.write_table(
            table.replace_schema_metadata(metadata),
            zoo / part / f"{unit}.parquet",
            write_page_checksum=True,
        )


@pytest.mark.parametrize("format", ["safetensors", "nws"])
@pytest.mark.parametrize("name", ["/{}/x", "../../x", "a\0b"])
def test_a_zoo_whose_net_leads_out_is_not_exported(small, tmp_path, name, format):
    copy = shutil.copytree(small, tmp_path / "zoo")
    renamed(copy, name.format(tmp_path))
    before = everything(tmp_path)
    with pytest.raises(WeightspaceError) as caught:
        export_zoo(copy, tmp_path / "deep/out", format)
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) - before <= {"deep"}


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("nws_table", ["../../x"] * 2, r"net 0: its table '../../x' is not a file name"),
        ("nws_table", ["a/b"] * 2, r"net 0: its table 'a/b' is not a file name"),
        ("nws_table", ["a\0"] * 2, r"net 0: its table 'a.' is not a file name"),
        ("nws_table", ["/etc/x"] * 2, r"net 0: its table '/etc/x' is not a file name"),
        ("source", ["../../x", "b"], r"net 0: its source '../../x' is not a relative path"),
        ("source", ["/etc", "b"], r"net 0: its source '/etc' is not a relative path"),
        ("source", ["a", "a"], r"net 1: its source 'a' is that of another net as well"),
        ("source", ["a/weights", "a"], r"net 1: its source 'a' is that of another net as well"),
        ("split", ["/../../x"] * 2, r"is not a valid name of a file or folder"),
    ],
)
def test_texts_of_a_zoo_that_lead_out_of_a_release(release, tmp_path, column, values, message):
    opened = Zoo(release)
    opened.nets = opened.nets.with_columns(pl.Series(column, values))
    with pytest.raises(WeightspaceError, match=message) as caught:
        export_zoo(opened, tmp_path / "deep/out", "nws")
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) <= {"deep"}


@pytest.mark.parametrize(
    "names", [("a", "a"), ("a\x1b[2J", "b"), ("\ud800", "b"), ("__metadata__", "b")]
)
def test_tensors_that_a_file_cannot_hold(names):
    layout = SimpleNamespace(tensors=[SimpleNamespace(name=name) for name in names])
    with pytest.raises(DataError, match="net n: its tensors have names that a file cannot hold"):
        states._as_stored("n", np.zeros(2, "<f4"), layout)


@pytest.mark.parametrize("command", ["safetensors", "nws", "publish"])
def test_a_folder_in_place_of_which_there_is_a_link(small, tmp_path, command):
    (tmp_path / "else").mkdir()
    for name, target in (("link", "else"), ("loop", "loop"), ("lost", "none")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(UsageError, match=f"{name}: is a link, and nothing is overwritten"):
            do(command, small, tmp_path / name)
    assert everything(tmp_path) == {"else", "link", "loop", "lost"}


# ---- a full disk


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 1 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True
    )
    if made.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("command", ["safetensors", "nws", "publish"])
def test_a_full_disk_is_one_plain_line(zoo, release, tiny_disk, capsys, command):
    taken = tiny_disk / "taken"
    taken.write_bytes(bytes(2**19))
    out = tiny_disk / "out"
    if command == "publish":
        arguments = ["publish", zoo, REPO, "--out", out, "--licence", "mit", "--dry-run"]
    else:
        arguments = ["export", release if command == "nws" else zoo, out, "--format", command]
    if command == "nws":
        taken.write_bytes(bytes(2**20 - 2**17))
    assert run([str(argument) for argument in arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "out: the disk is full" in told or "the disk is full, " in told
    assert "choose another folder" in told
    assert everything(tiny_disk) == {"taken"}


# ---- a kill

COUNTS = {"safetensors": (1, 2, 16), "publish": (2, 20, 50)}
"""Changes to the disk before the kill; a whole run makes some more."""

CHILD = """
import os, sys
from pathlib import Path
from support.killing import killed_at
from weightspace.interop import export_zoo, publish

zoo, place = map(Path, sys.argv[1:3])
for command, *counts in [line.split() for line in sys.argv[3:]]:
    for count in counts:
        if os.fork() == 0:
            out = place / command / f"out{count}"
            with killed_at(int(count), really=True):
                if command == "publish":
                    publish(zoo, "a/b", out, licence="mit", dry_run=True)
                else:
                    export_zoo(zoo, out, command)
            os._exit(0)
        print(command, count, os.wait()[1], flush=True)
"""


def test_what_a_killed_run_left_is_removed_by_the_same_command(small, tmp_path):
    asked = [" ".join([command, *map(str, counts)]) for command, counts in COUNTS.items()]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(small), str(tmp_path), *asked],
        capture_output=True,
        text=True,
        check=True,
    )
    ends = {line.split()[2] for line in child.stdout.splitlines()}
    assert ends == {str(int(signal.SIGKILL))}, child.stderr
    for command, counts in COUNTS.items():
        place = tmp_path / command
        left = {path.name for path in place.iterdir()}
        assert all(name.startswith(".out") for name in left)  # whole, or not there
        assert len(left) == len([count for count in counts if count > 1])
        assert max(len(everything(place / name)) for name in left) > 10
        do(command, small, tmp_path / command / "whole")
        for count in counts:
            do(command, small, place / f"out{count}")
            assert everything(place / f"out{count}") == everything(place / "whole")
        assert {path.name for path in place.iterdir()} == {"whole", *(f"out{c}" for c in counts)}


# ---- zoos that are made of links


def download(zoo: Path, place: Path) -> Path:
    """The zoo as a cache of the hub has it: links into a folder of blobs."""
    there = shutil.copytree(zoo, place / "snapshots" / "rev")
    (place / "blobs").mkdir()
    for number, file in enumerate(path for path in there.rglob("*") if path.is_file()):
        file.rename(place / f"blobs/{number}")
        file.symlink_to(os.path.relpath(place / f"blobs/{number}", file.parent))
    return there


def test_a_download_of_the_hub_is_published_as_files(zoo, tmp_path):
    there = download(zoo, tmp_path / "hub")
    made = publish(there, REPO, tmp_path / "out", licence="mit", dry_run=True)
    entries = list(made.folder.rglob("*"))
    assert not [path for path in entries if path.is_symlink()]
    own = next(iter((there / "shards").iterdir()))
    assert (made.folder / "shards" / own.name).samefile(own)  # linked, where it can be
    shutil.rmtree(tmp_path / "hub")
    assert check(made.folder, full=True) == []
    assert Zoo(made.folder).nets.equals(Zoo(zoo).nets)
    for line in (made.folder / "sha256sums.txt").read_text().splitlines():
        digest, name = line.split("  ", 1)
        assert hashlib.sha256((made.folder / name).read_bytes()).hexdigest() == digest


def test_a_shard_that_lies_elsewhere_is_published_as_a_file(zoo, tmp_path):
    copy = shutil.copytree(zoo, tmp_path / "zoo")
    moved = next(iter((copy / "shards").iterdir()))
    moved.rename(tmp_path / "elsewhere")
    moved.symlink_to(tmp_path / "elsewhere")
    try:
        made = publish(copy, REPO, tmp_path / "out", licence="mit", dry_run=True)
    except DataError as error:  # a zoo may refuse such links altogether
        assert "link" in str(error)  # noqa: PT017
        assert not (tmp_path / "out").exists()
        return
    (tmp_path / "elsewhere").unlink()
    assert not (made.folder / "shards" / moved.name).is_symlink()
    assert check(made.folder, full=True) == []


def test_a_link_to_itself_is_no_zoo(tmp_path, capsys):
    (tmp_path / "loop").symlink_to("loop")
    for arguments in (
        ["publish", "loop", REPO, "--out", "out", "--licence", "mit", "--dry-run"],
        ["export", "loop", "out", "--format", "safetensors"],
        ["import", "loop", "out", "--format", "nws"],
        ["add", "loop", "out"],
        ["merge", "out", "loop"],
        ["merge", "loop", "out"],
    ):
        places = [str(tmp_path / a) if a in ("loop", "out") else a for a in arguments]
        assert run(places) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "bug" not in told


# ---- what else is read to publish


@pytest.mark.parametrize(
    "kind", ["pipe", "device", "folder", "large", "lost", "loop", "long", "nul"]
)
def test_a_licence_is_a_file_with_a_text(small, tmp_path, kind):
    file = tmp_path / "terms"
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "large":
        file.write_bytes(bytes(2**20 + 1))
    elif kind in ("device", "lost", "loop"):
        file.symlink_to({"device": "/dev/zero", "lost": "none", "loop": "terms"}[kind])
    licence = {"long": "x" * 5000, "nul": "a\0b"}.get(kind, str(file))
    with pytest.raises(
        WeightspaceError, match=r"is neither a file nor|is not a regular file|at most"
    ):
        publish(small, REPO, tmp_path / "out", licence=licence, dry_run=True)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def prepared(small, tmp_path, monkeypatch):
    hub = Hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    publish(small, REPO, tmp_path / "out", licence="mit", dry_run=True)
    return hub


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff"])
def test_a_prepared_folder_that_leads_out_is_not_uploaded(prepared, small, tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out" / name).unlink()
    (tmp_path / "out" / name).symlink_to(tmp_path / "secret")
    with pytest.raises(DataError, match=f"{name}: is a link that leads out of"):
        publish(small, REPO, tmp_path / "out", licence="mit")
    assert not prepared.calls


@pytest.mark.parametrize("name", ["sha256sums.txt", "zoo.json", "croissant.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "large", "no text"])
def test_a_folder_with_strange_files_is_not_taken_for_prepared(
    prepared, small, tmp_path, name, kind
):
    file = tmp_path / "out" / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        file.write_bytes(b"\xff\xff")
    if kind == "large":
        os.truncate(file, 2**40)
    with pytest.raises(UsageError, match="out: has files in it, and nothing is overwritten"):
        publish(small, REPO, tmp_path / "out", licence="mit")
    assert not [call for call in prepared.calls if call[0] != "whoami"]


def test_words_that_are_no_text_are_made_fit(small, tmp_path):
    words = {"title": "a\udcff\x1b[2J", "authors": ["b\udcff\n"]}
    made = publish(small, REPO, tmp_path / "out", licence="mit", dry_run=True, **words)
    for name in ("README.md", "CITATION.cff", "croissant.json"):
        assert "\x1b" not in (made.folder / name).read_text(encoding="utf-8")
