"""Runs that were recorded in different folders become one zoo, unless two contradict each other."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import weightspace
from support import killing
from support.commands import document, printed, refused
from support.populations import synthetic_zoo
from support.recorded import recorder, train
from weightspace.errors import UsageError
from weightspace.recording import merge
from weightspace.recording.register import split_of
from weightspace.zoo import Zoo, check


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two folders: of unlike recipes, layouts and numbers of snapshots, both from number 0."""
    root = tmp_path_factory.mktemp("folders")
    for seed in range(6):
        train(root / "one", f"a{seed}", seed, augmentation=False, group="x")
    train(root / "two", "b0", 0, lr=0.01, augmentation=True, cooled=True)
    model = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    options = {"snapshots": [0, 1, 2, 3, 4, 5, 6], "total_steps": None}
    with recorder(root / "two", **options).run(model, name="b1", optimizer=optimizer) as run:
        for _ in range(6):
            run.step()
    return root


def test_runs_of_several_folders_are_one_zoo(folders, tmp_path):
    parts = [folders / "one", folders / "two"]
    zoo = merge(tmp_path / "zoo", parts)
    assert zoo.nets["net"].to_list() == [f"a{i}" for i in range(6)] + ["b0", "b1"]
    assert zoo.nets["index"].to_list() == list(range(8))
    assert zoo.nets["split"].to_list() == [split_of(i) for i in range(8)]
    assert zoo.nets["group"].to_list() == ["x"] * 6 + [None] * 2
    assert zoo.nets["cooled"].to_list() == [None] * 6 + [True, None]
    assert set(zoo.space.properties) >= {"learning_rate", "augmentation", "optimizer"}
    assert zoo.meta["info"]["snapshots"] == 7
    assert zoo.nets["layout"].n_unique() == 2
    for part in map(Zoo, parts):
        for row in part.snapshots.iter_rows(named=True):
            here = zoo.verified(row["net"], row["snapshot"])
            assert here.tobytes() == part.vector(row["net"], row["snapshot"]).tobytes()
        assert check(part.path, full=True) == []
    assert check(zoo.path, full=True) == []


def test_more_runs_are_recorded_and_merged_into_the_result(folders, tmp_path):
    out = tmp_path / "zoo"
    merge(out, [folders / "two"])
    train(out, "later", 3, lr=0.1)
    zoo = merge(out, [folders / "one", folders / "two"])
    assert zoo.nets.height == 9
    assert zoo.nets.filter(net="later")["index"].to_list() == [2]
    assert zoo.nets["index"].is_unique().all()
    train(out, "last", 4, cooled=False)
    assert Zoo(out).nets.filter(net="last")["index"].to_list() == [9]
    with pytest.raises(UsageError, match="cooled: is a number, and a switch in other runs"):
        train(out, "odd", 4, cooled=3.0)
    assert check(out, full=True) == []


def test_a_run_with_the_same_bytes_counts_once(folders, tmp_path):
    shutil.copytree(folders / "one", tmp_path / "copy")
    train(tmp_path / "copy", "new", 9)
    zoo = merge(tmp_path / "zoo", [folders / "one", tmp_path / "copy"])
    assert zoo.nets["net"].to_list() == [*(f"a{i}" for i in range(6)), "new"]


@pytest.mark.parametrize(
    ("seed", "told", "odd"),
    [
        (1, {"augmentation": True, "cooled": True}, "has other weights there"),
        (0, {"augmentation": False, "cooled": True}, "its augmentation is True there, not False"),
    ],
)
def test_a_run_that_differs_is_refused(folders, tmp_path, seed, told, odd):
    torch.manual_seed(0)
    train(tmp_path / "again", "b0", seed, lr=0.01, **told)
    with pytest.raises(UsageError) as error:
        merge(tmp_path / "zoo", [folders / "two", tmp_path / "again"])
    two = folders / "two"
    said = f"{tmp_path / 'again'}: run b0 is also in {two} and {odd}; leave one of the two zoos out"
    assert str(error.value).startswith(said)
    assert not (tmp_path / "zoo").exists()


def test_columns_that_disagree_are_refused(folders, tmp_path):
    train(tmp_path / "odd", "odd", 0, cooled="much")
    with pytest.raises(UsageError, match="odd: column cooled is a text, and a switch in another"):
        merge(tmp_path / "zoo", [folders / "two", tmp_path / "odd"])


def test_a_sampled_zoo_and_other_values_are_refused(folders, tmp_path, capsys):
    sampled = synthetic_zoo(tmp_path / "sampled", nets=10).path
    line = refused(capsys, "merge", tmp_path / "zoo", folders / "one", sampled)
    assert f"{sampled}: is no zoo of recorded runs, and {folders / 'one'} is one" in line
    with recorder(tmp_path / "half", dtype="bfloat16").run(nn.Linear(6, 3), step=20):
        pass
    assert "not measured" in printed(capsys, "info", tmp_path / "half")
    line = refused(capsys, "merge", tmp_path / "zoo", folders / "one", tmp_path / "half")
    assert f"half: stores bfloat16, and {folders / 'one'} float32" in line
    assert not (tmp_path / "zoo").exists()


def test_runs_that_have_not_ended_stay_where_they_are(folders, tmp_path, caplog, capsys):
    run = recorder(tmp_path / "part").run(nn.Linear(6, 3), name="open")
    run.step()
    train(tmp_path / "part", "done")
    said = printed(capsys, "info", tmp_path / "part")
    assert re.search("not ended +open *\n", said)
    assert "an unknown number stayed at chance" in said
    assert document(capsys, "info", tmp_path / "part")["not_ended"] == ["open"]
    assert merge(tmp_path / "zoo", [tmp_path / "part"]).nets["net"].to_list() == ["done"]
    assert f"{tmp_path / 'part'}: runs that have not ended are not merged: open" in caplog.text
    run.close()
    with recorder(tmp_path / "zoo").run(nn.Linear(6, 3), name="open") as other:
        with pytest.raises(UsageError, match=r"run open: has not ended in .*zoo; finish"):
            merge(tmp_path / "zoo", [tmp_path / "part"])
        other.step(step=20)


@pytest.mark.parametrize(
    "at", [12, *(pytest.param(at, marks=pytest.mark.slow) for at in (3, 20, 27, 41))]
)
def test_a_merge_that_is_killed_is_continued(folders, tmp_path, at):
    parts = [folders / "one", folders / "two"]
    with pytest.raises(killing.KilledError), killing.killed_at(at):
        merge(tmp_path / "zoo", parts)
    if (tmp_path / "zoo" / "zoo.json").exists():
        assert [f for f in check(tmp_path / "zoo", full=True) if f.severity == "error"] == []
    zoo = merge(tmp_path / "zoo", parts)
    assert zoo.nets.height == 8
    assert zoo.nets["index"].is_unique().all()
    assert zoo.nets["split"].to_list() == [split_of(i) for i in zoo.nets["index"]]
    assert check(zoo.path, full=True) == []


def test_the_command_merges_recorded_zoos(folders, tmp_path, capsys):
    made = document(capsys, "merge", tmp_path / "zoo", folders / "one", folders / "two", "--copy")
    assert made["nets"] == 8
    zoo = weightspace.Zoo(tmp_path / "zoo")
    assert np.isfinite(zoo.vector("b1")).all()
    assert weightspace.merge is merge
