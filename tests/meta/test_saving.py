"""Saving over a model: the folder holds the old or the new one, whole, and nothing else is lost."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from support.killing import KilledError, killed_at
from support.saving import fill, killed_while, mounted, small_files, small_model, which
from weightspace import disk
from weightspace.disk import InnerPath
from weightspace.errors import DataError, UsageError
from weightspace.meta import Model

FIRST = {"model.json", "arrays.safetensors"}


def names(folder: Path) -> set[str]:
    return {place.name for place in folder.iterdir()}


def plain(folder: Path) -> dict:
    return json.loads((folder / "model.json").read_text(encoding="utf-8"))


def as_of_0_1_0(folder: Path) -> None:
    """Take from a model what release 0.1.0 did not write."""
    old = plain(folder)
    del old["checksum"]
    old["version"] = 1
    (folder / "model.json").write_text(json.dumps(old), encoding="utf-8")
    save_file(load_file(folder / "arrays.safetensors"), folder / "arrays.safetensors")


def test_a_model_over_another_has_arrays_of_another_name(tmp_path):
    folder = small_model(1).save(tmp_path / "model")
    assert names(folder) == FIRST
    assert "arrays" not in plain(folder)
    small_model(2).save(folder)
    assert which(folder) == 2
    second = plain(folder)["arrays"]
    assert names(folder) == {"model.json", second}
    small_model(3).save(folder)
    assert which(folder) == 3
    assert names(folder) == FIRST
    for _ in range(2):  # the same once more
        small_model(3).save(folder)
        assert which(folder) == 3
        assert len(names(folder)) == 2


def test_a_model_of_release_0_1_0_is_refused_and_replaced(tmp_path):
    """Its readings would be printed for any net, inside of its population or not."""
    folder = small_model(1).save(tmp_path / "model")
    as_of_0_1_0(folder)
    said = r"model\.json: is of format version 1, this release reads 2; fit the model again, or use"
    with pytest.raises(DataError, match=said):
        Model.load(folder)
    small_model(2).save(folder)
    assert which(folder) == 2
    assert names(folder) == {"model.json", plain(folder)["arrays"]}


def test_killed_anywhere_it_is_the_old_or_the_new(tmp_path):
    left = []
    for n in count():
        folder = small_model(1).save(tmp_path / f"{n}")
        try:
            with killed_at(n):
                small_model(2).save(folder)
            break
        except KilledError:
            left.append(which(folder))
        small_model(3).save(folder)  # what was left is no hindrance, and goes
        assert which(folder) == 3
        assert len(names(folder)) == 2
    assert left == sorted(left)
    assert set(left) == {1, 2}
    assert len(left) >= 12


def test_killed_before_there_was_one_it_is_none_or_the_new(tmp_path):
    for n in count():
        folder = tmp_path / f"{n}"
        folder.mkdir()
        try:
            with killed_at(n):
                small_model(2).save(folder)
            break
        except KilledError:
            if "model.json" in names(folder):
                assert which(folder) == 2
            else:
                with pytest.raises(DataError, match=r"model\.json: no such file"):
                    Model.load(folder)
        small_model(3).save(folder)
        assert which(folder) == 3
        assert len(names(folder)) == 2


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_really_killed(tmp_path):
    left = []
    for n in count():
        folder = small_model(1).save(tmp_path / f"{n}")
        if not killed_while(n, lambda folder=folder: small_model(2).save(folder)):
            break
        left.append(which(folder))
    assert left == sorted(left)
    assert set(left) == {1, 2}
    assert len(left) >= 12


def test_a_file_that_may_not_be_as_large_leaves_the_old_model(tmp_path):
    folder = small_model(1).save(tmp_path / "model")
    before = names(folder)
    said = r"arrays\..*: .* bytes are more than a file may have"
    with small_files(20_000), pytest.raises(DataError, match=said):
        small_model(2, knots=1000).save(folder)
    assert which(folder) == 1
    assert names(folder) == before


def test_a_full_disk_leaves_the_old_model(tmp_path):
    with mounted(tmp_path / "disk", "size=200k") as full:
        folder = small_model(1).save(full / "model")
        before = names(folder)
        fill(full)
        with pytest.raises(DataError, match=r"arrays\..*: the disk is full") as caught:
            small_model(2).save(folder)
        assert "\n" not in str(caught.value)
        assert which(folder) == 1
        assert names(folder) == before
        (full / "fill").unlink()
        small_model(2).save(folder)
        assert which(folder) == 2


@pytest.mark.parametrize("text", ['{"architectures": ["Bert"]}', "{", "", "[]", "\xff"])
def test_a_model_json_of_somebody_else_is_not_overwritten(tmp_path, text):
    data = text.encode("latin1")
    (tmp_path / "model.json").write_bytes(data)
    (tmp_path / "arrays.safetensors").write_bytes(b"theirs")
    with pytest.raises(UsageError, match=r"model\.json: is not a model of weightspace"):
        small_model(1).save(tmp_path)
    assert (tmp_path / "model.json").read_bytes() == data
    assert (tmp_path / "arrays.safetensors").read_bytes() == b"theirs"
    assert names(tmp_path) == FIRST


def test_a_classifier_that_no_file_can_hold_is_named(tmp_path):
    small_model(1).save(tmp_path)
    (reader,) = small_model(2).readers
    strange = Model((replace(reader, fitted=SimpleNamespace(levels=(2,))),), {})
    with pytest.raises(UsageError, match="classifier shallow: no model file can hold its Simple"):
        strange.save(tmp_path)
    assert which(tmp_path) == 1


def test_arrays_of_somebody_else_stay(tmp_path):
    save_file({"theirs": np.zeros(3)}, tmp_path / "arrays.safetensors")
    theirs = (tmp_path / "arrays.safetensors").read_bytes()
    (tmp_path / "arrays.0123456789abcdef.safetensors").write_bytes(theirs)
    (tmp_path / "notes").write_text("mine")
    for seed in (1, 2, 3):
        small_model(seed).save(tmp_path)
        assert which(tmp_path) == seed
        assert (tmp_path / "arrays.safetensors").read_bytes() == theirs
    assert names(tmp_path) == FIRST | {
        "notes",
        "arrays.0123456789abcdef.safetensors",
        plain(tmp_path)["arrays"],
    }


def test_links_in_a_model_are_replaced_and_not_written_through(tmp_path):
    other = small_model(1).save(tmp_path / "other")
    before = {name: (other / name).read_bytes() for name in names(other)}
    folder = tmp_path / "model"
    folder.mkdir()
    for name in FIRST:
        (folder / name).symlink_to(other / name)
    assert which(folder) == 1
    small_model(2).save(folder)
    small_model(3).save(folder)
    assert which(folder) == 3
    assert not any(place.is_symlink() for place in folder.iterdir())
    assert {name: (other / name).read_bytes() for name in names(other)} == before


def test_arrays_of_another_model_are_refused(tmp_path):
    one, two = (small_model(seed).save(tmp_path / f"{seed}") for seed in (1, 2))
    data = bytearray((two / "arrays.safetensors").read_bytes())
    (one / "arrays.safetensors").write_bytes(data)
    with pytest.raises(DataError, match=r"arrays\.safetensors: holds other arrays than model"):
        Model.load(one)
    data[-1] ^= 1
    (two / "arrays.safetensors").write_bytes(data)
    with pytest.raises(DataError, match=r"arrays\.safetensors: holds other arrays than model"):
        Model.load(two)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../arrays.safetensors", "notes", "", 3, None, ["arrays.safetensors"]]
)
def test_only_arrays_of_our_names_are_looked_for(tmp_path, name):
    folder = small_model(1).save(tmp_path / "model")
    (folder / "model.json").write_text(json.dumps(plain(folder) | {"arrays": name}))
    with pytest.raises(DataError, match=r"model\.json: does not name a file of arrays"):
        Model.load(folder)


def fifo(place: Path) -> None:
    os.mkfifo(place)


@pytest.mark.parametrize("name", sorted(FIRST))
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (fifo, "is not a regular file"),
        (lambda place: place.symlink_to("/dev/zero"), "is not a regular file"),
        (lambda place: place.mkdir(), "is not a regular file"),
        (lambda place: place.symlink_to(place.name), "symbolic links"),
        (lambda place: place.symlink_to("nowhere"), "no such file"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path, name, make, said):
    folder = small_model(1).save(tmp_path / "model")
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(DataError, match=rf"{name}: .*{said}") as caught:
        Model.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "size"), [("model.json", 2**22), ("arrays.safetensors", 2**32)])
def test_files_larger_than_any_model_are_not_read(tmp_path, name, size):
    folder = small_model(1).save(tmp_path / "model")
    os.truncate(folder / name, size + 1)  # takes no space
    with pytest.raises(DataError, match=rf"{name}: has .* bytes, at most {size:,} are allowed"):
        Model.load(folder)


def test_a_header_without_an_end_is_not_parsed(tmp_path):
    folder = small_model(1).save(tmp_path / "model")
    (folder / "arrays.safetensors").write_bytes((2**21).to_bytes(8, "little") + bytes(2**21))
    with pytest.raises(DataError, match=r"its header takes 2,097,152 bytes, at most 1,048,576 are"):
        Model.load(folder)


def test_two_do_not_save_at_once(tmp_path):
    folder = small_model(1).save(tmp_path / "model")
    said = "another process is writing there"
    with disk.alone_in(InnerPath(folder)), pytest.raises(DataError, match=said):
        small_model(2).save(folder)
    assert which(folder) == 1
