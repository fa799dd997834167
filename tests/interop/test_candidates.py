"""Which files of a folder become nets, and what is said of the others."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from support.commands import document, refused
from weightspace.cli.app import run
from weightspace.errors import DataError
from weightspace.interop import add
from weightspace.interop import candidates as names

VALUES = {"v.weight": torch.rand(3, 4), "w.weight": torch.rand(3, 3)}
OPTIMIZER = {"state": {0: {"exp_avg": torch.rand(3, 4)}}, "param_groups": [{"lr": 0.1}]}


def save(path: Path, values: object = VALUES) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file(values, path)
    else:
        torch.save(values, path)


def taken(folder: Path) -> tuple[set[str], dict[str, tuple[str, str]]]:
    """The files that become nets, and reason and detail of the others."""
    others: list[names.NotTaken] = []
    zoo = add(folder, folder.parent / "zoo", not_taken=others.append)
    return set(zoo.nets["source"]), {one.file: (one.reason, one.detail) for one in others}


FILES = ("a.pt", "b.pth", "epoch=3-step=40.ckpt", "best.pth.tar", "pytorch_model.bin", "r20.th")
FILES += ("NET.PT", "c.Safetensors", "last.pt.tar")


def test_files_are_taken_under_every_usual_suffix(tmp_path):
    for file in FILES:
        save(tmp_path / "in" / file)
    assert taken(tmp_path / "in") == (set(FILES), {})


def test_the_folders_of_a_zoo_hold_no_checkpoints(tmp_path):
    save(tmp_path / "in/a.pt")
    save(tmp_path / "in/shards/b.safetensors")  # of no zoo
    add(tmp_path / "in", tmp_path / "in/zoo")
    save(tmp_path / "in/zoo/c.pt")
    nets, others = taken(tmp_path / "in")
    assert nets == {"a.pt", "shards/b.safetensors", "zoo/c.pt"}
    shards = [file for file in others if file.startswith("zoo/shards/")]
    assert {others[file] for file in shards} == {(names.ZOO, "")}
    assert shards


def test_other_files_are_counted_and_named(tmp_path, capsys):
    save(tmp_path / "in/a.pt")
    for i in range(7):
        (tmp_path / f"in/{i}.json").write_text("{}")
    (tmp_path / "in/notes.bin").write_bytes(b"no net")
    made = document(capsys, "add", tmp_path / "in", tmp_path / "out")
    assert made["nets"] == 1
    assert len(made["not_taken"]) == 8
    assert run(["add", str(tmp_path / "in"), str(tmp_path / "zoo")]) == 0
    said = capsys.readouterr().err
    assert "not taken: 7 files, no suffix of a checkpoint: 0.json, 1.json, 2.json" in said
    assert "and 2 more" in said
    assert "not taken: 1 file, no net that can be read: notes.bin (" in said


def test_a_damaged_net_is_an_error_under_any_suffix(tmp_path, capsys):
    save(tmp_path / "in/a.pt")
    save(tmp_path / "in/b.bin")
    whole = (tmp_path / "in/b.bin").read_bytes()
    (tmp_path / "in/b.bin").write_bytes(whole[: len(whole) // 2])
    assert "b.bin: net b: " in refused(capsys, "add", tmp_path / "in", tmp_path / "zoo")
    assert run(["add", str(tmp_path / "in"), str(tmp_path / "zoo"), "--skip"]) == 0
    said = capsys.readouterr().err
    assert "left out: net b: " in said
    assert "1 net was left out" in said


def test_the_state_of_a_run_is_no_net(tmp_path):
    states = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "rng_state_0.pth", "scaler.pt")
    states += ("training_args.bin", "optimizer_1.bin", "random_states_0.pkl")
    states += ("bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt", "opt-500.pt")
    for step in ("checkpoint-500", "checkpoint-1000"):
        save(tmp_path / f"in/{step}/model.safetensors")
        for state in states:
            save(tmp_path / f"in/{step}/{state}", OPTIMIZER)
    nets, others = taken(tmp_path / "in")
    assert nets == {"checkpoint-500/model.safetensors", "checkpoint-1000/model.safetensors"}
    assert {reason for reason, _ in others.values()} == {names.STATE}
    assert len(others) == 2 * len(states)


@pytest.mark.parametrize("name", ["optimizer=adam.pt", "optimizer_sgd.pt", "scheduler-cosine.pt"])
def test_a_net_named_after_its_optimizer_is_a_net(tmp_path, name):
    save(tmp_path / "in" / name)
    assert taken(tmp_path / "in") == ({name}, {})


def test_hidden_files_are_no_nets(tmp_path):
    save(tmp_path / "in/a.pt")
    hidden = ("._a.pt", ".cache/b.pt", "__MACOSX/._a.pt")
    for name in hidden:
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"\0\5\x16\7")
    (tmp_path / "in/.DS_Store").write_bytes(b"")
    assert taken(tmp_path / "in") == ({"a.pt"}, dict.fromkeys(hidden, (names.HIDDEN, "")))


FORMATS = (
    ("model.safetensors", "model.pt"),
    ("model.safetensors", "pytorch_model.bin"),
    ("net.pt", "net.ckpt"),
    ("epoch=1.pth", "epoch=1.PTH.TAR"),
)


@pytest.mark.parametrize(("first", "second"), FORMATS)
def test_two_formats_of_a_net_are_one_net(tmp_path, first, second):
    save(tmp_path / "in/deep" / first)
    save(tmp_path / "in/deep" / second)
    save(tmp_path / "in" / second)  # in another folder it is another net
    nets, others = taken(tmp_path / "in")
    assert nets == {f"deep/{first}", second}
    assert others == {f"deep/{second}": (names.FORMAT, f"deep/{first}")}


def test_the_table_says_which_files_are_nets(tmp_path):
    for name in ("model.safetensors", "model.pt", "optimizer.pt", "data.weights", ".hidden.pt"):
        save(tmp_path / "in" / name)
    listed = ["model.pt", "optimizer.pt", "data.weights", ".hidden.pt"]
    (tmp_path / "known.csv").write_text("\n".join(["file", *listed]))
    others: list[names.NotTaken] = []
    options = {"known": tmp_path / "known.csv", "not_taken": others.append}
    zoo = add(tmp_path / "in", tmp_path / "zoo", **options)
    assert set(zoo.nets["source"]) == set(listed)
    assert others == [names.NotTaken("model.safetensors", names.FORMAT, "model.pt")]
    (tmp_path / "known.csv").write_text("file\nmodel.pt\nmodel.safetensors")
    both = add(tmp_path / "in", tmp_path / "both", known=tmp_path / "known.csv")
    assert both.nets["net"].n_unique() == both.nets.height == 2


# ---- shards


def shards(folder: Path, stem: str = "model", suffix: str = ".safetensors") -> list[str]:
    parts = [f"{stem}-0000{i}-of-00002{suffix}" for i in (1, 2)]
    for part, key in zip(parts, VALUES, strict=True):
        save(folder / part, {key: VALUES[key]})
    return parts


def index(folder: Path, parts: list[str], name: str = "model.safetensors") -> None:
    said = {"metadata": {}, "weight_map": dict(zip(VALUES, parts, strict=True))}
    (folder / f"{name}.index.json").write_text(json.dumps(said))


def listed(folder: Path, table: tuple[str, ...] = ()) -> tuple[list[names.Candidate], list]:
    others: list[names.NotTaken] = []
    return names.candidates(names.InnerPath(folder), table, others.append), others


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize(
    ("stem", "suffix"), [("model", ".safetensors"), ("pytorch_model", ".bin"), ("x-1", ".pt")]
)
def test_shards_and_their_index_are_one_net(tmp_path, stem, suffix, readable):
    parts = shards(tmp_path, stem, suffix)
    index(tmp_path, parts, stem + suffix)
    whole = f"{stem}{suffix}.index.json"
    if not readable:
        (tmp_path / whole).write_text("{")
    found, others = listed(tmp_path)
    assert [one.way for one in found] == [whole]
    assert others == [names.NotTaken(part, names.PART, whole) for part in parts]


def test_shards_of_any_name_are_parts_if_the_index_names_them(tmp_path):
    index(tmp_path, ["a.safetensors", "b.safetensors"])
    for name in ("a", "b", "c"):
        save(tmp_path / f"{name}.safetensors")
    found, others = listed(tmp_path)
    assert {one.way for one in found} == {"c.safetensors", "model.safetensors.index.json"}
    assert len(others) == 2


def test_a_whole_file_goes_before_shards(tmp_path):
    index(tmp_path, shards(tmp_path))
    save(tmp_path / "model.safetensors")
    found, others = listed(tmp_path)
    assert [one.way for one in found] == ["model.safetensors"]
    assert len(others) == 3


def test_shards_without_an_index_are_refused_and_no_nets(tmp_path):
    parts = shards(tmp_path / "in")
    save(tmp_path / "in/whole-00001-of-00001.safetensors")
    with pytest.raises(
        DataError, match=r"00001-of-00002.*is a part of a net .* model.safetensors.index.json, is m"
    ):
        add(tmp_path / "in", tmp_path / "zoo")
    told = []
    options = {"left_out": lambda *said: told.append(said)}
    zoo = add(tmp_path / "in", tmp_path / "skipped", **options)
    assert zoo.nets["source"].to_list() == ["whole-00001-of-00001.safetensors"]
    assert len(told) == 1
    (tmp_path / "known.csv").write_text("\n".join(["file", *parts]))
    zoo = add(tmp_path / "in", tmp_path / "known", known=tmp_path / "known.csv")
    assert zoo.nets.height == 3


# ---- links


def link(path: Path, target: str | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.symlink_to(target)
    except OSError:
        pytest.skip("this system has no links")


def test_a_link_to_a_net_is_no_second_net(tmp_path):
    save(tmp_path / "in/runs/a.ckpt")
    link(tmp_path / "in/runs/last.ckpt", "a.ckpt")
    link(tmp_path / "in/latest", "runs")
    link(tmp_path / "in/runs/up", "..")
    expected = {"runs/last.ckpt": (names.LINK, "runs/a.ckpt")}
    assert taken(tmp_path / "in") == ({"runs/a.ckpt"}, expected)


def test_folders_behind_links_are_read_within_the_folder(tmp_path):
    save(tmp_path / "in/.store/1/a.pt")
    link(tmp_path / "in/run", ".store/1")
    link(tmp_path / "in/.store/1/round", "..")
    nets, others = taken(tmp_path / "in")
    assert nets == {"run/a.pt"}
    assert others.pop("run/round/1/a.pt") == (names.LINK, "run/a.pt")
    assert set(others) == {".store/1/a.pt"}
    (tmp_path / "known.csv").write_text("file,optimizer\nrun/a.pt,sgd")
    zoo = add(tmp_path / "in", tmp_path / "known", known=tmp_path / "known.csv")
    assert zoo.nets.select("source", "optimizer").rows() == [("run/a.pt", "sgd")]


def test_folders_behind_links_are_never_read_outside(tmp_path):
    save(tmp_path / "in/a.pt")
    save(tmp_path / "aside/b.pt")
    link(tmp_path / "in/run", tmp_path / "aside")
    assert taken(tmp_path / "in") == ({"a.pt"}, {"run": (names.OUTSIDE, "")})
    (tmp_path / "known.csv").write_text("file\nrun/b.pt")
    with pytest.raises(DataError, match=r"known.csv:2: file run/b.pt: is not in"):
        add(tmp_path / "in", tmp_path / "other", known=tmp_path / "known.csv")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    save(tmp_path / "in/a.pt")
    link(tmp_path / "in/b.pt", "none.pt")
    link(tmp_path / "in/c.pt", "c.pt")
    with pytest.raises(DataError, match=r"in/b.pt: net b: "):
        add(tmp_path / "in", tmp_path / "zoo")
    told = []
    add(tmp_path / "in", tmp_path / "zoo", left_out=lambda *said: told.append(said[0]))
    assert told == ["b", "c"]
    assert os.path.lexists(tmp_path / "in/b.pt")
