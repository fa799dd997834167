"""Different files are different nets, whatever their names; a file keeps its name of a net."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from weightspace.errors import DataError
from weightspace.interop import add
from weightspace.interop.netnames import different, named, plain_name
from weightspace.zoo.files.places import is_net


@pytest.mark.parametrize("name", ["run0", "alpha-0.5", "A.b-c", "x" * 64])
def test_a_valid_name_is_the_name_of_the_net(name):
    assert plain_name(name) == name


ALIKE = (
    ("alpha=-0.5", "alpha=0.5"),
    ("a/b", "a-b"),
    ("a_b", "a-b"),
    ("a/b_c", "a_b/c"),
    ("моделька", "моделечка"),
    ("模型一", "模型二"),
    (" ", "_"),
    ("x" * 60 + "_a", "x" * 60 + "-a"),
    ("-a", "a"),
    ("lr=1e-3,seed=1", "lr=1e-3+seed=1"),
)


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_paths_of_one_spelling_have_different_names(one, other):
    names = [plain_name(one), plain_name(other)]
    assert all(map(is_net, names))
    assert names[0] != names[1]


PATHS = st.text(st.characters(codec=None) | st.sampled_from("aA0.-_/= \ud800я"), max_size=80)


@given(st.lists(PATHS, unique=True, max_size=20))
def test_names_are_valid_different_and_depend_on_the_path_alone(paths):
    names = different([(path, f"{path}.pt") for path in paths])
    assert all(map(is_net, names))
    assert len(set(names)) == len(paths)
    assert names == [plain_name(path) for path in paths]


def test_a_plain_name_that_another_name_was_made_into_stays_apart():
    made = plain_name("a_b")
    names = different([("a_b", "a_b.pt"), (made, f"{made}.pt")])
    assert len(set(names)) == 2
    assert all(map(is_net, names))


def save(path):
    path.parent.mkdir(exist_ok=True)
    torch.save({"w.weight": torch.rand(3, 4)}, path)


def test_nets_of_a_sweep_stay_apart_and_show_their_files(tmp_path):
    files = ["alpha=-0.5.pt", "alpha=-1.pt", "alpha=0.5.pt", "alpha=1.pt", "模型一.pt", "模型二.pt"]
    for file in files:
        save(tmp_path / "in" / file)
    zoo = add(tmp_path / "in", tmp_path / "zoo")
    assert zoo.nets["source"].to_list() == files
    rows = [f"{file},{epoch}" for epoch, file in enumerate(files)]
    (tmp_path / "known.csv").write_text("\n".join(["file,epoch", *rows]), encoding="utf-8")
    told = add(tmp_path / "in", tmp_path / "told", known=tmp_path / "known.csv")
    assert told.nets["net"].to_list() == zoo.nets["net"].to_list()
    assert told.snapshots["epoch"].to_list() == list(range(6))


def test_a_net_keeps_its_name_when_the_folder_grows(tmp_path):
    save(tmp_path / "in/alpha=0.5.pt")
    before = add(tmp_path / "in", tmp_path / "before").nets["net"][0]
    save(tmp_path / "in/alpha=-0.5.pt")
    save(tmp_path / "in/alpha-0.5.pt")
    after = add(tmp_path / "in", tmp_path / "after").nets
    assert after.filter(source="alpha=0.5.pt")["net"].to_list() == [before]
    assert after["net"].n_unique() == 3


def test_imported_nets_are_named_as_briefly_as_they_stay_apart():
    assert named([(None, "main/1"), (None, "fixed/2")]) == ["1", "2"]
    assert named([(None, "nws_main/1"), (None, "nws_fixed/1")]) == ["nws-main-1", "nws-fixed-1"]
    paths = ("lr=-1", "lr=1", "plain")
    assert named([(None, path) for path in paths]) == [plain_name(path) for path in paths]
    with pytest.raises(DataError, match="net a: is there twice, as b/1 and as b/2; rename or rem"):
        named([("a", "b/1"), ("a", "b/2")])
