"""Folders that strangers filled: links, devices and names at each level of each form."""

from __future__ import annotations

import os
import re
import resource
import shutil
from pathlib import Path

import pytest

from support.hostile_folders import FILES, FOLDERS, make, read, refused, soon
from weightspace.errors import DataError
from weightspace.interop import add, import_zoo
from weightspace.interop.arrivals import plain_name
from weightspace.interop.importing import READERS
from weightspace.zoo import Zoo

EVERY_FILE = [(form, file) for form, files in FILES.items() for file in files]
EVERY_FOLDER = [(form, folder) for form, folders in FOLDERS.items() for folder in folders]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return make(tmp_path_factory.mktemp("sound"))


@pytest.fixture
def there(sound, tmp_path):
    """A folder of each form, and beside them a place of somebody else's."""
    (tmp_path / "aside").mkdir()
    with soon():
        yield shutil.copytree(sound, tmp_path / "in")


def test_every_format_is_attacked():
    assert set(READERS) <= set(FILES), "add a folder of the format to support.hostile_folders"


# ---- links and things that are no files, at every level of each form


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def linked(target: str):
    def spoil(path: Path) -> None:
        aside = path.parents[len(path.parts) - 1 - path.parts.index("in")] / "aside"
        path.rename(aside / "file")
        path.symlink_to(target.format(aside=aside, up=os.path.relpath(aside, path.parent)))

    return spoil


STRANGE = {
    "a pipe": (fifo, "is not a regular file"),
    "a link to a device": (linked("/dev/zero"), "is not a regular file"),
    "a link that leads out": (linked("{aside}/file"), "is a link that leads out of"),
    "a link that leads up": (linked("{up}/file"), "is a link that leads out of"),
    "a link to a file without an end": (linked("/proc/self/maps"), "link that leads out of"),
    "a link to a folder": (linked("{aside}"), "is not a regular file"),
    "a link to itself": (linked("itself"), "cannot be read"),
    "a link to nothing": (linked("{aside}/none"), "no such file|cannot be read"),
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize(("form", "file"), EVERY_FILE)
def test_what_is_no_file_of_the_folder_is_refused_by_name(there, form, file, kind):
    spoil, message = STRANGE[kind]
    path = there / form / file
    spoil(path)
    if kind == "a link to itself":
        path.unlink()
        path.symlink_to(path.name)
    told = refused(there, form)
    assert path.name in told
    assert re.search(message, told)


@pytest.mark.parametrize(("form", "folder"), EVERY_FOLDER)
def test_links_to_folders_are_not_entered(there, form, folder):
    path = there / form / folder
    path.rename(there.parent / "aside/folder")
    path.symlink_to(there.parent / "aside/folder")
    told = refused(there, form)
    assert "is a link or not a folder" in told or "contains no" in told
    assert not (there.parent / "zoo/nets").exists()


@pytest.mark.parametrize(("form", "file"), EVERY_FILE)
def test_links_within_the_folder_are_followed(there, form, file):
    path = there / form / file
    (there / form / "kept").mkdir()
    path.rename(there / form / "kept/data")
    path.symlink_to(os.path.relpath(there / form / "kept/data", path.parent))
    assert read(there, form).nets.height


@pytest.mark.parametrize("form", FILES)
def test_a_download_of_the_hub_is_read_through_its_links(sound, tmp_path, form):
    place = tmp_path / "in"
    shutil.copytree(sound / form, place / "snapshots" / "rev")
    (place / "blobs").mkdir()
    files = [path for path in (place / "snapshots/rev").rglob("*") if path.is_file()]
    for number, path in enumerate(files):
        path.rename(place / f"blobs/{number}")
        path.symlink_to(os.path.relpath(place / f"blobs/{number}", path.parent))
    (place / form).symlink_to("snapshots/rev")
    assert read(place, form).nets.height


@pytest.mark.parametrize(
    ("form", "file"), [(form, file) for form, file in EVERY_FILE if form != "add"][:-1]
)
def test_what_is_larger_than_any_such_file_is_not_read(there, form, file):
    path = there / form / file
    os.truncate(path, 2**40 + 1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = refused(there, form)
    assert str(path) in told
    assert "1,099,511,627,777 bytes" in told
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB


def test_folders_in_folders_without_end(there):
    path = there / "add"
    for _ in range(80):
        path = path / "d"
        path.mkdir()
    assert "holds folders in folders" in refused(there, "add")


def test_a_table_that_the_user_named_may_be_a_link_but_no_device(there, tmp_path):
    (tmp_path / "aside/table").write_text("file,optimizer\ndeep/n0.pt,adam")
    (tmp_path / "known.csv").symlink_to("aside/table")
    zoo = add(there / "add", tmp_path / "zoo", known=tmp_path / "known.csv")
    assert zoo.nets["optimizer"].to_list().count("adam") == 1
    (tmp_path / "known.csv").unlink()
    for put in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.mkdir()):
        path = tmp_path / f"{put.__name__}{id(put)}.csv"
        put(path)
        with pytest.raises(DataError, match=r"\.csv: is not a regular file"):
            add(there / "add", tmp_path / "other", known=path)


def test_a_row_that_names_a_file_behind_a_link_is_refused(there, tmp_path):
    (there / "add/deep").rename(tmp_path / "aside/deep")
    (there / "add/deep").symlink_to(tmp_path / "aside/deep")
    (tmp_path / "known.csv").write_text("file\ndeep/n0.pt")
    with pytest.raises(DataError, match=r"known.csv:2: file deep/n0.pt: is not in"):
        add(there / "add", tmp_path / "zoo", known=tmp_path / "known.csv")


# ---- names


NAMES = {
    "not UTF-8": b"a\xff",
    "a surrogate": b"\xed\xa0\x80a",
    "control characters": b"a\x1b[2J",
    "lines": b"a\n\rb",
    "right to left": "n\u202e".encode(),
    "long": b"x" * 200 + b"\xff",
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_of_files_that_are_no_text_become_clean_names_of_nets(there, kind):
    folder = there / "add"
    (folder / FILES["add"][0]).rename(folder / os.fsdecode(NAMES[kind] + b".pt"))
    zoo = read(there, "add")
    assert zoo.nets.height == 2
    for row in zoo.nets.iter_rows(named=True):
        assert row["net"].isascii()
        assert row["net"].isprintable()
        assert row["source"].isprintable()
        row["source"].encode()
    assert Zoo(zoo.path).nets.equals(zoo.nets)


@pytest.mark.parametrize("form", ["nws", "modelzoos", "unterthiner", "packed"])
@pytest.mark.parametrize("kind", NAMES)
def test_names_of_folders_that_are_no_text(there, form, kind):
    inner = {"nws": "nws_main/0001", "modelzoos": "t/a"}.get(form, "mnist")
    folder = there / form / inner
    folder.rename(folder.with_name(os.fsdecode(NAMES[kind])))
    for table in (there / form).glob("*.csv"):
        table.unlink()
    if form in ("unterthiner", "packed"):
        assert "is not a valid name of a net" in refused(there, form)
        return
    row = read(there, form).nets.row(0, named=True)
    assert row["net"].isascii()
    assert row["source"].isprintable()


def test_a_name_of_nothing_but_strange_characters_keeps_its_suffix(there):
    (there / "add/deep").rename(there / "add/+")
    (there / "add/+/n0.pt").rename(there / "add/+" / os.fsdecode(b"\xff\xff.pt"))
    (there / "add/+/n1.safetensors").unlink()
    assert read(there, "add").nets["net"].to_list() == ["pt"]


@pytest.mark.parametrize("source", ["a" * 100, "\udcff" * 100 + "b", "\ud800", "a\0b", "é" * 99])
def test_any_source_has_a_plain_name_or_none(source):
    name = plain_name(source)
    assert len(name) <= 64
    assert name.isascii()


@pytest.mark.parametrize("folder", ["x" * 5000, "a\0b", "x" * 300 + "/y"])
def test_folders_of_impossible_names(tmp_path, folder):
    for read_it in (
        lambda: import_zoo(tmp_path / folder, tmp_path / "zoo", "nws"),
        lambda: add(tmp_path / folder, tmp_path / "zoo"),
    ):
        with pytest.raises(DataError, match=r": is not a folder; give the one that contains the "):
            read_it()
