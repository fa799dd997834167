"""Where commands put results: full disks, links, files in the way; nothing is computed in vain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import weightspace.cli.demo as demo_room
from support.commands import document, printed, refused
from support.made_up_dissection import made_up
from support.populations import synthetic_zoo
from support.saving import fill, mounted, small_model, which
from weightspace import dissection, meta, report
from weightspace.dissection import Dissection
from weightspace.report import writing
from weightspace.zoo import Zoo

COMMANDS = ("evaluate", "dissect", "fit")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return synthetic_zoo(tmp_path_factory.mktemp("outputs") / "zoo", nets=3)


@pytest.fixture
def quick(monkeypatch, zoo):
    """The commands without what takes their time; says what was computed."""
    done = []

    def give(name, found):
        return lambda *_, **__: done.append(name) or found

    monkeypatch.setattr(meta, "fit", give("fit", small_model(2)))
    monkeypatch.setattr(meta, "evaluate", give("evaluate", made_up().much))
    monkeypatch.setattr(dissection, "dissect", give("dissect", made_up()))
    monkeypatch.setattr(demo_room.sampling, "sample", give("sample", zoo))
    monkeypatch.setattr(writing, "figures", lambda found: {"much": None})
    monkeypatch.setattr(writing.canvas, "drawn", lambda figure, suffix: suffix.encode())
    monkeypatch.setattr(writing, "page", lambda found: "page")
    return done


def asked(command: str, zoo: Zoo, out: Path) -> tuple[object, ...]:
    if command == "demo":
        return ("demo", "--nets", 40, "--out", out, "--json")
    more = ("--slice-length", 1000, "--properties", "dataset")
    return (command, zoo.path, "--out", out, *more, "--json")


def below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("command", [*COMMANDS, "demo"])
@pytest.mark.parametrize("kind", ["file", "below a file", "loop", "nowhere", "device"])
def test_an_out_that_is_no_folder_is_refused_before_anything(
    zoo, quick, tmp_path, capsys, command, kind
):
    out = tmp_path / "out"
    if kind in ("file", "below a file"):
        out.write_text("mine")
    else:
        out.symlink_to({"loop": "out", "nowhere": "none", "device": "/dev/null"}[kind])
    before = sorted(tmp_path.iterdir())
    line = refused(capsys, *asked(command, zoo, out / "deep" if kind == "below a file" else out))
    assert "out: " in line or "out is not writable" in line
    assert "choose another --out" in line
    assert quick == []
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("command", [*COMMANDS, "demo"])
def test_a_folder_that_cannot_be_written_is_refused_before_anything(
    zoo, quick, tmp_path, capsys, command
):
    with mounted(tmp_path / "disk", "ro,size=200k") as disk:
        line = refused(capsys, *asked(command, zoo, disk / "out"))
    assert "disk is not writable; choose another --out" in line
    assert quick == []


@pytest.mark.parametrize("command", [*COMMANDS, "demo"])
def test_an_out_that_is_a_link_to_a_folder_is_the_users_own(zoo, quick, tmp_path, capsys, command):
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    document(capsys, *asked(command, zoo, tmp_path / "out")[:-1])
    assert (tmp_path / "out").is_symlink()
    assert list((tmp_path / "real").iterdir())


@pytest.mark.parametrize("command", [*COMMANDS, "demo"])
def test_a_full_disk_is_one_line_and_leaves_what_was_there(zoo, quick, tmp_path, capsys, command):
    with mounted(tmp_path / "disk", "size=1m") as disk:
        out = disk / "out"
        printed(capsys, *asked(command, zoo, out))
        before = below(out)
        assert before
        fill(disk)
        line = refused(capsys, *asked(command, zoo, out))
        assert "the disk is full" in line
        assert "choose another folder, then run the same command again" in line
        assert below(out) == before


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("fit", "model.json"),
        ("evaluate", "hits.parquet"),
        ("evaluate", "numbers.parquet"),
        ("dissect", "facts.json"),
        ("dissect", "report.html"),
        ("dissect", "figures/map.png"),
        ("demo", "report/report.html"),
    ],
)
def test_what_somebody_else_wrote_is_not_overwritten(zoo, quick, tmp_path, capsys, command, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    line = refused(capsys, *asked(command, zoo, tmp_path))
    assert f"{name}: " in line
    assert "is not overwritten; remove it, or choose another folder" in line
    assert quick == []
    assert below(tmp_path) == {name: b"mine"}


def test_a_model_is_replaced_by_a_model(zoo, quick, tmp_path, capsys):
    small_model(1).save(tmp_path)
    printed(capsys, *asked("fit", zoo, tmp_path))
    assert which(tmp_path) == 2


def test_results_are_replaced_by_results(zoo, quick, tmp_path, capsys):
    for command in ("evaluate", "dissect", "evaluate", "dissect"):
        printed(capsys, *asked(command, zoo, tmp_path))
    assert (tmp_path / "report.html").read_text() == "page"
    assert report.write(made_up(), tmp_path) == tmp_path / "report.html"
    assert Dissection.save(made_up(), tmp_path) == tmp_path


def test_the_size_of_an_index_is_that_of_its_files(zoo, capsys):
    found = document(capsys, "index", zoo.path)
    size = sum(place.stat().st_size for place in (zoo.path / "index").iterdir())
    os.mkfifo(zoo.path / "index" / "pipe")
    (zoo.path / "index" / "link").symlink_to("nowhere")
    assert found["bytes"] == size == document(capsys, "index", zoo.path)["bytes"]
