"""A zoo with an index is the same zoo, whatever became of it or of the index."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from support.small_units import open_writer, write
from weightspace.cli.app import run
from weightspace.errors import DataError
from weightspace.sampling import sample
from weightspace.space import preset
from weightspace.zoo import Zoo, check, merge, write_index
from weightspace.zoo.format import index, tables


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "zoo"
    for unit in range(4):
        write(open_writer(path), unit)
    write_index(path)
    return path


def plain(path):
    """The tables of a zoo, read without its index."""
    copy = path.parent / "plain"
    shutil.copytree(path, copy, ignore=shutil.ignore_patterns("index"))
    zoo = Zoo(copy)
    frames = zoo.nets, zoo.snapshots
    shutil.rmtree(copy)
    return frames


def parts_read(path, monkeypatch):
    """How many parts of each table a reader has to open, and the zoo's tables."""
    opened = []
    read = tables.read
    monkeypatch.setattr(tables, "read", lambda file, *a: opened.append(file) or read(file, *a))
    zoo = Zoo(path)
    assert_frame_equal(zoo.nets, plain(path)[0])
    assert_frame_equal(zoo.snapshots, plain(path)[1])
    monkeypatch.undo()
    return len([file for file in opened if file.parent.path in (path / "nets", path / "snapshots")])


def test_an_index_spares_the_parts(path, monkeypatch):
    assert parts_read(path, monkeypatch) == 0
    shutil.rmtree(index.folder(path))
    assert parts_read(path, monkeypatch) == 8


def test_many_files_and_row_groups_hold_one_table(path, monkeypatch):
    monkeypatch.setattr(index, "_ROWS", 7)
    monkeypatch.setattr(index, "_GROUP", 2)
    write_index(path)
    assert len(list(index.folder(path).iterdir())) > 8
    assert parts_read(path, monkeypatch) == 0
    assert check(path) == []


def test_a_unit_that_came_later_is_there(path, monkeypatch):
    write(open_writer(path), 4)
    assert parts_read(path, monkeypatch) == 2
    (finding,) = check(path)
    assert (finding.severity, finding.thing) == ("info", "index")
    write_index(path)
    assert check(path) == []


def test_a_unit_that_went_is_not(path, monkeypatch):
    (path / "nets/unit-001.parquet").unlink()
    assert parts_read(path, monkeypatch) == 0
    assert "unit-001" not in Zoo(path).nets["unit"]
    assert Zoo(path).nets.height == 12


def test_a_part_that_is_another_is_read(path, monkeypatch):
    file = path / "snapshots/unit-002.parquet"
    changed = tables.read(file, tables.SNAPSHOTS)
    at = changed.schema.get_field_index("epoch")
    half = (pl.from_arrow(changed["epoch"]) / 2).to_arrow()
    file.write_bytes(tables.to_bytes(changed.set_column(at, changed.schema.field(at), half)))
    assert parts_read(path, monkeypatch) == 1
    assert 0.25 in Zoo(path).snapshots["epoch"]


def test_a_part_that_is_damaged_is_told_as_without_an_index(path):
    file = path / "nets/unit-002.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"unit-002\.parquet: is damaged"):
        Zoo(path)


@pytest.mark.parametrize("name", ["contents.json", "nets-", "snapshots-", "layouts-"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone"])
def test_a_damaged_index_does_no_harm(path, monkeypatch, name, damage):
    (file,) = index.folder(path).glob(f"{name}*")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes({"flip": data, "cut": data[:-40], "empty": b"", "gone": b""}[damage])
    if damage == "gone":
        file.unlink()
    assert parts_read(path, monkeypatch) in (4, 8, 0)  # of the table whose file it was
    if (name, damage) != ("contents.json", "gone"):
        (finding,) = check(path)
        assert (finding.severity, finding.thing) == ("warning", "index")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"units": {"../x": [1, "a", 1, 1, "a", 1, 0, 0]}},
        {"units": {"u": [1, "a", 1, 1, "a", 1, 0]}},
        {"units": {"u": [1, "a", -1, 1, "a", 1, 0, 0]}},
        {"units": [1]},
        {"files": {}},
        {"more": 1},
    ],
)
def test_contents_that_are_none_are_not_believed(path, change):
    file = index.folder(path) / index.CONTENTS
    contents = json.loads(file.read_bytes()) | change
    del contents["checksum"]
    file.write_text(json.dumps(contents))
    assert index.read(path) is None
    assert Zoo(path).nets.height == 16


def test_the_command_writes_it_and_says_where(path, capsys):
    shutil.rmtree(index.folder(path))
    assert run(["index", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["index"] == str(index.folder(path))
    assert told["bytes"] == sum(file.stat().st_size for file in index.folder(path).iterdir())
    assert index.read(path).units.keys() == {f"unit-00{i}" for i in range(4)}


def test_no_index_is_made_of_a_damaged_zoo(path):
    (path / "shards/unit-003.safetensors").unlink()
    before = sorted(index.folder(path).iterdir())
    with pytest.raises(DataError, match=r"unit-003\.safetensors: cannot be opened"):
        write_index(path)
    assert sorted(index.folder(path).iterdir()) == before


def test_merge_and_sample_end_with_an_index_where_units_are_many(tmp_path, monkeypatch):
    halves = [tmp_path / "a", tmp_path / "b"]
    for i, half in enumerate(halves):
        write(open_writer(half), i)
    merge(tmp_path / "few", halves)
    assert index.read(tmp_path / "few") is None
    monkeypatch.setattr(index, "_MANY", 1)
    merge(tmp_path / "many", halves)
    assert len(index.read(tmp_path / "many").units) == 2
    space = preset("demo").with_constants(
        dataset="digits", epochs=1, train_images=200, width_conv=2, width_fc=8
    )
    for nets in (1, 2):  # it grows
        sample(space, nets=nets, out=tmp_path / "zoo", snapshots=2, workers=1)
        zoo = Zoo(tmp_path / "zoo")
        assert index.read(zoo.path).units.keys() == set(zoo.nets["unit"])


def test_a_zoo_whose_index_cannot_be_written_is_none_the_worse(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "_MANY", 1)
    write(open_writer(tmp_path), 0)
    (tmp_path / "index").write_text("in the way")
    index.refresh(tmp_path)
    assert Zoo(tmp_path).nets.height == 4
