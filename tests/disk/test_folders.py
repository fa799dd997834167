"""The door to the disk: nothing outside a folder is reached, whatever lies in the folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError


@pytest.fixture
def here(tmp_path):
    """A folder, and beside it one with something precious."""
    (tmp_path / "here" / "inner").mkdir(parents=True)
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "file").write_bytes(b"precious")
    return InnerPath(tmp_path / "here")


def precious(here: InnerPath) -> bytes:
    return (here.root.parent / "aside" / "file").read_bytes()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "a\0b", "x" * 256, "\ud800"])
def test_a_name_that_leads_elsewhere_is_no_name(here, name):
    with pytest.raises(DataError, match="is not a valid name of a file or folder"):
        _ = here / name


def test_an_inner_path_cannot_be_opened_by_anyone_else(here):
    with pytest.raises(TypeError):
        Path(here / "inner")


def test_a_message_is_one_line_whatever_a_file_is_called(here):
    name = "a\n\x1b[2J" + os.fsdecode(b"\xff")
    (here.root / name).mkdir()
    with pytest.raises(DataError, match=r"here/a.*: is not a regular file") as caught:
        disk.read_bytes(here / name, 1)
    assert str(caught.value).isprintable()
    assert (here / name).path == here.root / name


@pytest.mark.parametrize(
    "act",
    [
        lambda p: disk.write_file(p / "file", b"new"),
        lambda p: disk.put(p / "new", b"new"),
        lambda p: disk.replace_all({p / "file": b"new"}),
        lambda p: disk.Temporary(p / "file", 3),
        lambda p: disk.Temporary.again(p / "file", ".file.00.tmp", 3),
        lambda p: disk.remove(p / "file"),
        lambda p: disk.remove_tree(p),
        lambda p: disk.make_folder(p / "new"),
        lambda p: disk.rename(p / "file", p.parent / "file"),
        lambda p: disk.rename(p.parent / "own", p / "file"),
        lambda p: disk.adopt(p.parent / "own", p / "file", copy=False),
        lambda p: disk.adopt(p.parent / "own", p / "file", copy=True),
        lambda p: disk.read_bytes(p / "file", 100),
        lambda p: list(disk.walk(p)),
        lambda p: disk.names(p),
        lambda p: disk.temporaries(p),
        lambda p: disk.remove_leftovers(p),
        lambda p: disk.sync_folder(p),
    ],
)
@pytest.mark.parametrize("relative", [True, False])
def test_a_link_in_place_of_a_folder_is_refused_by_all(here, act, relative):
    (here.root / "own").write_bytes(b"own")
    (here.root.parent / "aside" / ".file.00.tmp").write_bytes(b"abc")
    target = Path("../aside") if relative else here.root.parent / "aside"
    (here.root / "link").symlink_to(target)
    before = sorted((here.root.parent / "aside").iterdir())
    with pytest.raises(DataError, match="link: is a link or not a folder"):
        act(here / "link")
    assert sorted((here.root.parent / "aside").iterdir()) == before
    assert precious(here) == b"precious"
    assert (here.root / "own").read_bytes() == b"own"


def test_a_file_that_is_a_link_is_replaced_and_not_written_through(here):
    (here.root / "table").symlink_to("../aside/file")
    disk.write_file(here / "table", b"new")
    assert not (here.root / "table").is_symlink()
    assert disk.read_bytes(here / "table", 100) == b"new"
    assert precious(here) == b"precious"


def test_a_folder_is_not_removed_as_a_file(here):
    with pytest.raises(DataError, match="inner: is not a regular file"):
        disk.remove(here / "inner")
    assert disk.is_folder(here / "inner")


def test_removing_a_link_removes_the_link(here):
    (here.root / "table").symlink_to("../aside/file")
    disk.remove(here / "table")
    assert not disk.exists(here / "table")
    assert precious(here) == b"precious"


def test_a_folder_swapped_for_a_link_while_a_file_is_written(here):
    file = disk.Temporary(here / "inner" / "file", 3)
    (here.root / "inner").rename(here.root / "moved")
    (here.root / "inner").symlink_to("../aside")
    file.write(b"new", 0)
    file.publish()
    assert precious(here) == b"precious"
    assert (here.root / "moved" / "file").read_bytes() == b"new"


def test_reading_follows_the_link_of_a_file(here):
    (here.root / "inner" / "data").symlink_to("../../aside/file")
    assert disk.read_bytes(here / "inner" / "data", 100) == b"precious"
    assert disk.is_file(here / "inner" / "data")


def test_reading_within_refuses_a_link_that_leads_out(here):
    (here.root / "own").write_bytes(b"own")
    (here.root / "inner" / "near").symlink_to("../own")
    (here.root / "inner" / "far").symlink_to("../../aside/file")
    assert disk.read_bytes(here / "inner" / "near", 100, within=True) == b"own"
    with pytest.raises(DataError, match="inner/far: is a link that leads out"):
        disk.read_bytes(here / "inner" / "far", 100, within=True)


def test_reading_within_takes_files_of_the_same_download(tmp_path):
    folder = tmp_path / "hub" / "snapshots" / "rev"
    folder.mkdir(parents=True)
    (tmp_path / "hub" / "blobs").mkdir()
    (tmp_path / "hub" / "blobs" / "ab12").write_bytes(b"data")
    (folder / "data").symlink_to("../../blobs/ab12")
    (folder / "out").symlink_to("../../../else")
    (tmp_path / "else").write_bytes(b"other")
    assert disk.read_bytes(InnerPath(folder) / "data", 100, within=True) == b"data"
    with pytest.raises(DataError, match="leads out"):
        disk.read_bytes(InnerPath(folder) / "out", 100, within=True)
    (folder / "part").mkdir()
    (folder / "part" / "data").symlink_to("../../../blobs/ab12")
    assert disk.read_bytes(InnerPath(folder / "part") / "data", 100, within=True) == b"data"


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "to device", "to fifo", "to folder"])
def test_only_regular_files_are_opened(here, kind):
    place = here / "thing"
    os.mkfifo(here.root / "pipe")
    if kind == "fifo":
        os.mkfifo(place.path)
    elif kind == "folder":
        place.path.mkdir()
    else:
        place.path.symlink_to({"to fifo": "pipe", "to folder": "inner"}.get(kind, "/dev/zero"))
    with pytest.raises(DataError, match=r"thing: is not a regular file"):
        disk.read_bytes(place, 100)
    with pytest.raises(DataError, match=r"thing: is not a regular file"):
        disk.read_bytes(place.path, 100)
    assert not disk.is_file(place)


def test_a_link_to_itself_is_an_error_of_the_system(here):
    (here.root / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        disk.read_bytes(here / "loop", 100)


def test_a_file_larger_than_it_may_be_is_not_read(here):
    (here.root / "large").write_bytes(bytes(101))
    with pytest.raises(DataError, match=r"large: has 101 bytes, at most 100 are allowed"):
        disk.read_bytes(here / "large", 100)


def test_a_file_without_an_end_is_not_read(here):
    if not Path("/proc/self/maps").exists():
        pytest.skip("no such files here")
    (here.root / "endless").symlink_to("/proc/self/maps")  # says that it has 0 bytes
    with pytest.raises(DataError, match="grew while it was read"):
        disk.read_bytes(here / "endless", 100)


def test_walking_does_not_enter_links(here):
    (here.root / "inner" / "a").write_bytes(b"")
    (here.root / "inner" / "b").symlink_to("../../aside")
    assert [place.thing for place in disk.walk(here)] == ["inner/a", "inner/b"]


def test_walking_ends_where_folders_are_nested_without_end(here):
    descriptor = os.open(here.root / "inner", os.O_RDONLY)
    for _ in range(80):
        os.mkdir("d", dir_fd=descriptor)
        deeper = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = deeper
    os.close(descriptor)
    with pytest.raises(DataError, match=r"here: holds folders in folders, 64 deep and more"):
        list(disk.walk(here))
    shutil.rmtree(here.root / "inner" / "d")


def test_walking_where_nothing_may_be_listed_is_said(here, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.Folder, "names", refuse)
    with pytest.raises(DataError, match=r"here: cannot be listed \(Permission denied\)"):
        list(disk.walk(here))


def test_a_tree_is_removed_without_what_its_links_lead_to(here):
    (here.root / "inner" / "link").symlink_to("../../aside")
    disk.remove_tree(here / "inner")
    assert not disk.exists(here / "inner")
    assert precious(here) == b"precious"


def test_a_hidden_file_of_two_names_is_not_gone_on_with(here):
    os.link(here.root.parent / "aside" / "file", here.root / ".file.00.tmp")
    with pytest.raises(DataError, match="is not a file that a writer left"):
        disk.Temporary.again(here / "file", ".file.00.tmp", 8)
    assert precious(here) == b"precious"


def test_leftovers_that_are_links_or_pipes_stay_as_they_are(here):
    (here.root / ".a.00.tmp").symlink_to("../aside/file")
    os.mkfifo(here.root / ".b.00.tmp")
    (here.root / ".c.00.tmp").write_bytes(b"left")
    disk.remove_leftovers(here)
    assert disk.names(here) == [".a.00.tmp", ".b.00.tmp", "inner"]
    assert precious(here) == b"precious"


@pytest.mark.parametrize("copy", [True, False])
def test_adopting_a_link_takes_the_file(here, copy):
    (here.root / "link").symlink_to("../aside/file")
    disk.adopt(here / "link", here / "taken", copy=copy)
    assert not (here.root / "taken").is_symlink()
    assert disk.read_bytes(here / "taken", 100) == b"precious"
    same = (here.root / "taken").samefile(here.root.parent / "aside" / "file")
    assert same is not copy
    assert disk.names(here) == ["inner", "link", "taken"]


def test_several_files_appear_together_or_not_at_all(here, monkeypatch):
    (here.root / "a").write_bytes(b"old a")
    (here.root / "b").write_bytes(b"old b")
    monkeypatch.setattr(disk.Temporary, "sync", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        disk.replace_all({here / "a": b"new a", here / "b": b"new b"})
    assert disk.names(here) == ["a", "b", "inner"]
    assert disk.read_bytes(here / "a", 9) == b"old a"
    monkeypatch.undo()
    disk.replace_all({here / "a": b"new a", here / "b": b"new b"})
    assert [disk.read_bytes(here / name, 9) for name in "ab"] == [b"new a", b"new b"]


def test_a_whole_folder_appears_at_the_end(tmp_path):
    with disk.whole_folder(tmp_path / "out") as folder:
        disk.make_folder(folder / "deep" / "er")
        disk.put(folder / "deep" / "er" / "file", b"data")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "deep" / "er" / "file").read_bytes() == b"data"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_whole_folder_that_fails_is_gone(tmp_path):
    def fill():
        with disk.whole_folder(tmp_path / "out") as folder:
            disk.put(folder / "file", b"data")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    left = tmp_path / ".out.0123456789ab.tmp"
    left.mkdir()
    (left / "file").write_bytes(b"left")
    (tmp_path / ".out.0123456789ac.tmp").symlink_to(tmp_path / "else")
    (tmp_path / "else").mkdir()
    with disk.whole_folder(tmp_path / "out"), disk.whole_folder(tmp_path / "out2"):
        assert not left.exists()
        hidden = [p.name for p in tmp_path.iterdir() if p.name.startswith(".out.")]
        assert len(hidden) == 2  # the link, and the one in the making
    assert (tmp_path / "else").is_dir()


@pytest.mark.parametrize("taken", ["file", "link", "folder"])
def test_a_whole_folder_overwrites_nothing(tmp_path, taken):
    out = tmp_path / "out"
    if taken == "file":
        out.write_bytes(b"mine")
    elif taken == "link":
        (tmp_path / "else").mkdir()
        out.symlink_to("else")
    else:
        out.mkdir()
        (out / "mine").write_bytes(b"")
    with pytest.raises(UsageError, match="nothing is overwritten"), disk.whole_folder(out):
        pass
    assert out.exists()


def test_a_folder_is_changed_by_one_at_a_time(here):
    with disk.alone_in(here / "inner"):
        with pytest.raises(DataError, match="inner: another process is writing there"):
            disk.alone_in(here / "inner").__enter__()
        with disk.alone_in(here):
            pass
    with disk.alone_in(here / "inner"):
        pass


def test_only_an_empty_folder_is_removed(here):
    (here.root / "inner" / "file").write_bytes(b"")
    (here.root / "link").symlink_to("../aside")
    disk.remove_empty(here / "inner")
    disk.remove_empty(here / "link")
    disk.remove_empty(here / "none")
    assert disk.names(here) == ["inner", "link"]
    disk.remove(here / "inner" / "file")
    disk.remove_empty(here / "inner")
    assert disk.names(here) == ["link"]


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a/./b/../..", "C:\\x", "a\nb", "a\\..\\..\\b"]
)
def test_a_path_of_a_stranger_that_leads_out(path):
    assert disk.stays_inside(path) is None


def test_a_path_of_a_stranger_that_stays():
    assert str(disk.stays_inside("nets/a/b.bin")) == "nets/a/b.bin"
